package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.signum;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;

/**
 * How often rules that do not understand the text are right about what people prefer: the table
 * {@code bias_audit}.
 *
 * <ul>
 *   <li>{@code longer}: the response of more characters (code points) is better
 *   <li>{@code first}: the response that was shown first is better; over votes, and only over those
 *       in which somebody was shown two responses
 *   <li>{@code more_lists}: the response of more list items is better
 *   <li>{@code more_markdown}: the response of more markdown (headings, bold, code, links, list
 *       items) is better
 * </ul>
 */
public final class BiasAudit {
  private static final String ALL = Agreement.ALL;

  /** A rule on some votes or pairs, in the order of the table. */
  private record Part(String source, String split, String rule) implements Comparable<Part> {
    private static final Comparator<Part> ORDER =
        Comparator.comparing(Part::source).thenComparing(Part::split).thenComparing(Part::rule);

    @Override
    public int compareTo(Part other) {
      return ORDER.compare(this, other);
    }
  }

  private record Outcome(long right, long wrong, long undecided) {
    Outcome plus(Outcome other) {
      return new Outcome(right + other.right, wrong + other.wrong, undecided + other.undecided);
    }
  }

  private BiasAudit() {}

  /**
   * The audit, by source and split and over all of both.
   *
   * @param comparisons with kind, choice, source and split
   * @param pairs with chosen, rejected, decided (others are left out), source and split
   * @return rows with the columns of the table {@code bias_audit} without {@code run_id}; n is what
   *     a rule has an opinion on, undecided the rest; accuracy is null if n is 0
   */
  public static Dataset<Row> table(Dataset<Row> comparisons, Dataset<Row> pairs) {
    SparkSession session = pairs.sparkSession();
    Map<Part, Outcome> outcomes = new TreeMap<>();
    JobDescriptions.described(
        session.sparkContext(),
        "Bias audit",
        () -> {
          addTo(
              outcomes,
              choices(comparisons),
              Map.of("first", when(col("choice").equalTo("a"), 1).otherwise(-1)));
          addTo(
              outcomes,
              differences(pairs),
              Map.of(
                  "longer", signum(col("differences.length")),
                  "more_lists", signum(col("differences.lists")),
                  "more_markdown", signum(col("differences.marks"))));
        });
    List<Row> rows = new ArrayList<>();
    outcomes.forEach((part, outcome) -> rows.add(row(part, outcome)));
    return session.createDataFrame(rows, Table.BIAS_AUDIT.schemaWithoutRun());
  }

  private static Dataset<Row> choices(Dataset<Row> comparisons) {
    return comparisons.where(
        col("kind").equalTo(Agreement.COMPARISON).and(col("choice").isin("a", "b")));
  }

  private static Dataset<Row> differences(Dataset<Row> pairs) {
    return pairs
        .where(col("decided"))
        .select(col("source"), col("split"), differences("chosen", "rejected"));
  }

  /**
   * By how much one response exceeds the other in what the rules about responses look at: a
   * structure of {@code length} in characters, {@code lists} in list items and {@code marks} in all
   * markdown, list items included.
   *
   * @param response the column of the one
   * @param other the column of the other
   */
  public static Column differences(String response, String other) {
    Column lists = Markdown.listItems(col(response)).minus(Markdown.listItems(col(other)));
    return struct(
            length(col(response)).minus(length(col(other))).as("length"),
            lists.as("lists"),
            lists
                .plus(Markdown.otherMarks(col(response)))
                .minus(Markdown.otherMarks(col(other)))
                .as("marks"))
        .as("differences");
  }

  /** Counts outcomes (1 right, −1 wrong, 0 no opinion), each by source and split and over all. */
  private static void addTo(
      Map<Part, Outcome> outcomes, Dataset<Row> rows, Map<String, Column> rules) {
    List<String> names = List.copyOf(rules.keySet());
    Column[] counts =
        names.stream()
            .map(rules::get)
            .flatMap(outcome -> Stream.of(1, -1, 0).map(value -> countOf(outcome, value)))
            .toArray(Column[]::new);
    Column first = counts[0];
    Column[] others = Arrays.copyOfRange(counts, 1, counts.length);
    for (Row row : rows.groupBy("source", "split").agg(first, others).collectAsList()) {
      for (int rule = 0; rule < names.size(); rule++) {
        int at = 2 + 3 * rule;
        Outcome outcome = new Outcome(row.getLong(at), row.getLong(at + 1), row.getLong(at + 2));
        for (String source : List.of(row.getString(0), ALL)) {
          for (String split : List.of(row.getString(1), ALL)) {
            outcomes.merge(new Part(source, split, names.get(rule)), outcome, Outcome::plus);
          }
        }
      }
    }
  }

  private static Column countOf(Column outcome, int value) {
    return count(when(outcome.equalTo(value), 1));
  }

  private static Row row(Part part, Outcome outcome) {
    long n = outcome.right() + outcome.wrong();
    WilsonInterval interval = WilsonInterval.of(outcome.right(), n);
    return RowFactory.create(
        part.source(),
        part.split(),
        part.rule(),
        n == 0 ? null : (Double) ((double) outcome.right() / n),
        n == 0 ? null : (Double) interval.low(),
        n == 0 ? null : (Double) interval.high(),
        n,
        outcome.undecided());
  }
}
