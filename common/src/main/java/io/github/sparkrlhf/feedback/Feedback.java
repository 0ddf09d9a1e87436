package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.min_by;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.storage.StorageLevel;

/**
 * Feedback from one or more logs: every row is used or in quarantine with a reason. Nothing depends
 * on the order of rows, on partitions, or on how the logs are cut into files.
 *
 * <p>Spark's cache keeps the rows without their responses until {@link #close}; the responses are
 * read from the logs again when they are written.
 */
public final class Feedback implements AutoCloseable {
  /**
   * How many rows were put into quarantine for a reason.
   *
   * @param reason the code
   * @param rows how many
   * @param example the id of one of them
   * @param detail what was wrong with that one; may be null
   */
  public record ReasonCount(String reason, long rows, String example, String detail) {}

  /** How many rows of a source have a kind and a reason (null: usable), and a strength. */
  private record Share(String source, String kind, String reason, long rows, long strengths) {}

  /** Rows of this kind are comparisons already; those of other kinds become some here. */
  private static final String COMPARISON = Judgement.COMPARISON;

  private static final String RANKING = Judgement.RANKING;

  private static final String DIRECT = "is_direct";

  /** What is counted, grouped and estimated: neither responses nor ids, only a hash of the id. */
  private static final List<String> VOTE =
      List.of(
          "vote_key",
          "kind",
          "source",
          "choice",
          "margin",
          "annotator_id",
          "started_at",
          "created_at",
          "given_group",
          "pair_id",
          "swapped",
          "prompt",
          "prompt_key",
          "first_key",
          "second_key");

  private static final List<String> COMPARISON_COLUMNS =
      List.of(
          "feedback_id",
          "original_id",
          "kind",
          "source",
          "choice",
          "margin",
          "annotator_id",
          "started_at",
          "created_at",
          "given_group",
          "pair_id",
          "swapped",
          "prompt",
          "messages",
          "response_a",
          "response_b");

  private static final List<String> QUARANTINE =
      List.of("source", "feedback_id", "annotator_id", "reason", "detail", "row");

  private final Optional<RepeatedIds> repeated;
  private final Optional<Base> base;
  private final Dataset<Row> rows;
  private final Dataset<Row> slim;
  private final List<Share> shares;
  private final Optional<Dataset<Row>> derived;

  private Feedback(Builder builder) {
    this.repeated =
        builder.logs.isEmpty() ? Optional.empty() : Optional.of(new RepeatedIds(builder.logs));
    this.base = builder.base;
    this.rows =
        Stream.concat(repeated.map(Feedback::fresh).stream(), base.map(Base::rows).stream())
            .reduce((fresh, before) -> fresh.unionByName(before, true))
            .orElseThrow(() -> new IllegalStateException("There is no log"));
    // Votes on a pair lie together from here on: no later step shuffles them again.
    int partitions =
        Integer.parseInt(rows.sparkSession().conf().get("spark.sql.shuffle.partitions"));
    this.slim =
        rows.withColumn("feedback_id", when(isUsable().equalTo(false), col("feedback_id")))
            .select(
                columns(
                    VOTE,
                    col("feedback_id"),
                    col(DIRECT),
                    col("reason"),
                    col("detail"),
                    col("row")))
            .repartition(partitions, col("pair_id"))
            .persist(StorageLevel.MEMORY_AND_DISK());
    this.shares = shares(slim);
    boolean onlyComparisons = shares.stream().allMatch(share -> share.kind().equals(COMPARISON));
    this.derived =
        onlyComparisons
            ? Optional.empty()
            : Optional.of(derived(builder).persist(StorageLevel.MEMORY_AND_DISK()));
  }

  /** The rows of logs in the columns that they share with those of an earlier run. */
  private static Dataset<Row> fresh(RepeatedIds logs) {
    return identified(
        logs.rows()
            .withColumn("original_id", col("feedback_id"))
            .withColumnRenamed("group_key", "given_group"));
  }

