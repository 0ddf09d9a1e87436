package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.ppo.Advantages;
import io.github.sparkrlhf.ppo.ResponseLogProbabilities;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.TextExample;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * Responses that were sampled anywhere, worked up part by part: log-probabilities, scores, and what
 * the responses to a prompt are worth beside each other.
 */
final class ExternalResponses {
  /** The column of what the sampler says of a response: one number per token, or their sum. */
  static final String GIVEN = "given";

  private static final String ID = "row_id";
  private static final String TRUNCATED = "truncated";
  private static final int ID_DIGITS = 24;
  private static final StructType ROLLOUTS = Table.ROLLOUTS.schemaWithoutRun();

  /** The columns of {@code rollouts} and what a filter may ask about besides. */
  private static final StructType SCHEMA =
      ROLLOUTS.merge(
          StructType.fromDDL(
              "tokens INT, reward DOUBLE, advantage DOUBLE, group_size INT, group_mean DOUBLE,"
                  + " group_deviation DOUBLE, "
                  + TRUNCATED
                  + " BOOLEAN"),
          true);

  /** How the responses to a prompt are compared; see {@link Advantages}. */
  enum Rule {
    RLOO,
    GRPO,
    DR_GRPO;

    double[] of(double[] rewards) {
      return switch (this) {
        case RLOO -> Advantages.rloo(rewards, rewards.length);
        case GRPO -> Advantages.grpo(rewards, rewards.length, Advantages.Scale.GROUP);
        case DR_GRPO -> Advantages.grpo(rewards, rewards.length, Advantages.Scale.NONE);
      };
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /**
   * What responses are measured by.
   *
   * @param reference the KL is measured to it
   * @param policy that sampled; null if nobody knows it
   * @param lanes of the forward passes
   * @param temperature that the logits are divided by
   * @param klCoefficient what a nat of KL costs
   * @param rule how responses are compared
   */
  record Measures(
      RewardModel reward,
      LanguageModel reference,
      LanguageModel policy,
      LaneSettings lanes,
      double temperature,
      double klCoefficient,
      Rule rule) {}

  private final SparkSession spark;
  private final Measures measures;
  private final Tokenizer tokenizer;
  private final int room;

  ExternalResponses(SparkSession spark, Measures measures) {
    LanguageModel reference = measures.reference();
    LanguageModel policy = measures.policy();
    if (policy != null && !policy.tokenizer().equals(reference.tokenizer())) {
      throw JobFailure.usage(
          "Cannot measure a KL: policy and reference have different tokenizers, so their tokens are not the same");
    }
    this.spark = spark;
    this.measures = measures;
    this.tokenizer = Tokenizer.of(reference.tokenizer());
    this.room =
        policy == null
            ? reference.config().maxPositions()
            : Math.min(reference.config().maxPositions(), policy.config().maxPositions());
  }

  /**
   * A part, whole groups: the columns of {@code rollouts}, and tokens, reward, advantage,
   * group_size, group_mean, group_deviation, truncated.
   *
   * @param rows row_id, prompt, response, given (array of doubles, may be null)
   * @param number of the part
   */
  Dataset<Row> worked(Dataset<Row> rows, int number) {
    List<Row> sorted = rows.orderBy(RewardModel.PROMPT, ID).collectAsList();
    List<TextExample> examples = sorted.stream().map(this::example).toList();
    Map<String, Row> scored = scored(rows);
    Map<String, float[]> reference = logProbabilities(measures.reference(), examples, "reference");
    Map<String, float[]> policy =
        measures.policy() == null
            ? Map.of()
            : logProbabilities(measures.policy(), examples, "policy");
    List<Row> worked = new ArrayList<>();
    for (int first = 0; first < sorted.size(); ) {
      int end = first + 1;
      while (end < sorted.size() && prompt(sorted, end).equals(prompt(sorted, first))) {
        end++;
      }
      List<Response> group = new ArrayList<>();
      for (int i = first; i < end; i++) {
        String id = examples.get(i).id();
        group.add(
            new Response(
                sorted.get(i), examples.get(i), scored.get(id), policy.get(id), reference.get(id)));
      }
      worked.addAll(rows(group, number));
      first = end;
    }
    return spark.createDataFrame(worked, SCHEMA);
  }

  /** A part without any row. */
  static Dataset<Row> none(SparkSession spark) {
    return spark.createDataFrame(List.of(), SCHEMA);
  }

  /** The columns of {@code rollouts} among those of {@link #worked}. */
  static Dataset<Row> rollouts(Dataset<Row> worked) {
    String[] names = ROLLOUTS.fieldNames();
    return worked.select(names[0], Arrays.copyOfRange(names, 1, names.length));
  }

  private static String prompt(List<Row> rows, int index) {
    return rows.get(index).getAs(RewardModel.PROMPT);
  }

  private TextExample example(Row row) {
    String id = row.getAs(ID);
    int[] prompt = tokenizer.encodePrompt(row.getAs(RewardModel.PROMPT));
    if (prompt.length >= room) {
      throw JobFailure.usage(
          "Cannot take log-probabilities: the prompt of response %s has %d tokens and the models have room for %d"
              .formatted(id, prompt.length, room));
    }
    int[] response = tokenizer.encodeResponse(row.getAs(RewardModel.RESPONSE));
    return new TextExample(
        id, prompt, Arrays.copyOf(response, Math.min(response.length, room - prompt.length)));
  }

  private Map<String, Row> scored(Dataset<Row> rows) {
    Map<String, Row> byId = new HashMap<>();
    measures
        .reward()
        .score(rows.drop(GIVEN).withColumn(TRUNCATED, measures.reward().truncated()))
        .select(ID, RewardModel.SCORE, TRUNCATED)
        .collectAsList()
        .forEach(row -> byId.put(row.getString(0), row));
    return byId;
  }

  private Map<String, float[]> logProbabilities(
      LanguageModel model, List<TextExample> examples, String whose) {
    return ResponseLogProbabilities.of(
        JavaSparkContext.fromSparkContext(spark.sparkContext()),
        model,
        examples,
        measures.lanes(),
        measures.temperature(),
        "advantages: log-probabilities of the " + whose);
  }

  /** A response and what was measured of it; policy is null if it was not asked. */
  private record Response(
      Row row, TextExample example, Row scored, float[] policy, float[] reference) {

    double score() {
      return scored.getDouble(1);
    }

    /** What the sampler says, else what the policy says; null if neither does. */
    Double logProbability() {
      int index = row.fieldIndex(GIVEN);
      if (!row.isNullAt(index)) {
        return row.<Double>getList(index).stream().mapToDouble(value -> value).sum();
      }
      return policy == null ? null : sum(policy);
    }

    Double kl() {
      Double logProbability = logProbability();
      return logProbability == null ? null : logProbability - sum(reference);
    }

    /** The sampler's numbers, if it gave one for each of our tokens. */
    Float[] samplerLogProbabilities() {
      int index = row.fieldIndex(GIVEN);
      if (row.isNullAt(index) || row.getList(index).size() != reference.length) {
        return null;
      }
      return row.<Double>getList(index).stream().map(Double::floatValue).toArray(Float[]::new);
    }
  }

  private static double sum(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += value;
    }
    return sum;
  }

