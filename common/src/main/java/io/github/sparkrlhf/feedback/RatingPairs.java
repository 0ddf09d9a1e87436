package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.abs;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.not;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.JobFailure;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Objects;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.StructType;

/**
 * Comparisons from judgements of single responses and from rankings, as rows of {@link
 * JudgementLog}.
 *
 * <p>Which of two responses is {@code response_a} is arbitrary but always the same. Equal ratings
 * are a tie; {@code margin} is their difference as a share of the scale. Two responses with the
 * same text are not compared.
 */
public final class RatingPairs {
  /** How many responses one annotator may have judged for one prompt. */
  public static final int MAX_JUDGEMENTS = 100;

  /** Two judged responses; what is of the judgement and not of a response is that of both. */
  private static final StructType TWO =
      StructType.fromDDL(
          "feedback_id STRING, original_id STRING, kind STRING, prompt STRING, messages "
              + Conversation.TYPE
              + ", x STRING, x_rating DOUBLE, y STRING, y_rating DOUBLE, annotator_id STRING,"
              + " started_at TIMESTAMP, created_at TIMESTAMP, group_key STRING, source STRING");

  private RatingPairs() {}

  /**
   * All comparisons that follow from the rows.
   *
   * <ul>
   *   <li>of a ranking: each two of its responses, under the id {@code id#i-j}
   *   <li>of ratings: each two by the same annotator of responses to the same prompt, under the id
   *       {@code id1+id2}; unknown annotators count as one
   *   <li>of accepted and rejected responses: each accepted with each rejected one, likewise
   * </ul>
   *
   * <p>Texts are shuffled once. {@code original_id} is the id of the judgement, or those of the
   * two; of two judgements, the later one gives the times.
   *
   * @param usable rows without a reason; an id stands there once
   * @param pairing which judgements are compared; a comparison of those of two annotators, who may
   *     be of any logs, has no annotator
   * @param scale of the ratings
   * @return feedback_id, original_id, kind, prompt, messages, response_a, response_b, choice,
   *     margin, annotator_id, started_at, created_at, group_key, source. An action on it fails with
   *     data quality if an annotator judged more than {@link #MAX_JUDGEMENTS} responses to one
   *     prompt
   */
  public static Dataset<Row> comparisons(Dataset<Row> usable, Pairing pairing, Scale scale) {
    Dataset<Row> single =
        usable.where(
            col("kind").isin(Judgement.RATING, Judgement.BINARY).and(lit(pairing != Pairing.NONE)));
    Dataset<Row> rankings = usable.where(col("kind").equalTo(Judgement.RANKING));
    return ordered(ofRankings(rankings).unionByName(ofSingle(single, pairing)), scale);
  }

  private static Dataset<Row> ofRankings(Dataset<Row> rankings) {
    Column pairs =
        expr(
            "inline(flatten(transform(candidates, (x, i) -> transform(slice(candidates, i + 2,"
                + " size(candidates)), (y, j) -> struct(concat(i + 1, '-', i + 2 + j) AS place,"
                + " x.response AS x, x.rating AS x_rating, y.response AS y,"
                + " y.rating AS y_rating)))))");
    return rankings
        .select(col("*"), pairs)
        .where(not(NormalizedText.identity(col("x")).equalTo(NormalizedText.identity(col("y")))))
        .withColumn("original_id", col("feedback_id"))
        .withColumn("feedback_id", concat(col("feedback_id"), lit("#"), col("place")))
        .select(columns(TWO));
  }

  private static Dataset<Row> ofSingle(Dataset<Row> judgements, Pairing pairing) {
    Column who =
        pairing == Pairing.PROMPT
            ? lit("")
            : RowHash.text(col("source"), coalesce(concat(lit("="), col("annotator_id")), lit("")));
    Column key = RowHash.of(NormalizedText.identity(col("prompt")), who, col("kind"));
    Dataset<Row> slim =
        judgements
            .withColumn("key", key)
            .withColumn("response", col("candidates").getItem(0).getField("response"))
            .withColumn("rating", col("candidates").getItem(0).getField("rating"))
            .select(columns(Judged.SCHEMA));
    MapPartitionsFunction<Row, Row> pairs = RatingPairs::pairs;
    return slim.repartition(col("key"))
        .sortWithinPartitions("key", "feedback_id")
        .mapPartitions(pairs, ExpressionEncoder.apply(TWO));
  }

