package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** Small tables in the public form of each layout. */
class LayoutTest {
  private static final String TURN = "named_struct('role', '%s', 'content', '%s')";

  @Test
  void aComparisonMayBeANumberOnAScale() {
    Dataset<Row> log =
        sql(
            "SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, choice, id AS feedback_id"
                + " FROM VALUES (1, '1'), (3, '2'), (4, '3'), (6, '4'), (7, '5'), (8, '6'),"
                + " (NULL, '7') AS log(choice, id)");
    assertThat(read(log, LogFormat.of(Layout.COMPARISON, new Scale(1, 7)), "choice", "margin"))
        .containsExactly(
            "a|1.0",
            "a|0.3333333333333333",
            "tie|0.0",
            "b|0.6666666666666666",
            "b|1.0",
            "choice_out_of_range: 8",
            "missing_choice");
  }

  @Test
  void ratingsHaveAScale() {
    Dataset<Row> log =
        sql(
            "SELECT 'p' AS prompt, 'x' AS response, CAST(rating AS DOUBLE) AS rating FROM VALUES"
                + " '1', '5', '5.5', NULL, 'NaN', '-Infinity' AS log(rating)");
    assertThatThrownBy(() -> LogFormat.of(Layout.RATING))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read ratings without --scale LOW,HIGH");
    LogFormat format = LogFormat.of(Layout.RATING, new Scale(1, 5));
    assertThat(read(log, format, "candidates"))
        .containsExactly(
            "[{x, 1.0}]",
            "[{x, 5.0}]",
            "rating_out_of_range: 5.5",
            "invalid_rating: null",
            "invalid_rating: NaN",
            "invalid_rating: -Infinity");
  }

  @Test
  void acceptedAndRejectedAreWordsOrNumbersOrBooleans() {
    for (String labels :
        List.of("'Accept', 'rejected', 'maybe'", "1, 0, 2", "true, false, CAST(NULL AS BOOLEAN)")) {
      Dataset<Row> log =
          sql(
              "SELECT 'p' AS prompt, 'x' AS response, label FROM (SELECT explode(array("
                  + labels
                  + ")) AS label)");
      assertThat(read(log, LogFormat.of(Layout.BINARY), "candidates"))
          .first()
          .isEqualTo("[{x, 1.0}]");
      assertThat(read(log, LogFormat.of(Layout.BINARY), "kind", "candidates"))
          .element(1)
          .isEqualTo("binary|[{x, 0.0}]");
      assertThat(read(log, LogFormat.of(Layout.BINARY), "kind", "candidates"))
          .element(2)
          .asString()
          .startsWith("invalid_label");
    }
  }

  @Test
  void rankingsHaveARankForEachResponse() {
    Dataset<Row> log =
        sql(
            "SELECT 'p' AS prompt, split(texts, '') AS responses, ranks FROM VALUES"
                + " ('xyz', array(1, 3, 1)), ('xy', array(1, 2, 3)), ('x', array(1)),"
                + " ('xy', array(0, 1)), ('xy', array(1, NULL)), ('xx', array(1, 2)), (NULL, NULL)"
                + " AS log(texts, ranks)");
    assertThat(read(log, LogFormat.of(Layout.RANKING), "candidates"))
        .containsExactly(
            "[{x, 1.0}, {y, 0.0}, {z, 1.0}]",
            "invalid_ranking: 3 numbers for 2 responses",
            "invalid_ranking: fewer than 2 responses",
            "invalid_ranking: [0.0, 1.0]",
            "invalid_ranking: [1.0, null]",
            "identical_responses",
            "invalid_ranking: fewer than 2 responses");
  }

  @Test
  void transcriptsShareAllButTheLastTurn() {
    String start = "\\n\\nHuman: Hi\\n\\nAssistant: Hello\\n\\nHuman: Why?\\n\\nAssistant:";
    Dataset<Row> log =
        sql(
            "SELECT * FROM VALUES ('%1$s Yes\\n', '%1$s  No', 'chosen'), ('%1$s', '%1$s No', 'chosen'),"
                    .formatted(start)
                + " ('%1$s a', '\\n\\nHuman: Hi\\n\\nAssistant: b', 'chosen'),".formatted(start)
                + " ('%1$s a\\n\\nHuman: and?', '%1$s b', 'chosen'),".formatted(start)
                + " ('just text', '%1$s b', 'chosen'), (NULL, '%1$s b', 'rejected')"
                    .formatted(start)
                + " AS log(chosen, rejected, shown_first)");
    assertThat(read(log, LogFormat.of(Layout.HH), "prompt", "response_a", "response_b", "choice"))
        .containsExactly(
            "User: Hi\n\nAssistant: Hello\n\nUser: Why?|Yes\n| No|a",
            "blank_response: response_a",
            "unparsable_transcript: the sides have different prompts",
            "unparsable_transcript: chosen",
            "unparsable_transcript: chosen",
            "unparsable_transcript: chosen");
    LogFormat hh = LogFormat.of(Layout.HH).with(PromptTemplate.HH);
    assertThat(read(log, hh, "prompt")).first().isEqualTo(start.replace("\\n", "\n"));
    assertThat(read(log, hh, "messages"))
        .first()
        .isEqualTo("[{user, Hi}, {assistant, Hello}, {user, Why?}]");
  }

