package io.github.sparkrlhf.evaluation;

import io.github.sparkrlhf.reward.Bootstrap;
import io.github.sparkrlhf.reward.Statistic;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.DoubleUnaryOperator;
import java.util.function.ToDoubleFunction;

/**
 * What a policy's responses to some prompts are like. Means are over responses, their intervals are
 * bootstraps over prompts; what is counted over all texts together has none.
 */
public final class PolicyMetrics {
  /** What people are told of first. */
  public static final String REWARD = "reward";

  private final List<List<Answer>> byPrompt;
  private final Map<String, String> references;
  private final Map<String, Double> referenceTextNats;
  private final Map<String, Integer> referenceTextTokens;
  private final List<String> names = new ArrayList<>();
  private final List<Statistic> statistics = new ArrayList<>();

  /**
   * @param answers at least one; all or none with a score, and so on
   * @param references of some prompts the response that a person gave; may be empty
   * @param referenceTextNats of the same prompts how probable the policy finds it; may be empty
   * @param referenceTextTokens and of how many tokens
   */
  public PolicyMetrics(
      List<Answer> answers,
      Map<String, String> references,
      Map<String, Double> referenceTextNats,
      Map<String, Integer> referenceTextTokens) {
    Map<String, List<Answer>> grouped = new TreeMap<>();
    answers.forEach(
        answer -> grouped.computeIfAbsent(answer.prompt(), each -> new ArrayList<>()).add(answer));
    this.byPrompt = List.copyOf(grouped.values());
    this.references = references;
    this.referenceTextNats = referenceTextNats;
    this.referenceTextTokens = referenceTextTokens;
  }

  /** All measurements that the answers allow. */
  public List<Measurement> measure(long seed) {
    List<Answer> all = byPrompt.stream().flatMap(List::stream).toList();
    if (all.get(0).score() != null) {
      mean(REWARD, Answer::score);
    }
    if (all.get(0).referenceNats() != null) {
      if (all.get(0).nats() != null) {
        mean("kl_to_reference", answer -> answer.nats() - answer.referenceNats());
      }
      ratio("reference_perplexity", a -> -a.referenceNats(), Answer::tokens, Math::exp);
    }
    mean("length_tokens", Answer::tokens);
    mean("length_characters", answer -> answer.response().length());
    mean("truncated_share", answer -> answer.stopped() ? 0 : 1);
    mean("empty_share", answer -> answer.response().isBlank() ? 1 : 0);
    mean("repetition", answer -> Diversity.repetition(answer.response()));
    overlap();
    List<Measurement> measurements = intervals(seed);
    List<String> texts = all.stream().map(Answer::response).toList();
    add(measurements, "distinct_1", Diversity.distinct(1, texts));
    add(measurements, "distinct_2", Diversity.distinct(2, texts));
    add(measurements, "self_bleu", Bleu.self(texts));
    List<Answer> withReference =
        all.stream().filter(answer -> references.containsKey(answer.prompt())).toList();
    if (!withReference.isEmpty()) {
      add(
          measurements,
          "bleu",
          Bleu.corpus(
              withReference.stream().map(Answer::response).toList(),
              withReference.stream().map(answer -> references.get(answer.prompt())).toList()));
    }
    return measurements;
  }

  /** What the answers have in common with references, and how probable those are. */
  private void overlap() {
    if (byPrompt.stream().noneMatch(answers -> references.containsKey(answers.get(0).prompt()))) {
      return;
    }
    rouge("rouge_1", (hypothesis, reference) -> Rouge.ofRuns(1, hypothesis, reference));
    rouge("rouge_2", (hypothesis, reference) -> Rouge.ofRuns(2, hypothesis, reference));
    rouge("rouge_l", Rouge::ofLongestCommonSubsequence);
    if (!referenceTextNats.isEmpty()) {
      names.add("perplexity_of_references");
      statistics.add(
          ratio(
              prompt -> -referenceTextNats.getOrDefault(prompt.get(0).prompt(), 0.0),
              prompt -> referenceTextTokens.getOrDefault(prompt.get(0).prompt(), 0),
              Math::exp));
    }
  }

  private interface Overlap {
    double of(String hypothesis, String reference);
  }

  private void rouge(String name, Overlap overlap) {
    ratio(
        name,
        answer ->
            references.containsKey(answer.prompt())
                ? overlap.of(answer.response(), references.get(answer.prompt()))
                : 0,
        answer -> references.containsKey(answer.prompt()) ? 1 : 0,
        value -> value);
  }

  private void mean(String name, ToDoubleFunction<Answer> quantity) {
    ratio(name, quantity, answer -> 1, value -> value);
  }

  private void ratio(
      String name,
      ToDoubleFunction<Answer> above,
      ToDoubleFunction<Answer> below,
      DoubleUnaryOperator then) {
    names.add(name);
    statistics.add(
        ratio(
            answers -> answers.stream().mapToDouble(above).sum(),
            answers -> answers.stream().mapToDouble(below).sum(),
            then));
  }

  /** The ratio of two sums over prompts, seen through a function. */
  private Statistic ratio(
      ToDoubleFunction<List<Answer>> above,
      ToDoubleFunction<List<Answer>> below,
      DoubleUnaryOperator then) {
    double[] numerators = byPrompt.stream().mapToDouble(above).toArray();
    double[] denominators = byPrompt.stream().mapToDouble(below).toArray();
    return times -> {
      double sum = 0;
      double n = 0;
      for (int i = 0; i < times.length; i++) {
        sum += times[i] * numerators[i];
        n += times[i] * denominators[i];
      }
      return then.applyAsDouble(sum / n);
    };
  }

  private List<Measurement> intervals(long seed) {
    List<String> prompts = byPrompt.stream().map(answers -> answers.get(0).prompt()).toList();
    Bootstrap bootstrap = new Bootstrap(prompts, statistics, seed);
    int[] once = new int[prompts.size()];
    Arrays.fill(once, 1);
    List<Measurement> measurements = new ArrayList<>();
    for (int i = 0; i < names.size(); i++) {
      double[] interval = bootstrap.interval(i);
      measurements.add(
          new Measurement(
              names.get(i), statistics.get(i).of(once), interval[0], interval[1], prompts.size()));
    }
    return measurements;
  }

  private void add(List<Measurement> measurements, String metric, double value) {
    if (!Double.isNaN(value)) {
      measurements.add(new Measurement(metric, value, null, null, byPrompt.size()));
    }
  }
}
