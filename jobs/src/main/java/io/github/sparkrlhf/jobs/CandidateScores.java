package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.evaluation.Answer;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.LanguageModelObjective;
import io.github.sparkrlhf.training.LogProbabilities;
import io.github.sparkrlhf.training.TextExample;
import io.github.sparkrlhf.training.TrainingEngine;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/** What models say about responses: the reward, and how probable they are. */
final class CandidateScores {
  private static final StructType TEXTS =
      StructType.fromDDL("number INT, prompt STRING, response STRING");
  private static final LaneSettings LANES = new LaneSettings(4, 16, 0);

  /**
   * How probable a policy finds reference responses.
   *
   * @param nats log-probability by prompt
   * @param tokens their lengths
   */
  record ReferenceTexts(Map<String, Double> nats, Map<String, Integer> tokens) {}

  private final JobContext context;
  private final RewardModel reward;
  private final LanguageModel reference;

  /**
   * @param reward directory of the reward model; may be null
   * @param reference directory of the reference policy; may be null
   */
  CandidateScores(JobContext context, Path reward, Path reference) {
    this.context = context;
    this.reward = reward == null ? null : RewardModels.load(reward);
    this.reference = reference == null ? null : LanguageModel.load(reference);
  }

  List<Answer> answers(Candidate candidate) {
    List<Row> rows = candidate.rows();
    List<Double> scores =
        rewards(
            rows.stream().map(row -> row.<String>getAs("prompt")).toList(),
            rows.stream().map(row -> row.<String>getAs("response")).toList());
    List<Double> ofReference = null;
    List<Double> ofPolicy = null;
    if (reference != null) {
      requireTokenizer(candidate);
      ofReference = nats(reference, sequences(rows), "reference policy on " + candidate.name());
      ofPolicy = policyNats(candidate);
    }
    List<Answer> answers = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      answers.add(
          new Answer(
              row.getAs("prompt"),
              row.getAs("response"),
              row.getList(row.fieldIndex("response_tokens")).size(),
              row.getAs("stopped"),
              scores == null ? null : scores.get(i),
              ofPolicy == null ? null : ofPolicy.get(i),
              ofReference == null ? null : ofReference.get(i)));
    }
    return answers;
  }

  /** Reference responses as opponents; empty without a reward model, which alone decides. */
  List<Answer> references(Map<String, String> texts, Set<String> prompts) {
    Map<String, String> known = new TreeMap<>(texts);
    known.keySet().retainAll(prompts);
    if (reward == null || known.isEmpty()) {
      return List.of();
    }
    List<String> keys = List.copyOf(known.keySet());
    List<String> responses = List.copyOf(known.values());
    List<Double> scores = rewards(keys, responses);
    return IntStream.range(0, keys.size())
        .mapToObj(
            i -> new Answer(keys.get(i), responses.get(i), 0, true, scores.get(i), null, null))
        .toList();
  }

  /** The rewards in the order of the texts; null without a reward model. */
  private List<Double> rewards(List<String> prompts, List<String> responses) {
    if (reward == null) {
      return null;
    }
    List<Row> texts =
        IntStream.range(0, prompts.size())
            .mapToObj(i -> RowFactory.create(i, prompts.get(i), responses.get(i)))
            .toList();
    Double[] scores = new Double[texts.size()];
    reward
        .score(context.spark().createDataFrame(texts, TEXTS))
        .select("number", RewardModel.SCORE)
        .collectAsList()
        .forEach(row -> scores[row.getInt(0)] = row.getDouble(1));
    return List.of(scores);
  }

  /** Token by token two policies can be compared only if their tokens are the same. */
  private void requireTokenizer(Candidate candidate) {
    if (isThere(candidate)
        && !LanguageModel.load(Path.of(candidate.directory()))
            .tokenizer()
            .equals(reference.tokenizer())) {
      throw JobFailure.usage(
          "Cannot compare "
              + candidate.name()
              + " with --reference-policy: they have different tokenizers");
    }
  }

  private static boolean isThere(Candidate candidate) {
    return candidate.directory() != null && Files.isDirectory(Path.of(candidate.directory()));
  }

  /** Null where nobody can say any more: the policy is gone and was sampled from otherwise. */
  private List<Double> policyNats(Candidate candidate) {
    if (candidate.exact() != null) {
      return candidate.rows().stream()
          .map(
              row ->
                  row.<Float>getList(row.fieldIndex(candidate.exact())).stream()
                      .mapToDouble(Float::doubleValue)
                      .sum())
          .toList();
    }
    if (!isThere(candidate)) {
      context
          .out()
          .println("No KL of " + candidate.name() + ": there is no directory of the policy");
      return null;
    }
    LanguageModel policy = LanguageModel.load(Path.of(candidate.directory()));
    return nats(policy, sequences(candidate.rows()), candidate.name() + " on its responses");
  }

  /** How probable the policy finds references; empty if its directory is gone. */
  ReferenceTexts referenceTexts(Candidate candidate, Map<String, String> references) {
    Map<String, Double> nats = new HashMap<>();
    Map<String, Integer> lengths = new HashMap<>();
    if (references.isEmpty() || !isThere(candidate)) {
      return new ReferenceTexts(nats, lengths);
    }
    LanguageModel policy = LanguageModel.load(Path.of(candidate.directory()));
    Tokenizer tokenizer = Tokenizer.of(policy.tokenizer());
    List<String> prompts = new ArrayList<>();
    List<TextExample> examples = new ArrayList<>();
    for (String prompt : candidate.prompts().stream().sorted().toList()) {
      if (references.containsKey(prompt)) {
        int[] before = tokenizer.encodePrompt(prompt);
        int[] response = tokenizer.encodeResponse(references.get(prompt));
        if (before.length + response.length <= policy.config().maxPositions()) {
          examples.add(new TextExample(Integer.toString(prompts.size()), before, response));
          prompts.add(prompt);
          lengths.put(prompt, response.length);
        }
      }
    }
    if (!examples.isEmpty()) {
      List<Double> sums = nats(policy, examples, candidate.name() + " on references");
      for (int i = 0; i < prompts.size(); i++) {
        nats.put(prompts.get(i), sums.get(i));
      }
    }
    return new ReferenceTexts(nats, lengths);
  }

  private static List<TextExample> sequences(List<Row> rows) {
    return IntStream.range(0, rows.size())
        .mapToObj(
            i ->
                new TextExample(
                    Integer.toString(i),
                    tokens(rows.get(i), "prompt_tokens"),
                    tokens(rows.get(i), "response_tokens")))
        .toList();
  }

  private static int[] tokens(Row row, String column) {
    return row.<Integer>getList(row.fieldIndex(column)).stream().mapToInt(i -> i).toArray();
  }

  /** Log-probabilities in the order of the sequences, whose ids are their numbers. */
  private List<Double> nats(LanguageModel model, List<TextExample> sequences, String description) {
    Double[] nats = new Double[sequences.size()];
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(
            JavaSparkContext.fromSparkContext(context.spark().sparkContext()),
            sequences,
            LANES,
            new LanguageModelObjective(model.config()))) {
      engine
          .map(model.weights(), 0, "evaluate: " + description, new LogProbabilities(model.config()))
          .forEach(row -> nats[Integer.parseInt(row.id())] = row.nats());
    }
    return List.of(nats);
  }
}