  @Test
  void trlMayBeTextWithAnExplicitOrAnImplicitPrompt() {
    Dataset<Row> explicit =
        sql("SELECT 'The sky is' AS prompt, ' blue.' AS chosen, ' green.' AS rejected");
    Dataset<Row> implicit =
        sql("SELECT 'The sky is blue.' AS chosen, 'The sky is green.' AS rejected");
    List<String> expected =
        read(explicit, LogFormat.of(Layout.TRL), "prompt", "response_a", "choice");
    assertThat(read(implicit, LogFormat.of(Layout.TRL), "prompt", "response_a", "choice"))
        .isEqualTo(expected);
    assertThat(expected.get(0)).startsWith("The sky is| ");
  }

  @Test
  void trlMayBeConversational() {
    String q = TURN.formatted("user", "What?");
    String x = TURN.formatted("assistant", "That.");
    String y = TURN.formatted("assistant", "No idea.");
    String lists = "array(%s) AS chosen, array(%s) AS rejected";
    String whole = lists.formatted(q + "," + x, q + "," + y);
    for (String columns :
        List.of(
            "array(%s) AS prompt, ".formatted(q) + lists.formatted(x, y),
            "array(%s) AS prompt, ".formatted(q) + whole,
            "'What?' AS prompt, " + whole,
            whole)) {
      Dataset<Row> log = sql("SELECT 'chosen' AS shown_first, " + columns);
      assertThat(
              read(
                  log,
                  LogFormat.of(Layout.TRL),
                  "prompt",
                  "messages",
                  "response_a",
                  "response_b",
                  "choice"))
          .containsExactly("What?|[{user, What?}]|That.|No idea.|a");
    }
  }

  @Test
  void unpairedTrlMayBeTextOrConversational() {
    String turns =
        "array(%s) AS prompt, array(%s) AS completion"
            .formatted(TURN.formatted("user", "Hi"), TURN.formatted("assistant", "Yo"));
    for (String columns : List.of("'Hi' AS prompt, 'Yo' AS completion", turns)) {
      Dataset<Row> log = sql("SELECT true AS label, " + columns);
      assertThat(read(log, LogFormat.of(Layout.TRL_UNPAIRED), "kind", "prompt", "candidates"))
          .containsExactly("binary|Hi|[{Yo, 1.0}]");
    }
  }

  @Test
  void aConversationMustHaveRolesContentsAndAResponseOfTheAssistant() {
    String prompt = "array(%s)".formatted(TURN.formatted("user", "Hi"));
    Dataset<Row> log =
        sql(
            "SELECT %s AS prompt, completion, true AS label FROM VALUES (array(%s)), (array(%s)), (array(%s)) AS log(completion)"
                .formatted(
                    prompt,
                    TURN.formatted("user", "Yo"),
                    "named_struct('role', 'assistant', 'content', CAST(NULL AS STRING))",
                    TURN.formatted("assistant", " ")));
    assertThat(read(log, LogFormat.of(Layout.TRL_UNPAIRED)))
        .containsExactly(
            "unparsable_transcript: no response of an assistant",
            "unparsable_transcript: response",
            "blank_response: response 1");
  }

  @Test
  void ultrafeedbackHasRatedCompletions() {
    String completion =
        "named_struct('model', '%s', 'response', '%s', 'overall_score', CAST(%s AS DOUBLE))";
    Dataset<Row> log =
        sql(
            "SELECT 'evol_instruct' AS source, 'Do it' AS instruction, completions FROM VALUES"
                + " (array(%s, %s)), (array(%s, %s)) AS log(completions)"
                    .formatted(
                        completion.formatted("m", "x", "7.5"),
                        completion.formatted("n", "y", "10"),
                        completion.formatted("m", "x", "11"),
                        completion.formatted("n", "y", "1")));
    assertThat(read(log, LogFormat.of(Layout.ULTRAFEEDBACK), "source", "kind", "candidates"))
        .containsExactly(
            "evol_instruct|ranking|[{x, 7.5}, {y, 10.0}]", "rating_out_of_range: [11.0, 1.0]");
  }

  @Test
  void helpsteerHasHelpfulnessOrAPreference() {
    Dataset<Row> ratings =
        sql(
            "SELECT 'p' AS prompt, 'r' AS response, helpfulness, 4 AS coherence"
                + " FROM VALUES 0, 4, 5 AS log(helpfulness)");
    assertThat(read(ratings, LogFormat.of(Layout.HELPSTEER), "kind", "candidates"))
        .containsExactly("rating|[{r, 0.0}]", "rating|[{r, 4.0}]", "rating_out_of_range: 5.0");
    Dataset<Row> preferences =
        sql(
            "SELECT array(%s) AS context, 'x' AS response1, 'y' AS response2, overall_preference"
                    .formatted(TURN.formatted("user", "Q"))
                + " FROM VALUES -3, 0, 1, 4 AS log(overall_preference)");
    assertThat(read(preferences, LogFormat.of(Layout.HELPSTEER3), "prompt", "choice", "margin"))
        .containsExactly(
            "Q|a|1.0", "Q|tie|0.0", "Q|b|0.3333333333333333", "choice_out_of_range: 4");
  }

