package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** Every real log goes through its layout, and its rows are counted. */
class FeedbackFilesTest {
  private static final String INSTRUCTION_AND_INPUT = "concat_ws('\\n', instruction, input)";

  @Test
  void votes() {
    LogFormat format =
        LogFormat.of(Layout.COMPARISON)
            .with(LogPart.ID, "vote_id")
            .with(LogPart.GROUP, "topic")
            .with(LogPart.STARTED_AT, "accepted_at");
    assertThat(counts(read("ukp_votes", format)))
        .isEqualTo(Map.of("usable", 84_370L, "identical_responses", 75L));
  }

  @Test
  void transcripts() {
    assertThat(counts(read("hh_harmless", LogFormat.of(Layout.HH))))
        .isEqualTo(Map.of("usable", 2303L, "blank_response", 4L, "unparsable_transcript", 5L));
  }

  @Test
  void ratingsOrRanksOfReviewers() {
    Scale scale = new Scale(1, 100);
    // The same questions are asked about every story.
    LogFormat format =
        LogFormat.of(Layout.RATING, scale)
            .with(LogPart.PROMPT, "concat('Story ', passage_id, ': ', prompt)")
            .with(LogPart.GROUP, "passage_id");
    Dataset<Row> ratings = read("squality_reviews", format);
    assertThat(counts(ratings)).isEqualTo(Map.of("usable", 864L, "rating_out_of_range", 36L));
    assertThat(pairs(ratings, scale)).isEqualTo(831L);
    Scale places = new Scale(1, 4);
    Dataset<Row> ranks =
        read(
            "squality_reviews",
            new LogFormat(
                Layout.RATING,
                format.with(LogPart.RATING, "5 - rank").expressions(),
                places,
                format.template(),
                format.maxTextCharacters()));
    assertThat(counts(ranks)).isEqualTo(Map.of("usable", 900L));
    assertThat(pairs(ranks, places)).isEqualTo(900L);
  }

  @Test
  void votesByExpressions() {
    LogFormat format =
        LogFormat.of(Layout.COMPARISON)
            .with(LogPart.PROMPT, INSTRUCTION_AND_INPUT)
            .with(LogPart.RESPONSE_A, "response1")
            .with(LogPart.RESPONSE_B, "response2")
            .with(
                LogPart.CHOICE,
                "CASE label WHEN 'response1' THEN 'a' WHEN 'response2' THEN 'b' ELSE label END")
            .with(LogPart.ANNOTATOR, "annotator");
    assertThat(counts(read("pandalm_votes", format)))
        .isEqualTo(Map.of("usable", 2835L, "blank_response", 162L));
  }

  @Test
  void conversations() {
    assertThat(counts(read("trl_preference_conversational", LogFormat.of(Layout.TRL))))
        .isEqualTo(Map.of("usable", 300L));
    assertThat(counts(read("trl_unpaired_conversational", LogFormat.of(Layout.TRL_UNPAIRED))))
        .isEqualTo(Map.of("usable", 300L));
  }

  @Test
  void labels() {
    LogFormat format =
        LogFormat.of(Layout.BINARY)
            .with(LogPart.PROMPT, "'What do you think of the product?'")
            .with(LogPart.RESPONSE, "text")
            .with(LogPart.LABEL, "CASE label WHEN 'pro' THEN 1 WHEN 'con' THEN 0 END");
    assertThat(counts(read("pros_cons", format))).isEqualTo(Map.of("usable", 45_867L));
  }

  @Test
  void demonstrationsAreAcceptedResponses() {
    LogFormat format =
        LogFormat.of(Layout.BINARY)
            .with(LogPart.PROMPT, INSTRUCTION_AND_INPUT)
            .with(LogPart.LABEL, "true");
    Dataset<Row> rows = read("roleplay_instructions", format);
    assertThat(counts(rows)).isEqualTo(Map.of("usable", 1923L));
    assertThat(pairs(rows, Scale.UNIT)).isZero();
  }

  private static Dataset<Row> read(String file, LogFormat format) {
    String path = SharedData.file("data/" + file + ".parquet").toString();
    return JudgementLog.read(SparkTestSession.get().read().parquet(path), format, file);
  }

  private static long pairs(Dataset<Row> rows, Scale scale) {
    return RatingPairs.comparisons(rows.where("reason IS NULL"), Pairing.ANNOTATOR, scale).count();
  }

  /** Rows by reason. */
  private static Map<String, Long> counts(Dataset<Row> rows) {
    Map<String, Long> counts = new TreeMap<>();
    rows.groupBy(coalesce(col("reason"), lit("usable")))
        .count()
        .collectAsList()
        .forEach(row -> counts.put(row.getString(0), row.getLong(1)));
    return counts;
  }
}
