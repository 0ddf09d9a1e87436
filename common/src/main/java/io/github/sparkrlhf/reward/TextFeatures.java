package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.spark.ml.linalg.SparseVector;

/**
 * A (prompt, response) as a sparse vector of {@code style + buckets} numbers.
 *
 * <ul>
 *   <li>Style: see {@link TextStyle}, each divided by its scale in the training data.
 *   <li>Words and pairs of neighbouring words of the response, hashed into buckets, {@code (1 + log
 *       tf) · idf}, of length 1.
 *   <li>A word of the prompt with a word of the response, hashed into the same buckets, of length
 *       1: what is a good answer depends on the question, and a linear model cannot know otherwise.
 * </ul>
 */
final class TextFeatures implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{M}\\p{N}]+(?:['’]\\p{L}+)*");

  /** Far more than an answer needs; bounds the work on a text that is not one. */
  private static final int MAXIMUM_CROSSED_WORDS = 128;

  /**
   * How texts become features.
   *
   * @param buckets how many hash buckets
   * @param promptWords how many different words of a prompt, from its end, are crossed with the
   *     words of the response; 0 for none
   */
  record Settings(int buckets, int promptWords) implements Serializable {
    Settings {
      if (buckets < 1 || promptWords < 0) {
        throw new IllegalArgumentException("buckets must be positive, promptWords not negative");
      }
    }
  }

  private final Settings settings;
  private final float[] styleScale;
  private final float[] idf;

  /**
   * @param styleScale what to divide each style feature by
   * @param idf the weight of each bucket
   */
  TextFeatures(Settings settings, float[] styleScale, float[] idf) {
    if (styleScale.length != TextStyle.NAMES.size() || idf.length != settings.buckets()) {
      throw new IllegalArgumentException("scales or weights do not match the settings");
    }
    this.settings = settings;
    this.styleScale = styleScale;
    this.idf = idf;
  }

  Settings settings() {
    return settings;
  }

  float[] styleScale() {
    return styleScale;
  }

  float[] idf() {
    return idf;
  }

  /** The length of a vector. */
  int size() {
    return styleScale.length + idf.length;
  }

  /** The features of a response to a prompt. */
  SparseVector of(String prompt, String response) {
    List<String> promptWords = words(prompt);
    List<String> words = words(response);
    SortedMap<Integer, Double> values = new TreeMap<>();
    double[] style = TextStyle.of(response, promptWords, words);
    for (int i = 0; i < style.length; i++) {
      values.put(i, style[i] / styleScale[i]);
    }
    addNormalised(values, counts(settings, grams(words)));
    addNormalised(values, counts(settings, crossings(settings, promptWords, words)));
    return vector(size(), values);
  }

  /** The difference that Bradley–Terry is about: chosen minus rejected. */
  SparseVector difference(String prompt, String chosen, String rejected) {
    SortedMap<Integer, Double> values = new TreeMap<>();
    SparseVector plus = of(prompt, chosen);
    SparseVector minus = of(prompt, rejected);
    for (int i = 0; i < plus.indices().length; i++) {
      values.put(plus.indices()[i], plus.values()[i]);
    }
    for (int i = 0; i < minus.indices().length; i++) {
      values.merge(minus.indices()[i], -minus.values()[i], Double::sum);
    }
    values.values().removeIf(value -> value == 0);
    return vector(size(), values);
  }

  /** The buckets that a response fills, each once; what document frequencies count. */
  static List<Integer> buckets(Settings settings, String prompt, String response) {
    List<String> words = words(response);
    SortedMap<Integer, Integer> filled = counts(settings, grams(words));
    filled.putAll(counts(settings, crossings(settings, words(prompt), words)));
    return List.copyOf(filled.keySet());
  }

  /**
   * What is hashed, as often as it occurs: words and pairs of words, and crossings with the prompt.
   */
  static List<String> terms(Settings settings, String prompt, String response) {
    List<String> words = words(response);
    List<String> terms = new ArrayList<>(grams(words));
    terms.addAll(crossings(settings, words(prompt), words));
    return terms;
  }

  /** The bucket that a term falls into. */
  static int bucket(Settings settings, String term) {
    return (int) Math.floorMod(StableHash.of(term), (long) settings.buckets());
  }

  /** The words of a text in lower case. */
  static List<String> words(String text) {
    return WORD.matcher(text.toLowerCase(Locale.ROOT)).results().map(MatchResult::group).toList();
  }

  private void addNormalised(
      SortedMap<Integer, Double> values, SortedMap<Integer, Integer> counts) {
    double squares = 0;
    for (Map.Entry<Integer, Integer> entry : counts.entrySet()) {
      double weight = weight(entry);
      squares += weight * weight;
    }
    double length = squares == 0 ? 1 : Math.sqrt(squares);
    for (Map.Entry<Integer, Integer> entry : counts.entrySet()) {
      values.merge(styleScale.length + entry.getKey(), weight(entry) / length, Double::sum);
    }
  }

  private double weight(Map.Entry<Integer, Integer> entry) {
    return (1 + Math.log(entry.getValue())) * idf[entry.getKey()];
  }

  private static SortedMap<Integer, Integer> counts(Settings settings, List<String> terms) {
    SortedMap<Integer, Integer> counts = new TreeMap<>();
    for (String term : terms) {
      counts.merge(bucket(settings, term), 1, Integer::sum);
    }
    return counts;
  }

  private static List<String> grams(List<String> words) {
    List<String> grams = new ArrayList<>(words);
    for (int i = 0; i + 1 < words.size(); i++) {
      grams.add(words.get(i) + ' ' + words.get(i + 1));
    }
    return grams;
  }

  private static List<String> crossings(
      Settings settings, List<String> promptWords, List<String> words) {
    List<String> asked = new ArrayList<>(new LinkedHashSet<>(promptWords));
    asked = asked.subList(Math.max(0, asked.size() - settings.promptWords()), asked.size());
    List<String> answered =
        new LinkedHashSet<>(words).stream().limit(MAXIMUM_CROSSED_WORDS).toList();
    List<String> crossings = new ArrayList<>(asked.size() * answered.size());
    for (String question : asked) {
      for (String answer : answered) {
        crossings.add(question + '\n' + answer);
      }
    }
    return crossings;
  }

  private static SparseVector vector(int size, SortedMap<Integer, Double> values) {
    int[] indices = values.keySet().stream().mapToInt(Integer::intValue).toArray();
    double[] numbers = values.values().stream().mapToDouble(Double::doubleValue).toArray();
    return new SparseVector(size, indices, numbers);
  }
}