  private List<Row> rows(List<Response> group, int number) {
    double[] rewards = new double[group.size()];
    for (int i = 0; i < rewards.length; i++) {
      Double kl = group.get(i).kl();
      rewards[i] = group.get(i).score() - (kl == null ? 0 : measures.klCoefficient() * kl);
    }
    double[] advantages = rewards.length < 2 ? null : measures.rule().of(rewards);
    double mean = Arrays.stream(rewards).average().orElseThrow();
    double squares = Arrays.stream(rewards).map(r -> (r - mean) * (r - mean)).sum();
    Double deviation = advantages == null ? null : Math.sqrt(squares / (rewards.length - 1));
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < rewards.length; i++) {
      Object[] values = rollout(group.get(i), number, i);
      Double advantage = advantages == null ? null : advantages[i];
      set(values, "tokens", group.get(i).reference().length);
      set(values, "reward", rewards[i]);
      set(values, "advantage", advantage);
      set(values, "group_size", rewards.length);
      set(values, "group_mean", mean);
      set(values, "group_deviation", deviation);
      set(values, TRUNCATED, group.get(i).scored().getBoolean(2));
      if (advantage != null) {
        Float[] ofTokens = new Float[group.get(i).reference().length];
        Arrays.fill(ofTokens, advantage.floatValue());
        set(values, "advantages", ofTokens);
      }
      rows.add(RowFactory.create(values));
    }
    return rows;
  }

  private Object[] rollout(Response response, int number, int sample) {
    String prompt = response.row().getAs(RewardModel.PROMPT);
    int[] tokens = response.example().tokens();
    int promptLength = tokens.length - response.reference().length;
    Object[] values = new Object[SCHEMA.size()];
    set(values, Run.ITERATION, number);
    set(values, "rollout_id", response.example().id());
    set(values, "prompt_id", StableHash.sha256(prompt).substring(0, ID_DIGITS));
    set(values, "sample", sample);
    set(values, "prompt", prompt);
    set(values, "response", response.row().getAs(RewardModel.RESPONSE));
    set(values, "prompt_tokens", Arrays.copyOf(tokens, promptLength));
    set(values, "response_tokens", Arrays.copyOfRange(tokens, promptLength, tokens.length));
    set(
        values,
        "stopped",
        measures.reference().tokenizer().stopIds().contains(tokens[tokens.length - 1]));
    set(values, "sampler_logprobs", response.samplerLogProbabilities());
    set(values, "logprobs", response.policy());
    set(values, "ref_logprobs", response.reference());
    set(values, "score", response.score());
    set(values, "kl", response.kl());
    return values;
  }

  private static void set(Object[] values, String column, Object value) {
    values[SCHEMA.fieldIndex(column)] = value;
  }
}
