package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.udf;

import io.github.sparkrlhf.spark.Cached;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.sketch.BloomFilter;

/**
 * Texts that are the same but for a few characters: the Jaccard similarity of their {@linkplain
 * Shingles shingles} is at least a threshold. {@link MinHash} gives the candidates, which are then
 * compared exactly: what is found is right, and what is at the threshold is found with the
 * probability {@link MinHash#recall}.
 *
 * <p>Texts with a band in common form a bucket. The {@value BandBuckets#ALL_PAIRS} least keys of a
 * bucket are all candidates of each other; each further key is one with the least key and with the
 * key before it. So the work grows with the texts and not with their square, and of a great many
 * texts that begin alike some pairs may be missed, though seldom all pairs of a text.
 *
 * <p>The result is kept in Spark's cache until {@link #close}.
 */
final class NearDuplicates implements AutoCloseable {
  private static final double FALSE_POSITIVES = 0.01;

  private final Cached pairs;

  private NearDuplicates(Cached pairs) {
    this.pairs = pairs;
  }

  /**
   * Finds the near-duplicates among texts.
   *
   * @param texts with the columns {@code key} BIGINT and {@code text} STRING. Texts are compared in
   *     their loose form; a key may be repeated with texts of the same loose form.
   * @param threshold the least similarity, in (0, 1]
   */
  static NearDuplicates of(Dataset<Row> texts, double threshold) {
    try (Cached candidates = new Cached(candidates(texts))) {
      Cached pairs = new Cached(verified(candidates.rows(), texts, threshold));
      pairs.rows().count();
      return new NearDuplicates(pairs);
    }
  }

  /** The columns key_a &lt; key_b and similarity, one row per two texts. */
  Dataset<Row> pairs() {
    return pairs.rows();
  }

  @Override
  public void close() {
    pairs.close();
  }

  /** Keys that share a band: key_a &lt; key_b, each pair once. */
  static Dataset<Row> candidates(Dataset<Row> texts) {
    UDF1<String, long[]> bands = text -> MinHash.bands(NormalizedText.loose(text));
    Column ofText = udf(bands, DataTypes.createArrayType(DataTypes.LongType)).apply(col("text"));
    MapPartitionsFunction<Row, Row> buckets = BandBuckets::new;
    return texts
        .select(explode(ofText).as("band"), col("key"))
        .repartition(col("band"))
        .sortWithinPartitions("band", "key")
        .mapPartitions(
            buckets,
            Encoders.row(StructType.fromDDL("key_a BIGINT NOT NULL, key_b BIGINT NOT NULL")))
        .distinct();
  }

  private static Dataset<Row> verified(
      Dataset<Row> candidates, Dataset<Row> texts, double threshold) {
    if (candidates.isEmpty()) {
      return candidates.withColumn("similarity", lit(1.0));
    }
    Dataset<Row> compared =
        texts
            .where(isCandidate(candidates, texts))
            .select(col("key"), NormalizedText.loose(col("text")).as("text"))
            .distinct();
    UDF2<String, String, Double> jaccard = Shingles::jaccard;
    return candidates
        .join(compared.toDF("key_a", "text_a"), "key_a")
        .join(compared.toDF("key_b", "text_b"), "key_b")
        .select(
            col("key_a"),
            col("key_b"),
            udf(jaccard, DataTypes.DoubleType).apply(col("text_a"), col("text_b")).as("similarity"))
        .where(col("similarity").geq(threshold));
  }

  /** Holds for all texts that are a candidate, and few others: only these need to be shuffled. */
  private static Column isCandidate(Dataset<Row> candidates, Dataset<Row> texts) {
    long keys = Math.min(texts.count(), 2 * candidates.count());
    BloomFilter filter =
        candidates
            .select(explode(array(col("key_a"), col("key_b"))).as("key"))
            .stat()
            .bloomFilter("key", keys, FALSE_POSITIVES);
    Broadcast<BloomFilter> shared =
        JavaSparkContext.fromSparkContext(texts.sparkSession().sparkContext()).broadcast(filter);
    UDF1<Long, Boolean> mayContain = key -> shared.value().mightContainLong(key);
    return udf(mayContain, DataTypes.BooleanType).apply(col("key"));
  }
}
