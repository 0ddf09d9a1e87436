package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.ml.linalg.SparseVector;

/**
 * A (prompt, response) as a sparse vector: the numbers of all blocks that have numbers, then their
 * curves if there are any, then the buckets of each block that is hashed.
 *
 * <ul>
 *   <li>A number is divided by its scale in the training data.
 *   <li>A curve is {@value #KNOTS} features: how near the number is to each knot, 1 on it and 0 on
 *       its neighbours. Knots are one scale apart, the middle one at the training data's mean; a
 *       number beyond the last one counts as being on it. A weighted sum of them is a piecewise
 *       linear function of the number.
 *   <li>The buckets of a block hold {@code (1 + log tf) · idf}, scaled to length 1.
 *   <li>All are multiplied by the weight of their block.
 * </ul>
 */
final class TextFeatures implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{M}\\p{N}]+(?:['’]\\p{L}+)*");

  /** Knots of a curve. */
  static final int KNOTS = 7;

  /** Far more than an answer needs; bounds the work on a text that is not one. */
  private static final int MAXIMUM_CROSSED_WORDS = 128;

  /**
   * How texts become features.
   *
   * @param blocks in the order of the vector
   * @param buckets how many hash buckets each hashed block has
   */
  record Settings(List<FeatureBlock> blocks, int buckets) implements Serializable {
    Settings {
      blocks = List.copyOf(blocks);
      if (buckets < 1 || blocks.isEmpty()) {
        throw new IllegalArgumentException("there must be blocks and buckets");
      }
    }

    List<FeatureBlock> hashed() {
      return blocks.stream().filter(block -> block.kind().isHashed()).toList();
    }

    /** The names of the numbers. */
    List<String> names() {
      return blocks.stream().flatMap(block -> block.names().stream()).toList();
    }

    boolean hasCurves() {
      return blocks.stream().anyMatch(block -> block.kind() == FeatureBlock.Kind.CURVES);
    }

    double curveWeight() {
      return blocks.stream()
          .filter(block -> block.kind() == FeatureBlock.Kind.CURVES)
          .mapToDouble(FeatureBlock::weight)
          .findFirst()
          .orElse(0);
    }

    /** Where buckets begin in the vector. */
    int firstBucket() {
      return names().size() * (hasCurves() ? 1 + KNOTS : 1);
    }

    /** The length of the vector. */
    int size() {
      return firstBucket() + hashed().size() * buckets;
    }

    /** The name of a feature by its place in the vector, such as {@code log_chars:knot_3}. */
    String name(int feature) {
      List<String> numbers = names();
      if (feature < numbers.size()) {
        return numbers.get(feature);
      }
      if (feature < firstBucket()) {
        int knot = feature - numbers.size();
        return numbers.get(knot / KNOTS) + ":knot_" + knot % KNOTS;
      }
      int bucket = feature - firstBucket();
      return hashed().get(bucket / buckets).kind() + ":bucket_" + bucket % buckets;
    }

    /** The weight of each number's block. */
    double[] numberWeights() {
      return blocks.stream()
          .flatMapToDouble(block -> block.names().stream().mapToDouble(name -> block.weight()))
          .toArray();
    }
  }

  /**
   * What the training pairs say about numbers and buckets.
   *
   * @param mean of each number over all responses
   * @param scale root mean square of each number's difference in a pair, not 0
   * @param idf the weight of each bucket
   */
  record Scaling(float[] mean, float[] scale, float[] idf) implements Serializable {}

  /**
   * What can be said of a text without the training data.
   *
   * @param numbers of the blocks that have numbers
   * @param buckets that are filled, ascending; those of the second hashed block after all of the
   *     first
   * @param counts how often each of them is
   */
  record Counts(double[] numbers, int[] buckets, int[] counts) {
    byte[] toBytes() {
      ByteBuffer bytes =
          ByteBuffer.allocate(8 + Double.BYTES * numbers.length + 2 * Integer.BYTES * counts.length)
              .putInt(numbers.length)
              .putInt(counts.length);
      for (double number : numbers) {
        bytes.putDouble(number);
      }
      for (int i = 0; i < counts.length; i++) {
        bytes.putInt(buckets[i]).putInt(counts[i]);
      }
      return bytes.array();
    }

    static Counts of(byte[] array) {
      ByteBuffer bytes = ByteBuffer.wrap(array);
      double[] numbers = new double[bytes.getInt()];
      int[] buckets = new int[bytes.getInt()];
      int[] counts = new int[buckets.length];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = bytes.getDouble();
      }
      for (int i = 0; i < counts.length; i++) {
        buckets[i] = bytes.getInt();
        counts[i] = bytes.getInt();
      }
      return new Counts(numbers, buckets, counts);
    }
  }

  private final Settings settings;
  private final Scaling scaling;
  private final float[] scale;
  private final float[] idf;
  private final double[] numberWeights;
  private final double curveWeight;
  private final int firstBucket;
  private final int size;
  private final double[] blockWeights;

  /** Features of one version of the training data. */
  TextFeatures(Settings settings, Scaling scaling) {
    this.settings = settings;
    this.scaling = scaling;
    this.scale = scaling.scale();
    this.idf = scaling.idf();
    this.curveWeight = settings.curveWeight();
    this.firstBucket = settings.firstBucket();
    this.size = settings.size();
    this.numberWeights = settings.numberWeights();
    this.blockWeights = settings.hashed().stream().mapToDouble(FeatureBlock::weight).toArray();
    if (scale.length != numberWeights.length
        || scaling.mean().length != scale.length
        || idf.length != settings.buckets() * blockWeights.length) {
      throw new IllegalArgumentException("scales or weights do not match the settings");
    }
  }

  Settings settings() {
    return settings;
  }

  Scaling scaling() {
    return scaling;
  }

  /** The length of a vector. */
  int size() {
    return size;
  }

  /** The weight of the block of each feature. */
  double[] blockWeights() {
    double[] weights = new double[size];
    System.arraycopy(numberWeights, 0, weights, 0, numberWeights.length);
    Arrays.fill(weights, numberWeights.length, firstBucket, curveWeight);
    for (int block = 0; block < blockWeights.length; block++) {
      int first = firstBucket + block * settings.buckets();
      Arrays.fill(weights, first, first + settings.buckets(), blockWeights[block]);
    }
    return weights;
  }

  /** The features of a text of which this is known. */
  SparseVector of(Counts text) {
    int curves = curveWeight > 0 ? 2 * scale.length : 0;
    int start = scale.length + curves;
    int[] indices = new int[start + text.buckets().length];
    double[] values = new double[indices.length];
    for (int i = 0; i < scale.length; i++) {
      indices[i] = i;
      values[i] = numberWeights[i] * text.numbers()[i] / scale[i];
      if (curves > 0) {
        putCurve(i, text.numbers()[i], indices, values);
      }
    }
    double[] squares = new double[blockWeights.length];
    for (int i = 0; i < text.buckets().length; i++) {
      int bucket = text.buckets()[i];
      double value = (1 + Math.log(text.counts()[i])) * idf[bucket];
      indices[start + i] = firstBucket + bucket;
      values[start + i] = value;
      squares[bucket / settings.buckets()] += value * value;
    }
    for (int i = 0; i < text.buckets().length; i++) {
      int block = text.buckets()[i] / settings.buckets();
      values[start + i] *= blockWeights[block] / Math.sqrt(squares[block]);
    }
    return new SparseVector(size(), indices, values);
  }

  /** A number is between two knots: the two features that are not 0. */
  private void putCurve(int number, double value, int[] indices, double[] values) {
    double place = (value - scaling.mean()[number]) / scale[number] + KNOTS / 2;
    double inside = Math.min(KNOTS - 1, Math.max(0, place));
    int left = Math.min(KNOTS - 2, (int) inside);
    int at = scale.length + 2 * number;
    indices[at] = scale.length + KNOTS * number + left;
    indices[at + 1] = indices[at] + 1;
    values[at] = curveWeight * (left + 1 - inside);
    values[at + 1] = curveWeight * (inside - left);
  }

  /** The difference that Bradley–Terry is about: chosen minus rejected. */
  SparseVector difference(Counts chosen, Counts rejected) {
    SparseVector plus = of(chosen);
    SparseVector minus = of(rejected);
    int[] indices = new int[plus.indices().length + minus.indices().length];
    double[] values = new double[indices.length];
    int n = 0;
    int p = 0;
    int m = 0;
    while (p < plus.indices().length || m < minus.indices().length) {
      int fromPlus = p < plus.indices().length ? plus.indices()[p] : Integer.MAX_VALUE;
      int fromMinus = m < minus.indices().length ? minus.indices()[m] : Integer.MAX_VALUE;
      int index = Math.min(fromPlus, fromMinus);
      double value = fromPlus == index ? plus.values()[p++] : 0;
      value -= fromMinus == index ? minus.values()[m++] : 0;
      if (value != 0) {
        indices[n] = index;
        values[n++] = value;
      }
    }
    return new SparseVector(size(), Arrays.copyOf(indices, n), Arrays.copyOf(values, n));
  }

  /** The words of a text in lower case. */
  static List<String> words(String text) {
    return WORD.matcher(text.toLowerCase(Locale.ROOT)).results().map(MatchResult::group).toList();
  }

  /**
   * Numbers and buckets of a response to a prompt.
   *
   * @param states asked only if there are states among the blocks
   */
  static Counts counts(Settings settings, HiddenStates states, String prompt, String response) {
    List<String> promptWords = words(prompt);
    List<String> words = words(response);
    double[] numbers =
        settings.blocks().stream()
            .flatMapToDouble(
                block ->
                    block.kind() == FeatureBlock.Kind.STATES
                        ? Arrays.stream(states.of(prompt, response))
                        : numbers(block, response, promptWords, words))
            .toArray();
    int[] filled =
        terms(settings, promptWords, words).mapToInt(BucketTerms.Term::bucket).sorted().toArray();
    int[] buckets = IntStream.of(filled).distinct().toArray();
    int[] counts = new int[buckets.length];
    int place = 0;
    for (int bucket : filled) {
      place += bucket == buckets[place] ? 0 : 1;
      counts[place]++;
    }
    return new Counts(numbers, buckets, counts);
  }

  /** What is hashed, as often as it occurs; a bucket's number is that among all blocks. */
  static Stream<BucketTerms.Term> terms(
      Settings settings, List<String> promptWords, List<String> words) {
    List<FeatureBlock> hashed = settings.hashed();
    return IntStream.range(0, hashed.size())
        .boxed()
        .flatMap(
            place ->
                terms(hashed.get(place), promptWords, words)
                    .map(
                        term ->
                            new BucketTerms.Term(
                                place * settings.buckets()
                                    + (int)
                                        Math.floorMod(
                                            StableHash.of(term), (long) settings.buckets()),
                                term)));
  }

  private static DoubleStream numbers(
      FeatureBlock block, String response, List<String> promptWords, List<String> words) {
    return switch (block.kind()) {
      case STYLE -> Arrays.stream(TextStyle.of(response, promptWords, words));
      case READABILITY -> Arrays.stream(Readability.of(response, words));
      case DISCOURSE -> Arrays.stream(DiscourseWords.of(words));
      case STATES, CURVES, WORDS, CHARACTERS, CROSSINGS -> DoubleStream.empty();
    };
  }

  private static Stream<String> terms(
      FeatureBlock block, List<String> promptWords, List<String> words) {
    return switch (block.kind()) {
      case WORDS ->
          IntStream.rangeClosed(block.low(), block.high())
              .boxed()
              .flatMap(
                  n ->
                      IntStream.rangeClosed(0, words.size() - n)
                          .mapToObj(i -> String.join(" ", words.subList(i, i + n))));
      case CHARACTERS -> words.stream().flatMap(word -> characters(block, word));
      case CROSSINGS -> crossings(block.low(), promptWords, words);
      case STYLE, READABILITY, DISCOURSE, STATES, CURVES -> Stream.of();
    };
  }

  /** The n-grams of a word with a blank on either side. */
  private static Stream<String> characters(FeatureBlock block, String word) {
    String padded = ' ' + word + ' ';
    return IntStream.rangeClosed(block.low(), Math.min(block.high(), padded.length()))
        .boxed()
        .flatMap(
            n ->
                IntStream.rangeClosed(0, padded.length() - n)
                    .mapToObj(i -> padded.substring(i, i + n)));
  }

  private static Stream<String> crossings(
      int promptWords, List<String> prompt, List<String> words) {
    List<String> asked = List.copyOf(new LinkedHashSet<>(prompt));
    List<String> answered =
        new LinkedHashSet<>(words).stream().limit(MAXIMUM_CROSSED_WORDS).toList();
    return asked.subList(Math.max(0, asked.size() - promptWords), asked.size()).stream()
        .flatMap(question -> answered.stream().map(answer -> question + '\n' + answer));
  }
}