  private static Dataset<Row> identified(Dataset<Row> rows) {
    // Rows that are on no pair are spread by their own id.
    Column pair = when(isDirect(), col("pair_id")).otherwise(col("feedback_id"));
    return keyed(rows)
        .withColumn(DIRECT, isUsable().and(col("response_a").isNotNull()))
        .withColumn("pair_id", pair);
  }

  private static Dataset<Row> keyed(Dataset<Row> rows) {
    return PairIdentity.added(rows).withColumn("vote_key", xxhash64(col("feedback_id")));
  }

  /** Collects logs, then checks all their rows together. */
  public static final class Builder {
    private final LogFormat format;
    private final Pairing pairing;
    private final List<JudgementLog> logs = new ArrayList<>();
    private Optional<Base> base = Optional.empty();

    /**
     * A collection without logs.
     *
     * @param format how each log is to be read
     * @param pairing which judgements of single responses are compared with each other
     */
    public Builder(LogFormat format, Pairing pairing) {
      this.format = format;
      this.pairing = pairing;
    }

    /** Adds a log; {@code source} is the name that its rows carry. */
    public Builder add(Dataset<Row> log, String source) {
      logs.add(new JudgementLog(log, format, source));
      return this;
    }

    /** Adds what an earlier run with the same options made of logs that are not read again. */
    public Builder continuing(Base earlier) {
      base = Optional.of(earlier);
      return this;
    }

    /** The rows of all logs, checked. */
    public Feedback check() {
      return new Feedback(this);
    }
  }

  /**
   * What an earlier run made of a part of the logs.
   *
   * @param comparisons its rows of the table {@code comparisons}
   * @param ratings its rows of the table {@code ratings}
   * @param quarantine its rows of the table {@code quarantine}
   */
  public record Base(Dataset<Row> comparisons, Dataset<Row> ratings, Dataset<Row> quarantine) {
    /** Comparisons of ratings are made anew: there may be other ratings to compare now. */
    private Dataset<Row> asRead() {
      return comparisons.where(col("kind").isin(COMPARISON, RANKING));
    }

    private Dataset<Row> rows() {
      Column unset = lit(null).cast("string");
      Dataset<Row> single =
          ratings
              .withColumn("original_id", col("feedback_id"))
              .withColumn("candidates", array(struct(col("response"), col("rating"))))
              .drop("response", "rating");
      return identified(
          asRead()
              .drop("weight")
              .unionByName(single, true)
              .drop("group_key", "split")
              .withColumn("reason", unset)
              .withColumn("detail", unset)
              .withColumn("row", unset));
    }

    private Dataset<Row> ids() {
      return asRead()
          .select(col("original_id").as("earlier"))
          .unionByName(ratings.select(col("feedback_id").as("earlier")))
          .unionByName(quarantine.select(col("feedback_id").as("earlier")));
    }

    /** How many rows of logs are behind it that are not counted as {@link #rows}. */
    private long others() {
      Dataset<Row> rankings = comparisons.where(col("kind").equalTo(RANKING));
      long rows = rankings.select("original_id").distinct().count();
      return quarantine.count() + rows - rankings.count();
    }
  }

  /**
   * Whether an id of the logs stands in the earlier run already. Which of the two counts cannot be
   * said without reading all logs again.
   */
  public boolean repeatsEarlier() {
    if (base.isEmpty() || repeated.isEmpty()) {
      return false;
    }
    Dataset<Row> ids = base.get().ids();
    Dataset<Row> read = repeated.get().rows().select("feedback_id");
    return !read.join(ids, col("feedback_id").equalTo(col("earlier")), "left_semi").isEmpty();
  }

  /** How many rows all logs have together. */
  public long rows() {
    return shares.stream().mapToLong(Share::rows).sum() + base.map(Base::others).orElse(0L);
  }

