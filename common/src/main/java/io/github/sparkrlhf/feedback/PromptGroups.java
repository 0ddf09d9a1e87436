package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.spark.Cached;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SmallSide;
import java.util.Iterator;
import java.util.Optional;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;

/**
 * Groups that a split cannot tear apart: the connected components of the groups of a log. Two
 * groups are linked if they contain the same prompt ({@link NormalizedText#loose}) or prompts that
 * are near-duplicates: a Jaccard similarity of their runs of five characters at a threshold or
 * above. A component is named by the least of its groups in the order of UTF-8 bytes.
 *
 * <p>Prompts and groups are compared by hashes of 64 bits. The links of groups that share a prompt
 * meet on the driver: tens of millions of them in a heap of 4 GiB.
 *
 * <p>The distinct prompts and the near-duplicates are kept in Spark's cache until {@link #close}.
 */
public final class PromptGroups implements AutoCloseable {
  /** One row per distinct (prompt, group_key), with the hashes {@code text} and {@code grp}. */
  private final Dataset<Row> prompts;

  private final Cached cached;

  private final Optional<NearDuplicates> near;
  private final Broadcast<LinkedComponents> components;
  private final Cached renamed;
  private final long renamedCount;

  private PromptGroups(Cached cached, Optional<NearDuplicates> near, LinkedComponents components) {
    this.cached = cached;
    this.prompts = cached.rows();
    this.near = near;
    this.components =
        JavaSparkContext.fromSparkContext(prompts.sparkSession().sparkContext())
            .broadcast(components);
    this.renamed = new Cached(renamedGroups());
    this.renamedCount = renamed.rows().count();
  }

  /**
   * Finds the groups.
   *
   * @param rows with the columns {@code prompt} and {@code group_key} STRING, neither null; rows
   *     may be repeated
   * @param threshold the least similarity of near-duplicates, in (0, 1]; 0 looks for none
   * @throws JobFailure if the threshold is outside [0, 1]
   */
  public static PromptGroups of(Dataset<Row> rows, double threshold) {
    if (!(threshold >= 0 && threshold <= 1)) {
      throw JobFailure.usage(
          "Cannot look for near-duplicate prompts of similarity "
              + threshold
              + ": give a number between 0 and 1, where 0 looks for none");
    }
    SparkContext context = rows.sparkSession().sparkContext();
    Cached cached = new Cached(prompts(rows));
    Dataset<Row> prompts = cached.rows();
    Optional<NearDuplicates> near =
        threshold == 0
            ? Optional.empty()
            : Optional.of(
                JobDescriptions.described(
                    context,
                    "Finding near-duplicate prompts",
                    () ->
                        NearDuplicates.of(
                            prompts.select(col("text").as("key"), col("prompt").as("text")),
                            threshold)));
    LinkedComponents components =
        JobDescriptions.described(
            context, "Linking groups that share a prompt", () -> components(prompts, near));
    return new PromptGroups(cached, near, components);
  }

  /** The groups that are not named as their component: the columns group_key and component. */
  public Dataset<Row> renamed() {
    return SmallSide.of(renamed.rows(), renamedCount);
  }

  private Dataset<Row> renamedGroups() {
    return members()
        .join(names(), "component")
        .where(col("group_key").notEqual(col("name")))
        .select(col("group_key"), col("name").as("component"));
  }