  /** One judgement of a response. */
  private record Judged(Row row, String identity) {
    static final StructType SCHEMA =
        StructType.fromDDL(
            "key STRING, feedback_id STRING, kind STRING, prompt STRING, messages "
                + Conversation.TYPE
                + ", response STRING, rating DOUBLE, annotator_id STRING, started_at TIMESTAMP,"
                + " created_at TIMESTAMP, group_key STRING, source STRING");

    Judged(Row row) {
      this(row, NormalizedText.identity(row.getString(SCHEMA.fieldIndex("response"))));
    }

    Object get(String column) {
      return row.get(SCHEMA.fieldIndex(column));
    }

    String text(String column) {
      return (String) get(column);
    }

    boolean isComparableTo(Judged other) {
      boolean decided = !get("rating").equals(other.get("rating"));
      return !identity.equals(other.identity) && (decided || text("kind").equals(Judgement.RATING));
    }

    boolean isBefore(Judged other) {
      Timestamp mine = (Timestamp) get("created_at");
      Timestamp theirs = (Timestamp) other.get("created_at");
      return theirs != null && (mine == null || mine.before(theirs));
    }

    /** This judgement and one of a greater id. */
    Row with(Judged other) {
      Judged later = isBefore(other) ? other : this;
      String id = text("feedback_id") + "+" + other.text("feedback_id");
      boolean samePerson = Objects.equals(get("annotator_id"), other.get("annotator_id"));
      String source = text("source");
      String otherSource = other.text("source");
      return RowFactory.create(
          id,
          id,
          get("kind"),
          get("prompt"),
          get("messages"),
          get("response"),
          get("rating"),
          other.get("response"),
          other.get("rating"),
          samePerson ? get("annotator_id") : null,
          later.get("started_at"),
          later.get("created_at"),
          get("group_key"),
          source.equals(otherSource) ? source : sources(source, otherSource));
    }

    private static String sources(String a, String b) {
      return a.compareTo(b) < 0 ? a + "," + b : b + "," + a;
    }
  }

  /** The pairs within each run of rows with one key, which stand together. */
  private static Iterator<Row> pairs(Iterator<Row> rows) {
    return new Iterator<>() {
      private final List<Judged> group = new ArrayList<>();
      private Iterator<Row> ready = List.<Row>of().iterator();

      @Override
      public boolean hasNext() {
        while (!ready.hasNext() && rows.hasNext()) {
          ready = next(new Judged(rows.next())).iterator();
        }
        return ready.hasNext();
      }

      @Override
      public Row next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        return ready.next();
      }

      /** The pairs of a judgement with those before it in its group. */
      private List<Row> next(Judged judged) {
        if (!group.isEmpty() && !group.get(0).get("key").equals(judged.get("key"))) {
          group.clear();
        }
        List<Row> found = new ArrayList<>();
        for (Judged earlier : group) {
          if (earlier.isComparableTo(judged)) {
            found.add(earlier.with(judged));
          }
        }
        group.add(judged);
        requireFew(group);
        return found;
      }
    };
  }

  private static void requireFew(List<Judged> group) {
    if (group.size() > MAX_JUDGEMENTS) {
      String prompt = group.get(0).text("prompt");
      String start =
          prompt.substring(
              0,
              prompt.offsetByCodePoints(
                  0, Math.min(80, prompt.codePointCount(0, prompt.length()))));
      throw JobFailure.dataQuality(
          "Cannot pair ratings: the prompt '%s' has more than %d of them by one annotator"
              .formatted(start, MAX_JUDGEMENTS));
    }
  }

  private static Dataset<Row> ordered(Dataset<Row> two, Scale scale) {
    Column first = FirstShown.is(col("prompt"), col("x"), col("y"));
    Column ahead = col("x_rating").minus(col("y_rating"));
    Dataset<Row> rows = two.withColumn("x_first", first).withColumn("ahead", ahead);
    Column firstAhead = when(col("x_first"), col("ahead")).otherwise(col("ahead").multiply(-1));
    return rows.select(
        col("feedback_id"),
        col("original_id"),
        col("kind"),
        col("prompt"),
        col("messages"),
        when(col("x_first"), col("x")).otherwise(col("y")).as("response_a"),
        when(col("x_first"), col("y")).otherwise(col("x")).as("response_b"),
        when(firstAhead.gt(0), "a").when(firstAhead.lt(0), "b").otherwise("tie").as("choice"),
        abs(col("ahead")).divide(scale.range()).as("margin"),
        col("annotator_id"),
        col("started_at"),
        col("created_at"),
        col("group_key"),
        col("source"));
  }

  private static Column[] columns(StructType schema) {
    return Arrays.stream(schema.fieldNames()).map(name -> col(name)).toArray(Column[]::new);
  }
}
