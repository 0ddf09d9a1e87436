package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.StructType;

/**
 * A preference log made up from nothing, about which the truth is known: what people want ({@link
 * GoldReward}), how reliable each annotator is, and which rows are broken. Row i is a pure function
 * of the seed and i.
 */
public final class SimulatedLog {
  /** Fewer rows would leave some flaws without an example. */
  public static final int MINIMUM_ROWS = 1000;

  private static final StructType EVENTS =
      StructType.fromDDL(
          "event_id STRING, prompt STRING, response_a STRING, response_b STRING, choice STRING,"
              + " annotator STRING, created_at TIMESTAMP");
  private static final StructType ANNOTATORS =
      StructType.fromDDL("annotator STRING, kind STRING, reliability DOUBLE");
  private static final StructType TRUTH =
      StructType.fromDDL(
          "prompt STRING, response_a STRING, response_b STRING, gold_a DOUBLE, gold_b DOUBLE");
  private static final StructType DEMONSTRATIONS =
      StructType.fromDDL("demonstration_id STRING, prompt STRING, response STRING");
  private static final StructType PROMPTS = StructType.fromDDL("prompt_id STRING, prompt STRING");

  private final SparkSession spark;
  private final long seed;
  private final int rows;
  private final SimulatedEvents events;

  /**
   * @param seed what the log is a function of
   * @param rows how many rows the log has, at least {@link #MINIMUM_ROWS}
   * @throws JobFailure usage, if they are fewer
   */
  public SimulatedLog(SparkSession spark, long seed, int rows) {
    if (rows < MINIMUM_ROWS) {
      throw JobFailure.usage(
          "Cannot make up a log of %d events: some flaws would have no example with less than %d"
              .formatted(rows, MINIMUM_ROWS));
    }
    this.spark = spark;
    this.seed = seed;
    this.rows = rows;
    this.events = new SimulatedEvents(seed, rows);
  }

  /** The log: event_id, prompt, response_a, response_b, choice, annotator, created_at. */
  public Dataset<Row> events() {
    SimulatedEvents shared = events;
    return generated(rows, EVENTS, shared::row);
  }

  /** The truth about the annotators: annotator, kind (honest, random, always-a), reliability. */
  public Dataset<Row> annotators() {
    SimulatedEvents shared = events;
    return generated(
        SimulatedEvents.annotators(),
        ANNOTATORS,
        number -> {
          SimulatedEvents.Annotator annotator = shared.annotator(number.intValue());
          return RowFactory.create(annotator.id(), annotator.kind(), annotator.reliability());
        });
  }

  /** The truth about the pairs: prompt, response_a, response_b, gold_a, gold_b. */
  public Dataset<Row> truth() {
    SimulatedEvents shared = events;
    return generated(
        events.pairs(),
        TRUTH,
        number -> {
          SimulatedEvents.Pair pair = shared.pair(number);
          return RowFactory.create(
              pair.prompt(),
              pair.responseA(),
              pair.responseB(),
              GoldReward.of(pair.prompt(), pair.responseA()),
              GoldReward.of(pair.prompt(), pair.responseB()));
        });
  }

  /**
   * Texts to fine-tune on before there is any preference, good and bad alike: demonstration_id,
   * prompt, response.
   *
   * @param count how many
   */
  public Dataset<Row> demonstrations(long count) {
    CounterRandom random = new CounterRandom(seed, "simulated-demonstration");
    return generated(
        count,
        DEMONSTRATIONS,
        number -> {
          int prompt = random.integer(SimulatedLanguage.prompts(), number);
          return RowFactory.create(
              "demonstration-%07d".formatted(number),
              SimulatedLanguage.prompt(prompt),
              SimulatedLanguage.response(random, prompt, number, 0));
        });
  }

  /** All prompts of the language, once each: prompt_id, prompt. */
  public Dataset<Row> prompts() {
    return generated(
        SimulatedLanguage.prompts(),
        PROMPTS,
        number ->
            RowFactory.create(
                "prompt-%03d".formatted(number), SimulatedLanguage.prompt(number.intValue())));
  }

  /**
   * How many rows have which flaw: duplicate, null_response, blank_response, unknown_choice,
   * identical_responses. A duplicate equals an earlier row in all columns.
   */
  public Map<String, Long> flaws() {
    Map<String, Long> byName = new TreeMap<>();
    events
        .flaws()
        .forEach((flaw, count) -> byName.put(flaw.name().toLowerCase(Locale.ROOT), count));
    return byName;
  }

  /**
   * The accuracy that the gold reward itself reaches on pairs: what no reward model can beat but by
   * luck, because people's votes are noisy.
   *
   * @param pairs prompt, chosen, rejected and decided; others do not count
   * @return NaN if no pair is decided
   */
  public static double ceiling(Dataset<Row> pairs) {
    Column ahead =
        GoldReward.column(col("prompt"), col("chosen"))
            .minus(GoldReward.column(col("prompt"), col("rejected")));
    // Twice the agreement is a whole number, so that the mean does not depend on the order; and
    // sums of tenths may differ in their last bit where the golds are equal.
    Column agreement = when(ahead.gt(1e-9), 1.0).when(ahead.lt(-1e-9), 0.0).otherwise(0.5);
    Row mean = pairs.where(PairAggregator.isDecided(pairs)).agg(avg(agreement)).first();
    return mean.isNullAt(0) ? Double.NaN : mean.getDouble(0);
  }

  private Dataset<Row> generated(long count, StructType schema, MapFunction<Long, Row> row) {
    return spark.range(count).map(row, ExpressionEncoder.apply(schema));
  }
}