  /** The rows in quarantine by reason, in the order of the codes. */
  public List<ReasonCount> quarantineCounts() {
    Column order = struct(col("feedback_id"), coalesce(col("detail"), lit("")));
    return quarantine()
        .groupBy("reason")
        .agg(count(lit(1)), min_by(col("feedback_id"), order), min_by(col("detail"), order))
        .sort("reason")
        .collectAsList()
        .stream()
        .map(r -> new ReasonCount(r.getString(0), r.getLong(1), r.getString(2), r.getString(3)))
        .toList();
  }

  /** The names of the logs that have a usable row, sorted. */
  public List<String> sources() {
    return shares.stream()
        .filter(share -> share.reason() == null)
        .map(Share::source)
        .distinct()
        .sorted()
        .toList();
  }

  /**
   * The comparisons without their responses and ids, from the cache; {@code vote_key} is the 64-bit
   * hash of the id.
   */
  public Dataset<Row> votes() {
    Column[] columns = columns(VOTE);
    Dataset<Row> direct = slim.where(isDirect()).select(columns);
    return derived.map(more -> direct.unionByName(more.select(columns))).orElse(direct);
  }

  /** The comparisons with their texts; {@code given_group} is what the log says. */
  public Dataset<Row> comparisons() {
    Column[] columns = columns(COMPARISON_COLUMNS);
    Dataset<Row> direct = rows.where(isDirect()).select(columns);
    return derived.map(more -> direct.unionByName(more.select(columns))).orElse(direct);
  }

  /** Judgements of single responses, one row per rating, acceptance or rejection. */
  public Dataset<Row> ratings() {
    List<String> kinds = List.of(Judgement.RATING, Judgement.BINARY);
    // Where there is none, the logs need not be read to find that out.
    boolean any = shares.stream().anyMatch(share -> kinds.contains(share.kind()));
    return rows.where(lit(any).and(isUsable()).and(col("kind").isin(kinds.toArray())))
        .withColumn("candidate", explode(col("candidates")))
        .withColumn("response", col("candidate.response"))
        .withColumn("rating", col("candidate.rating"));
  }

  /** What there is to curate. */
  public Curation.Material material() {
    boolean strengths =
        derived.isPresent() || shares.stream().anyMatch(share -> share.strengths() > 0);
    return new Curation.Material(votes(), comparisons(), ratings(), sources(), strengths);
  }

  /** The rows that cannot be used, with the columns of the table {@code quarantine}. */
  public Dataset<Row> quarantine() {
    Dataset<Row> fresh = slim.where(isUsable().equalTo(false)).select(columns(QUARANTINE));
    return base.map(before -> fresh.unionByName(before.quarantine())).orElse(fresh);
  }

  @Override
  public void close() {
    derived.ifPresent(Dataset::unpersist);
    slim.unpersist();
    repeated.ifPresent(RepeatedIds::close);
  }

  private Dataset<Row> derived(Builder builder) {
    Dataset<Row> others =
        rows.where(isUsable().and(isDirect().equalTo(false)))
            .withColumnRenamed("given_group", "group_key");
    return keyed(
        RatingPairs.comparisons(others, builder.pairing, builder.format.scale())
            .withColumnRenamed("group_key", "given_group"));
  }

  private static List<Share> shares(Dataset<Row> slim) {
    return slim
        .groupBy("source", "kind", "reason")
        .agg(count(lit(1)), count("margin"))
        .collectAsList()
        .stream()
        .map(
            row ->
                new Share(
                    row.getString(0),
                    row.getString(1),
                    row.getString(2),
                    row.getLong(3),
                    row.getLong(4)))
        .toList();
  }

  private static Column isUsable() {
    return col("reason").isNull();
  }

  /** Whether the row is a usable comparison as it stands in its log. */
  private static Column isDirect() {
    return col(DIRECT);
  }

  private static Column[] columns(List<String> names, Column... more) {
    return Stream.concat(names.stream().map(functions::col), Arrays.stream(more))
        .toArray(Column[]::new);
  }
}
