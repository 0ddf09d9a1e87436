package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.ShrinkingMode;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class VotePatternsTest {
  private static final List<String> SOURCES = List.of("s", "t");
  private static final StructType VOTES =
      StructType.fromDDL(
          "pair_id STRING, choice STRING, swapped BOOLEAN, annotator_id STRING, source STRING");

  @Test
  void votesForBothSidesContradictEachOther() {
    Dataset<Row> votes =
        SparkTestSession.get()
            .sql(
                """
                SELECT * FROM VALUES
                ('p1', 'a', false, 'w1', 's'), ('p1', 'b', false, 'w2', 's'),
                ('p2', 'a', false, 'w1', 's'), ('p2', 'b', true, 'w1', 's'),
                ('p3', 'a', false, 'w1', 's'), ('p3', 'a', true, 'w1', 's'),
                ('p3', 'a', true, 'w2', 's'),
                ('p4', 'a', false, 'w1', 's'), ('p4', 'b', false, 'w1', 't'),
                ('p5', 'a', false, NULL, 's'), ('p5', 'b', false, NULL, 's'),
                ('p6', 'a', false, 'w1', 's'), ('p6', 'tie', false, 'w1', 's')
                AS votes(pair_id, choice, swapped, annotator_id, source)""");

    assertThat(contradictions(votes))
        .isEqualTo(
            Map.of(
                "s contradicted_pairs", 3L,
                "s self_contradictions", 1L,
                "t contradicted_pairs", 0L,
                "t self_contradictions", 0L,
                "all contradicted_pairs", 4L,
                "all self_contradictions", 2L));
  }

  /** The way of ratings, which counts values of any kind, must come to the same. */
  @Property(tries = 10, shrinking = ShrinkingMode.OFF)
  void votesAreJudgementsOfPairs(@ForAll("votes") List<Row> rows) {
    Dataset<Row> votes = SparkTestSession.get().createDataFrame(rows, VOTES).repartition(3);
    Dataset<Row> judgements =
        votes.select(
            col("source"),
            lit(Agreement.COMPARISON).as("kind"),
            col("pair_id").as("unit"),
            col("annotator_id"),
            when(col("choice").equalTo("tie"), 0.0)
                .when(col("choice").equalTo("a").notEqual(col("swapped")), -1.0)
                .otherwise(1.0)
                .as("value"));

    try (Reliability reliability = reliability(votes)) {
      Dataset<Row> vectors = reliability.patterns().vectors(votes.sparkSession(), SOURCES);
      assertThat(Agreement.table(vectors, 1).collectAsList())
          .isEqualTo(Agreement.table(Agreement.vectors(judgements), 1).collectAsList());
    }
  }

  @Provide
  Arbitrary<List<Row>> votes() {
    return Combinators.combine(
            Arbitraries.of("p", "q", "r", "u"),
            Arbitraries.of("a", "b", "tie"),
            Arbitraries.of(true, false),
            Arbitraries.of("anna", "bo", "cy", null),
            Arbitraries.of(SOURCES))
        .as(
            (pair, choice, swapped, annotator, source) ->
                RowFactory.create(pair, choice, swapped, annotator, source))
        .list()
        .ofMinSize(1)
        .ofMaxSize(60);
  }

  private static Reliability reliability(Dataset<Row> votes) {
    return Reliability.of(
        votes
            .withColumn("created_at", expr("CAST(NULL AS TIMESTAMP)"))
            .withColumn("started_at", expr("CAST(NULL AS TIMESTAMP)")),
        SOURCES);
  }

  private static Map<String, Long> contradictions(Dataset<Row> votes) {
    Map<String, Long> values = new TreeMap<>();
    try (Reliability reliability = reliability(votes)) {
      FeedbackMetrics.contradictions(votes.sparkSession(), reliability.patterns(), SOURCES)
          .collectAsList()
          .forEach(row -> values.put(row.getString(0) + " " + row.getString(1), row.getLong(2)));
    }
    return values;
  }
}
