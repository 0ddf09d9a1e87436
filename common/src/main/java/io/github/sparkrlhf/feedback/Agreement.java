package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.isnan;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.not;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;
import org.apache.spark.api.java.function.FlatMapGroupsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * How far people agree: the table {@code agreement}.
 *
 * <p>A judgement is a value that somebody gave to a unit. If somebody gives a unit the same value
 * twice it counts once; different values of one person all count. Judgements by unknown people are
 * by different people.
 *
 * <p>Spark turns units into count vectors and counts these; the driver does the rest. It holds the
 * distinct vectors of one source and kind: a few hundred for votes, and at most one per unit, some
 * 16 bytes per value, for ratings on a continuous scale.
 */
public final class Agreement {
  /** Judgements of two responses: −1 the first of the pair is better, 0 a tie, 1 the second. */
  public static final String COMPARISON = "comparison";

  /** Judgements of one response: its rating. */
  public static final String RATING = "rating";

  /** The source of rows over all sources. */
  static final String ALL = "all";

  /**
   * Units that were judged alike: the judgements ascending, and how many units; a unit that was
   * judged once says only that its source exists.
   */
  static final StructType VECTORS =
      StructType.fromDDL("source STRING, kind STRING, judgements ARRAY<DOUBLE>, units BIGINT");

  private static final StructType UNITS =
      StructType.fromDDL("source STRING, kind STRING, judgements ARRAY<DOUBLE>");

  private enum Metric {
    RAW_AGREEMENT(AgreementCoefficients::rawAgreement),
    FLEISS_KAPPA(AgreementCoefficients::fleissKappa),
    KRIPPENDORFF_ALPHA_NOMINAL(AgreementCoefficients::alphaNominal),
    KRIPPENDORFF_ALPHA_ORDINAL(AgreementCoefficients::alphaOrdinal),
    KRIPPENDORFF_ALPHA_INTERVAL(AgreementCoefficients::alphaInterval);

    // A method reference.
    @SuppressWarnings("ImmutableEnumChecker")
    private final ToDoubleFunction<AgreementCoefficients> value;

    Metric(ToDoubleFunction<AgreementCoefficients> value) {
      this.value = value;
    }

    /** Fleiss' κ is for classes, and ratings are numbers. */
    boolean isFor(String kind) {
      return this != FLEISS_KAPPA || kind.equals(COMPARISON);
    }
  }

  private Agreement() {}

  /**
   * The judgements that ratings are. The unit is a response to a prompt.
   *
   * @param ratings with prompt_key, response, rating, annotator_id and source
   */
  public static Dataset<Row> ofRatings(Dataset<Row> ratings) {
    return ratings.select(
        col("source"),
        lit(RATING).as("kind"),
        xxhash64(col("prompt_key"), col("response")).cast("string").as("unit"),
        col("annotator_id"),
        col("rating").as("value"));
  }

  /**
   * The coefficients with 95 % intervals, by kind, by source and over all sources. In the latter a
   * unit that was judged in several sources is one unit.
   *
   * @param vectors with the columns of {@link #VECTORS}, each vector once
   * @param seed of the bootstrap
   * @return rows with the columns of the table {@code agreement} without {@code run_id}; null
   *     stands for what is not defined
   */
  static Dataset<Row> table(Dataset<Row> vectors, long seed) {
    SparkSession session = vectors.sparkSession();
    List<Row> rows = new ArrayList<>();
    JobDescriptions.described(
        session.sparkContext(),
        "Agreement of judgements",
        () -> {
          String source = null;
          String kind = null;
          CountVectors.Builder same = new CountVectors.Builder();
          Iterator<Row> counted = vectors.sort("source", "kind", "judgements").toLocalIterator();
          while (counted.hasNext()) {
            Row row = counted.next();
            if (!row.getString(0).equals(source) || !row.getString(1).equals(kind)) {
              addRows(rows, source, kind, same.build(), seed);
              source = row.getString(0);
              kind = row.getString(1);
              same = new CountVectors.Builder();
            }
            List<Double> values = row.getList(2);
            same.add(values.stream().mapToDouble(v -> v).toArray(), row.getLong(3));
          }
          addRows(rows, source, kind, same.build(), seed);
        });
    return session.createDataFrame(rows, Table.AGREEMENT.schemaWithoutRun());
  }

