package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.feedback.SimulatedCrowdRows.Annotator;
import io.github.sparkrlhf.feedback.SimulatedCrowdRows.Leak;
import io.github.sparkrlhf.feedback.SimulatedCrowdRows.Pair;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.StructType;

/**
 * The log of a crowd of any size about which the truth is known: which response is better, how good
 * each annotator is, which rows are broken, and which prompts must not be torn apart. Row i is a
 * pure function of the seed and i.
 */
public final class SimulatedCrowd {
  /** How many people vote unless another number is given. */
  public static final int ANNOTATORS = 2000;

  private static final int MINIMUM_ROWS = 3000;
  private static final int MINIMUM_ANNOTATORS = 50;

  private static final StructType VOTES =
      StructType.fromDDL(
          "vote_id STRING, conversation_id STRING, prompt STRING, response_a STRING,"
              + " response_b STRING, choice STRING, annotator_id STRING, started_at TIMESTAMP,"
              + " created_at TIMESTAMP");
  private static final StructType PEOPLE =
      StructType.fromDDL("annotator_id STRING, kind STRING, accuracy DOUBLE");
  private static final StructType TRUTH =
      StructType.fromDDL(
          "pair BIGINT, prompt STRING, response_a STRING, response_b STRING, label STRING");
  private static final StructType LEAKS =
      StructType.fromDDL("kind STRING, prompt_a STRING, prompt_b STRING");

  private final SparkSession spark;
  private final long rowCount;
  private final SimulatedCrowdRows rows;

  /**
   * A log by {@link #ANNOTATORS} people.
   *
   * @param seed what the log is a function of
   * @param rows how many rows the log has, at least 3,000: one in a thousand for most flaws, and a
   *     prompt in a hundred for each kind of leak
   */
  public SimulatedCrowd(SparkSession spark, long seed, long rows) {
    this(spark, seed, rows, ANNOTATORS);
  }

  /** {@link #SimulatedCrowd(SparkSession, long, long)} by a crowd of at least 50. */
  public SimulatedCrowd(SparkSession spark, long seed, long rows, int annotators) {
    if (rows < MINIMUM_ROWS || annotators < MINIMUM_ANNOTATORS) {
      throw new IllegalArgumentException(
          "%d rows by %d annotators are too few".formatted(rows, annotators));
    }
    this.spark = spark;
    this.rowCount = rows;
    this.rows = new SimulatedCrowdRows(seed, rows, annotators);
  }

  /**
   * The log: vote_id, conversation_id, prompt, response_a, response_b, choice, annotator_id,
   * started_at, created_at.
   */
  public Dataset<Row> votes() {
    SimulatedCrowdRows shared = rows;
    return generated(rowCount, VOTES, shared::row);
  }

  /**
   * The truth about the annotators: annotator_id, kind (honest, random, always_first,
   * position_biased, always_tie), accuracy (the probability that a vote says the truth).
   */
  public Dataset<Row> annotators() {
    SimulatedCrowdRows shared = rows;
    return generated(
        rows.annotators(),
        PEOPLE,
        number -> {
          Annotator annotator = shared.annotator(number.intValue());
          return RowFactory.create(annotator.id(), name(annotator.kind()), annotator.accuracy());
        });
  }

  /** The truth about the pairs that have usable votes: pair, prompt, responses, label. */
  public Dataset<Row> truth() {
    SimulatedCrowdRows shared = rows;
    return generated(
        rows.pairs(),
        TRUTH,
        number -> {
          Pair pair = shared.pair(number);
          return RowFactory.create(
              number,
              shared.prompt(pair.prompt()),
              shared.response(pair.prompt(), pair.a()),
              shared.response(pair.prompt(), pair.b()),
              pair.label());
        });
  }

  /** How many rows were planted with which flaw. */
  public Map<String, Long> planted() {
    Map<String, Long> byName = new TreeMap<>();
    rows.flaws().forEach((flaw, count) -> byName.put(name(flaw), count));
    return byName;
  }

  /** How many rows of the log cannot be used, by the code of the reason. */
  public Map<String, Long> unusable() {
    Map<String, Long> byReason = new TreeMap<>();
    rows.flaws()
        .forEach(
            (flaw, count) -> byReason.merge(flaw.reason(), count * flaw.unusableRows(), Long::sum));
    return byReason;
  }

  /**
   * The prompts that belong in one split: kind (spelling, near_duplicate, conversation), prompt_a,
   * prompt_b.
   */
  public Dataset<Row> leaks() {
    SimulatedCrowdRows shared = rows;
    int kinds = Leak.values().length;
    return generated(
        kinds * rows.leaksPerKind(),
        LEAKS,
        number -> {
          Leak leak = Leak.values()[(int) (number % kinds)];
          long block = number / kinds;
          return RowFactory.create(
              name(leak),
              shared.prompt(shared.originalOf(leak, block)),
              shared.prompt(SimulatedCrowdRows.leakOf(leak, block)));
        });
  }

  private static String name(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  private Dataset<Row> generated(long count, StructType schema, MapFunction<Long, Row> row) {
    return spark.range(count).map(row, ExpressionEncoder.apply(schema));
  }
}