  /**
   * Prompts that say the same, with the columns of the table {@code duplicates} but {@code run_id}.
   * Kind {@code exact}: every spelling of a prompt beside the least spelling, similarity 1. Kind
   * {@code near}: two near-duplicates, each in its least spelling. prompt_a &lt; prompt_b; the
   * group_key is that of the component.
   */
  public Dataset<Row> duplicates() {
    Dataset<Row> spelled =
        prompts
            .groupBy("text")
            .agg(min(xxhash64(col("prompt"))).as("first"), max(xxhash64(col("prompt"))).as("last"))
            .where(col("first").notEqual(col("last")))
            .select("text");
    Dataset<Row> spellings =
        prompts
            .join(withNearTexts(spelled, near), "text", "left_semi")
            .withColumn("component", component())
            .join(names(), "component", "left_outer")
            .select(col("text"), col("prompt"), coalesce(col("name"), key()).as("group_key"))
            .distinct();
    Dataset<Row> least =
        spellings.groupBy("text").agg(min("prompt").as("least"), min("group_key").as("group_key"));
    Dataset<Row> exact =
        spellings
            .drop("group_key")
            .join(least, "text")
            .where(col("least").lt(col("prompt")))
            .select(
                lit("exact").as("kind"),
                col("least").as("prompt_a"),
                col("prompt").as("prompt_b"),
                lit(1.0).as("similarity"),
                col("group_key"));
    return near.map(found -> exact.union(nearPairs(found.pairs(), least))).orElse(exact);
  }

  @Override
  public void close() {
    renamed.close();
    near.ifPresent(NearDuplicates::close);
    cached.close();
  }

  private static Dataset<Row> prompts(Dataset<Row> rows) {
    // Often the prompt is its own group: then it need not be held twice.
    Column group = when(col("group_key").notEqual(col("prompt")), col("group_key"));
    return rows.select(col("prompt"), group.as("own_group"))
        .distinct()
        .select(
            col("prompt"),
            col("own_group"),
            // The prefix keeps prompts apart from groups, which are prompts themselves.
            xxhash64(lit("prompt"), NormalizedText.loose(col("prompt"))).as("text"),
            xxhash64(key()).as("grp"));
  }

  private static Column key() {
    return coalesce(col("own_group"), col("prompt"));
  }

  private static LinkedComponents components(Dataset<Row> prompts, Optional<NearDuplicates> near) {
    Dataset<Row> shared =
        prompts
            .groupBy("text")
            .agg(min("grp").as("first"), max("grp").as("last"))
            .where(col("first").notEqual(col("last")))
            .select("text");
    LinkedComponents.Builder links = new LinkedComponents.Builder();
    Dataset<Row> linking = withNearTexts(shared, near);
    collect(prompts.join(linking, "text", "left_semi").select("text", "grp").distinct(), links);
    near.ifPresent(found -> collect(found.pairs().select("key_a", "key_b"), links));
    return links.build();
  }

  private static void collect(Dataset<Row> links, LinkedComponents.Builder builder) {
    // One partition at a time: as rows, all of them would need ten times the memory.
    for (Iterator<Row> rows = links.toLocalIterator(); rows.hasNext(); ) {
      Row link = rows.next();
      builder.link(link.getLong(0), link.getLong(1));
    }
  }

  /** The texts (column text) and those that have a near-duplicate. */
  private static Dataset<Row> withNearTexts(Dataset<Row> texts, Optional<NearDuplicates> near) {
    return near.map(NearDuplicates::pairs)
        .map(pairs -> texts.union(pairs.select("key_a")).union(pairs.select("key_b")))
        .map(Dataset::distinct)
        .orElse(texts);
  }

  private static Dataset<Row> nearPairs(Dataset<Row> pairs, Dataset<Row> least) {
    return pairs
        .join(least.toDF("key_a", "least_a", "group_key"), "key_a")
        .join(least.drop("group_key").toDF("key_b", "least_b"), "key_b")
        .select(
            lit("near").as("kind"),
            least(col("least_a"), col("least_b")).as("prompt_a"),
            greatest(col("least_a"), col("least_b")).as("prompt_b"),
            col("similarity"),
            col("group_key"));
  }

  /** The groups that are linked to something: group_key and the number of the component. */
  private Dataset<Row> members() {
    return prompts
        .select(key().as("group_key"), component().as("component"))
        .where(col("component").isNotNull())
        .distinct();
  }

  /** The name of each component. */
  private Dataset<Row> names() {
    return members().groupBy("component").agg(min("group_key").as("name"));
  }

  private Column component() {
    Broadcast<LinkedComponents> shared = components;
    UDF1<Long, Long> component = group -> shared.value().of(group);
    return udf(component, DataTypes.LongType).apply(col("grp"));
  }
}
