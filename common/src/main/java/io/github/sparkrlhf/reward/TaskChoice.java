package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * Which pairs of responses people should compare next: those that tell most, no two of one prompt,
 * and no two that are much alike.
 *
 * <p>With P_m the probability that model m gives to the first response, and H the entropy of a
 * coin, what one learns of a pair on average is H(mean P_m) − mean H(P_m) nats about which model is
 * right (Houlsby et al., 2011, "Bayesian Active Learning for Classification and Preference
 * Learning"), the models' disagreement. H(mean P_m) alone is greatest where the margin is nearest
 * to 0.
 */
public final class TaskChoice {
  /** So many candidates for each task are looked at for how much they are alike. */
  private static final int POOL = 8;

  /** What makes a pair worth a label. */
  public enum Rule {
    /** The models disagree. */
    DISAGREEMENT,
    /** The models find both about equally good. */
    MARGIN,
    /** Nothing: a sample, to measure the other rules by. */
    RANDOM;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * A pair that was chosen.
   *
   * @param similarity to the one before that is most alike: common words over all words, 0 to 1
   */
  public record Chosen(LabellingTask task, double similarity) {}

  private record Candidate(LabellingTask task, double value, Set<String> words) {}

  private TaskChoice() {}

  /**
   * A pair with what the models say.
   *
   * @param margins score of the first response minus score of the second, of each model, log-odds
   */
  public static LabellingTask task(
      String id, String prompt, String responseA, String responseB, double[] margins) {
    double mean = 0;
    double entropy = 0;
    for (double margin : margins) {
      double probability = 1 / (1 + Math.exp(-margin));
      mean += probability / margins.length;
      entropy += entropy(probability) / margins.length;
    }
    return new LabellingTask(
        id, prompt, responseA, responseB, mean, Math.max(0, entropy(mean) - entropy));
  }

  /** The entropy of a coin, nats. */
  static double entropy(double probability) {
    return -xLogX(probability) - xLogX(1 - probability);
  }

  private static double xLogX(double x) {
    return x <= 0 ? 0 : x * Math.log(x);
  }

  /**
   * Chooses one after the other: the greatest value times (1 − similarity to those chosen), after
   * Carbonell and Goldstein, 1998. The order of the candidates changes nothing.
   *
   * @param count at most so many
   * @param seed of {@link Rule#RANDOM}
   * @throws JobFailure data quality, if there is no candidate
   */
  public static List<Chosen> choose(
      List<LabellingTask> candidates, Rule rule, int count, long seed) {
    if (candidates.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot choose what to label: no prompt has two different responses that are not labelled yet");
    }
    List<Candidate> pool = pool(candidates, rule, count, seed);
    double[] similarity = new double[pool.size()];
    boolean[] taken = new boolean[pool.size()];
    List<Chosen> chosen = new ArrayList<>();
    while (chosen.size() < Math.min(count, pool.size())) {
      int best = -1;
      for (int i = 0; i < similarity.length; i++) {
        boolean better =
            best < 0
                || pool.get(i).value() * (1 - similarity[i])
                    > pool.get(best).value() * (1 - similarity[best]);
        if (!taken[i] && better) {
          best = i;
        }
      }
      taken[best] = true;
      Candidate next = pool.get(best);
      chosen.add(new Chosen(next.task(), similarity[best]));
      for (int i = 0; i < similarity.length; i++) {
        if (!taken[i]) {
          similarity[i] = Math.max(similarity[i], jaccard(next.words(), pool.get(i).words()));
        }
      }
    }
    return chosen;
  }

  /** The best pair of each prompt, the best prompts first. */
  private static List<Candidate> pool(
      List<LabellingTask> candidates, Rule rule, int count, long seed) {
    ToDoubleFunction<LabellingTask> value =
        switch (rule) {
          case DISAGREEMENT -> LabellingTask::disagreement;
          case MARGIN -> task -> entropy(task.probability());
          case RANDOM -> task -> (StableHash.of(seed + " " + task.id()) >>> 11) * 0x1p-53;
        };
    Comparator<LabellingTask> best =
        Comparator.comparingDouble(value).reversed().thenComparing(LabellingTask::id);
    Map<String, LabellingTask> ofPrompts = new LinkedHashMap<>();
    candidates.stream().sorted(best).forEach(task -> ofPrompts.putIfAbsent(task.prompt(), task));
    return ofPrompts.values().stream()
        .limit((long) POOL * count)
        .map(task -> new Candidate(task, value.applyAsDouble(task), words(task)))
        .toList();
  }

  private static Set<String> words(LabellingTask task) {
    String text = task.prompt() + " " + task.responseA() + " " + task.responseB();
    Set<String> words =
        new HashSet<>(Arrays.asList(text.toLowerCase(Locale.ROOT).split("[^\\p{L}\\p{N}]+")));
    words.remove("");
    return words;
  }

  private static double jaccard(Set<String> one, Set<String> other) {
    int common = 0;
    for (String word : one) {
      common += other.contains(word) ? 1 : 0;
    }
    int all = one.size() + other.size() - common;
    return all == 0 ? 1 : (double) common / all;
  }
}
