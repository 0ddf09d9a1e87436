package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class BiasAuditTest {
  private static final String VOTES =
      """
      ('comparison', 'a', 's', 'train'), ('comparison', 'a', 's', 'test'),
      ('comparison', 'b', 't', 'train'), ('comparison', 'tie', 's', 'train'),
      ('rating', 'b', 's', 'train')""";

  @Test
  void whatIsShownFirstIsJudgedByVotes() {
    List<Row> table = audit(VOTES, "('x', 'y', false, 's', 'train')");

    assertThat(summary(table, "all", "all", "first")).isEqualTo("0.6666666666666666 of 3, 0");
    assertThat(summary(table, "s", "all", "first")).isEqualTo("1.0 of 2, 0");
    assertThat(summary(table, "s", "train", "first")).isEqualTo("1.0 of 1, 0");
    assertThat(summary(table, "t", "train", "first")).isEqualTo("0.0 of 1, 0");
    assertThat(table).hasSize(8);
  }

  @Test
  void lengthIsCountedInCodePointsOfDecidedPairs() {
    List<Row> table =
        audit(
            VOTES,
            """
            ('longer', 'short', true, 's', 'train'), ('x', 'yy', true, 's', 'train'),
            ('\ud83d\ude00\ud83d\ude00', 'xyz', true, 's', 'test'),
            ('\u00e9', 'e', true, 's', 'train'), ('xx', 'y', false, 's', 'train')""");

    assertThat(summary(table, "s", "all", "longer")).isEqualTo("0.3333333333333333 of 3, 1");
    assertThat(summary(table, "s", "test", "longer")).isEqualTo("0.0 of 1, 0");
    Row row = row(table, "s", "all", "longer");
    WilsonInterval interval = WilsonInterval.of(1, 3);
    assertThat(row.<Double>getAs("low")).isEqualTo(interval.low());
    assertThat(row.<Double>getAs("high")).isEqualTo(interval.high());
  }

  @Test
  void listsAndMarkdownAreCounted() {
    List<Row> table =
        audit(
            VOTES,
            """
            ('- x\\n  2. y\\n', '* z', true, 's', 'train'),
            ('\u2022 x', 'see\\n# Heading\\n`code` and [a](b)', true, 's', 'train'),
            ('**bold**', 'plain - not 1. a list', true, 's', 'train'),
            ('no', 'marks', true, 's', 'train')""");

    assertThat(summary(table, "s", "all", "more_lists")).isEqualTo("1.0 of 2, 2");
    assertThat(summary(table, "s", "all", "more_markdown")).isEqualTo("0.6666666666666666 of 3, 1");
  }

  @Test
  void aRuleWithoutAnOpinionHasNoAccuracy() {
    List<Row> table = audit(VOTES, "('x', 'y', true, 's', 'train')");

    Row row = row(table, "s", "train", "longer");
    assertThat(row.<Double>getAs("accuracy")).isNull();
    assertThat(row.<Double>getAs("low")).isNull();
    assertThat(row.<Long>getAs("undecided")).isEqualTo(1);
  }

  private static List<Row> audit(String votes, String pairs) {
    return BiasAudit.table(
            rows(votes, "kind, choice, source, split"),
            rows(pairs, "chosen, rejected, decided, source, split"))
        .collectAsList();
  }

  private static Dataset<Row> rows(String values, String columns) {
    return SparkTestSession.get()
        .sql("SELECT * FROM VALUES " + values + " AS rows(" + columns + ")");
  }

  private static String summary(List<Row> table, String source, String split, String rule) {
    Row row = row(table, source, split, rule);
    return "%s of %s, %s"
        .formatted(
            row.<Double>getAs("accuracy"), row.<Long>getAs("n"), row.<Long>getAs("undecided"));
  }

  private static Row row(List<Row> table, String source, String split, String rule) {
    assertThat(table.get(0).schema()).isEqualTo(Table.BIAS_AUDIT.schemaWithoutRun());
    return table.stream()
        .filter(row -> row.getString(0).equals(source))
        .filter(row -> row.getString(1).equals(split))
        .filter(row -> row.getString(2).equals(rule))
        .findFirst()
        .orElseThrow();
  }
}