  @Test
  void anArenaHasTwoConversationsThatBeginWithOneQuestion() {
    String q = TURN.formatted("user", "Q");
    Dataset<Row> log =
        sql(
            "SELECT id AS question_id, 'm' AS model_a, 'n' AS model_b, winner, 'j' AS judge,"
                + " array(%s, %s) AS conversation_a, array(%s, %s) AS conversation_b,"
                    .formatted(
                        q, TURN.formatted("assistant", "x"), q, TURN.formatted("assistant", "y"))
                + " 1682351591.1322D AS tstamp FROM VALUES ('1', 'model_a'), ('2', 'model_b'),"
                + " ('3', 'tie'), ('4', 'tie (bothbad)'), ('5', 'nobody') AS log(id, winner)");
    String rest = "|j|2023-04-24 15:53:11.1322";
    assertThat(
            read(
                log,
                LogFormat.of(Layout.ARENA),
                "feedback_id",
                "prompt",
                "response_a",
                "response_b",
                "choice",
                "annotator_id",
                "created_at"))
        .containsExactly(
            "1|Q|x|y|a" + rest,
            "2|Q|x|y|b" + rest,
            "3|Q|x|y|tie" + rest,
            "4|Q|x|y|tie" + rest,
            "unknown_choice: nobody");
  }

  @Test
  void shpHasTwoComments() {
    Dataset<Row> log =
        sql(
            "SELECT 'post' AS post_id, 'h' AS history, 'x' AS human_ref_A, 'y' AS human_ref_B,"
                + " labels FROM VALUES 1, 0, 2, NULL AS log(labels)");
    assertThat(read(log, LogFormat.of(Layout.SHP), "prompt", "response_a", "choice", "group_key"))
        .containsExactly("h|x|a|post", "h|x|b|post", "unknown_choice: 2", "missing_choice");
  }

  @Test
  void summariesHaveAPostAndAWorker() {
    Dataset<Row> log =
        sql(
            "SELECT named_struct('id', 't3', 'post', 'I fell', 'title', 'Help', 'subreddit', 'r')"
                + " AS info, array(named_struct('text', ' x', 'policy', 'sup1', 'note', 'n'),"
                + " named_struct('text', ' y', 'policy', 'ref', 'note', 'n')) AS summaries,"
                + " choice, 'w' AS worker FROM VALUES 0, 1, 7 AS log(choice)");
    String prompt = "SUBREDDIT: r/r\n\nTITLE: Help\n\nPOST: I fell\n\nTL;DR:| x| y|";
    assertThat(
            read(
                log,
                LogFormat.of(Layout.SUMMARIZE_FROM_FEEDBACK),
                "prompt",
                "response_a",
                "response_b",
                "choice",
                "annotator_id",
                "group_key"))
        .containsExactly(prompt + "a|w|t3", prompt + "b|w|t3", "unknown_choice: 7");
  }

  @Test
  void namesAreThoseOfTheCommandLine() {
    for (Layout layout : Layout.values()) {
      assertThat(Layout.named(layout.label())).isEqualTo(layout);
    }
    assertThatThrownBy(() -> Layout.named("chat"))
        .isInstanceOf(JobFailure.class)
        .hasMessage(
            "Cannot use --layout chat: the layouts are comparison, rating, binary, ranking, hh,"
                + " trl, trl-unpaired, ultrafeedback, helpsteer, helpsteer3, arena, shp,"
                + " summarize-from-feedback");
  }

  private static Dataset<Row> sql(String sql) {
    return SparkTestSession.get().sql(sql);
  }

  /** The columns of each usable row, the reason and the detail of the others. */
  private static List<String> read(Dataset<Row> log, LogFormat format, String... columns) {
    Dataset<Row> rows = JudgementLog.read(log, format, "log");
    assertThat(rows.where(col("feedback_id").isNull()))
        .satisfies(r -> assertThat(r.count()).isZero());
    return rows.collectAsList().stream()
        .map(
            row -> {
              if (row.getAs("reason") == null) {
                return java.util.Arrays.stream(columns)
                    .map(c -> text(row.getAs(c)))
                    .collect(java.util.stream.Collectors.joining("|"));
              }
              String detail = row.getAs("detail");
              return row.getAs("reason") + (detail == null ? "" : ": " + detail);
            })
        .toList();
  }

  private static String text(Object value) {
    if (value instanceof scala.collection.Seq<?> list) {
      return "["
          + scala.collection.JavaConverters.seqAsJavaList(list).stream()
              .map(LayoutTest::text)
              .collect(java.util.stream.Collectors.joining(", "))
          + "]";
    }
    return value instanceof Row row ? "{" + row.mkString(", ") + "}" : String.valueOf(value);
  }
}
