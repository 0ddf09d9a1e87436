package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

class FeedbackInvarianceTest {
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "feedback_id STRING, prompt STRING, response_a STRING, response_b STRING, choice STRING,"
              + " margin DOUBLE, annotator_id STRING, group_key STRING, unused INT");

  @Property(tries = 12, shrinking = ShrinkingMode.OFF)
  void orderPartitionsAndFilesChangeNoRow(
      @ForAll("logs") List<Row> log,
      @ForAll long order,
      @ForAll @IntRange(min = 1, max = 7) int files,
      @ForAll boolean withIds)
      throws IOException {
    SparkSession spark = SparkTestSession.get();
    List<Row> shuffled = new ArrayList<>(log);
    Collections.shuffle(shuffled, new Random(order));
    Path folder = Files.createTempDirectory("feedback");
    String path = folder.resolve("log").toString();
    Dataset<Row> written = spark.createDataFrame(shuffled, SCHEMA).repartition(files);
    written.write().parquet(path);

    List<String> expected = outputs(spark.createDataFrame(log, SCHEMA).coalesce(1), withIds);
    List<String> cut = outputs(spark.read().parquet(path), withIds);

    assertThat(cut).isEqualTo(expected);
  }

  @Provide
  Arbitrary<List<Row>> logs() {
    Arbitrary<Row> rows =
        Combinators.combine(
                Arbitraries.integers().between(1, 60).map(i -> i == 1 ? null : "id" + i),
                Arbitraries.of("p", "q", "r", " ", null),
                Arbitraries.of("x", "y", "z", "x "),
                Arbitraries.of("x", "y", "w", ""),
                Arbitraries.of("a", "b", "tie", "B", "c", null),
                Arbitraries.of(0.1, 0.2, 0.3, 1e16, -1.0, null),
                Arbitraries.of("anna", "bo", null),
                Arbitraries.of(1, 2))
            .as(
                (id, prompt, a, b, choice, margin, annotator, unused) -> {
                  String group = "z".equals(a) ? "special" : "usual";
                  return RowFactory.create(
                      id, prompt, a, b, choice, margin, annotator, group, unused);
                });
    return rows.list().ofMinSize(1).ofMaxSize(60);
  }

  /** All rows of everything that is found out, sorted. */
  private static List<String> outputs(Dataset<Row> log, boolean withIds) {
    Dataset<Row> given = withIds ? log : log.drop("feedback_id");
    List<String> rows = new ArrayList<>();
    try (Feedback feedback =
        new Feedback.Builder(LogFormat.of(Layout.COMPARISON), Pairing.ANNOTATOR)
            .add(given, "log")
            .check()) {
      add(rows, "comparison", feedback.comparisons());
      add(rows, "quarantine", feedback.quarantine());
      assertThat(rows).hasSize((int) log.count());
      Dataset<Row> prompts =
          feedback.votes().select(col("prompt"), col("given_group").as("group_key"));
      try (PromptGroups groups = PromptGroups.of(prompts, 0.8);
          Reliability estimate = Reliability.of(feedback.votes(), List.of("log"))) {
        add(rows, "group", groups.renamed());
        add(rows, "duplicate", groups.duplicates());
        add(rows, "annotator", estimate.annotators());
        Dataset<Row> weights = estimate.annotators().select("annotator_id", "weight");
        Dataset<Row> votes = feedback.votes().join(weights, new String[] {"annotator_id"}, "left");
        add(rows, "pair", PairAggregator.tallies(votes, estimate.pairs(), List.of("log"), true));
      }
    }
    Collections.sort(rows);
    return rows;
  }

  private static void add(List<String> rows, String kind, Dataset<Row> more) {
    more.collectAsList().forEach(row -> rows.add(kind + " " + row.mkString("|")));
  }
}