  /**
   * Counts the units that were judged alike, for each source and over all.
   *
   * @param judgements with source, kind, unit, annotator_id (null if unknown) and value; values
   *     that are null or NaN are left out
   * @return rows with the columns of {@link #VECTORS}
   */
  static Dataset<Row> vectors(Dataset<Row> judgements) {
    Dataset<Row> slim =
        judgements
            .where(col("value").isNotNull().and(not(isnan(col("value")))))
            .select(
                xxhash64(col("kind"), col("unit")).as("unit"),
                col("source"),
                col("kind"),
                when(col("annotator_id").isNotNull(), xxhash64(col("annotator_id")))
                    .as("annotator"),
                // Adding zero turns a negative zero into zero.
                col("value").plus(0.0).as("value"));
    return slim.groupBy("unit")
        .as(Encoders.LONG(), Encoders.row(slim.schema()))
        .flatMapSortedGroups(
            new Column[] {col("annotator"), col("value"), col("source")},
            (FlatMapGroupsFunction<Long, Row, Row>) (unit, rows) -> vectorsOf(rows),
            Encoders.row(UNITS))
        .groupBy("source", "kind", "judgements")
        .agg(count(lit(1)).as("units"));
  }

  /** The sorted values of one unit, for each source and for all. */
  private static Iterator<Row> vectorsOf(Iterator<Row> judgements) {
    Map<String, DoubleStream.Builder> values = new TreeMap<>();
    String kind = null;
    Row last = null;
    while (judgements.hasNext()) {
      Row row = judgements.next();
      kind = row.getString(2);
      boolean repeated =
          last != null
              && row.get(3) != null
              && row.get(3).equals(last.get(3))
              && row.getDouble(4) == last.getDouble(4);
      if (!repeated) {
        add(values, ALL, row.getDouble(4));
      }
      if (!repeated || !Objects.equals(row.getString(1), last.getString(1))) {
        add(values, row.getString(1), row.getDouble(4));
      }
      last = row;
    }
    List<Row> vectors = new ArrayList<>();
    for (Map.Entry<String, DoubleStream.Builder> entry : values.entrySet()) {
      double[] sorted = entry.getValue().build().sorted().toArray();
      // What was judged once says only that the source exists.
      double[] judgedAgain = sorted.length < 2 ? new double[0] : sorted;
      vectors.add(RowFactory.create(entry.getKey(), kind, judgedAgain));
    }
    return vectors.iterator();
  }

  private static void add(
      Map<String, DoubleStream.Builder> values, String source, double judgement) {
    values.computeIfAbsent(source, s -> DoubleStream.builder()).add(judgement);
  }

  private static void addRows(
      List<Row> rows, String source, String kind, CountVectors vectors, long seed) {
    if (source == null) {
      return;
    }
    long units = 0;
    long judgements = 0;
    for (int v = 0; v < vectors.size(); v++) {
      units += vectors.units(v);
      judgements += vectors.units(v) * vectors.judgements(v);
    }
    AgreementCoefficients coefficients = AgreementCoefficients.of(vectors);
    AgreementBootstrap bootstrap = new AgreementBootstrap(vectors, seed);
    for (Metric metric : Metric.values()) {
      if (!metric.isFor(kind)) {
        continue;
      }
      AgreementBootstrap.Interval interval = bootstrap.interval(metric.value);
      rows.add(
          RowFactory.create(
              source,
              kind,
              metric.name().toLowerCase(Locale.ROOT),
              nullIfUndefined(metric.value.applyAsDouble(coefficients)),
              // One unit has no spread; what a bootstrap says of it would look certain.
              units < 2 ? null : nullIfUndefined(interval.low()),
              units < 2 ? null : nullIfUndefined(interval.high()),
              units,
              judgements));
    }
  }

  private static Double nullIfUndefined(double value) {
    return Double.isNaN(value) ? null : (Double) value;
  }
}
