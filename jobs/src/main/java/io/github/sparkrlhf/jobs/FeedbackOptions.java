package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.Layout;
import io.github.sparkrlhf.feedback.LogFormat;
import io.github.sparkrlhf.feedback.LogPart;
import io.github.sparkrlhf.feedback.Pairing;
import io.github.sparkrlhf.feedback.PromptTemplate;
import io.github.sparkrlhf.feedback.Scale;
import java.util.EnumMap;
import java.util.Map;
import picocli.CommandLine.Option;

/** How logs of feedback are to be read. Each EXPRESSION is Spark SQL over the log's columns. */
final class FeedbackOptions {
  private final Map<LogPart, String> expressions = new EnumMap<>(LogPart.class);

  @Option(
      names = "--pairing",
      paramLabel = "PAIRING",
      defaultValue = "annotator",
      description =
          "Which judgements of single responses to a prompt are compared with each other: annotator (those of the same one), prompt (all) or none (default: ${DEFAULT-VALUE}).")
  private Pairing pairing;

  @Option(
      names = "--layout",
      paramLabel = "NAME",
      defaultValue = "comparison",
      description =
          "What a row is and in which columns its parts are: comparison, rating, binary, ranking, hh, trl, trl-unpaired, ultrafeedback, helpsteer, helpsteer3, arena, shp, summarize-from-feedback (default: ${DEFAULT-VALUE}). The options below take a part from elsewhere.")
  private String layout;

  @Option(
      names = "--scale",
      paramLabel = "LOW,HIGH",
      description =
          "Least and greatest rating; of a numeric choice, what says that the first and that the second response is much better, the middle being a tie (default: that of the layout).")
  private String scale;

  @Option(
      names = "--template",
      paramLabel = "NAME",
      defaultValue = "plain",
      description =
          "How a conversation becomes the text of a prompt: plain, hh, chatml (default: ${DEFAULT-VALUE}).")
  private String template;

  @Option(
      names = "--max-text-length",
      paramLabel = "CHARACTERS",
      defaultValue = "" + LogFormat.MAX_TEXT_CHARACTERS,
      description =
          "A row with a longer prompt or response cannot be used (default: ${DEFAULT-VALUE}).")
  private int maxTextLength;

  @Option(
      names = "--source",
      paramLabel = "NAME",
      description =
          "Name of the log in the tables (default: column source, else the last part of the path or the table name).")
  private String source;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      description = "The prompt: a text, or a list of role and content (default: column prompt).")
  void setPrompt(String sql) {
    expressions.put(LogPart.PROMPT, sql);
  }

  @Option(
      names = "--response-a",
      paramLabel = "EXPRESSION",
      description = "The response that was shown first (default: column response_a).")
  void setResponseA(String sql) {
    expressions.put(LogPart.RESPONSE_A, sql);
  }

  @Option(
      names = "--response-b",
      paramLabel = "EXPRESSION",
      description = "The response that was shown second (default: column response_b).")
  void setResponseB(String sql) {
    expressions.put(LogPart.RESPONSE_B, sql);
  }

  @Option(
      names = "--choice",
      paramLabel = "EXPRESSION",
      description =
          "Which response is better: 'a', 'b' or 'tie', or a number on --scale (default: column choice).")
  void setChoice(String sql) {
    expressions.put(LogPart.CHOICE, sql);
  }

  @Option(
      names = "--margin",
      paramLabel = "EXPRESSION",
      description =
          "Strength of the choice, a number >= 0 (default: column margin; without one, the distance of a numeric choice from the middle, 0 to 1).")
  void setMargin(String sql) {
    expressions.put(LogPart.MARGIN, sql);
  }

  @Option(
      names = "--chosen",
      paramLabel = "EXPRESSION",
      description = "The better response (default: column chosen).")
  void setChosen(String sql) {
    expressions.put(LogPart.CHOSEN, sql);
  }

  @Option(
      names = "--rejected",
      paramLabel = "EXPRESSION",
      description = "The worse response (default: column rejected).")
  void setRejected(String sql) {
    expressions.put(LogPart.REJECTED, sql);
  }

  @Option(
      names = "--shown-first",
      paramLabel = "EXPRESSION",
      description =
          "Which of the two was shown first: 'chosen' or 'rejected' (default: column shown_first; arbitrary without one).")
  void setShownFirst(String sql) {
    expressions.put(LogPart.SHOWN_FIRST, sql);
  }

  @Option(
      names = "--response",
      paramLabel = "EXPRESSION",
      description = "The one response of a rating or a label (default: column response).")
  void setResponse(String sql) {
    expressions.put(LogPart.RESPONSE, sql);
  }

  @Option(
      names = "--rating",
      paramLabel = "EXPRESSION",
      description = "A number on --scale, higher is better (default: column rating).")
  void setRating(String sql) {
    expressions.put(LogPart.RATING, sql);
  }

  @Option(
      names = "--label",
      paramLabel = "EXPRESSION",
      description =
          "Whether the response is accepted: true or false, 1 or 0, 'accept' or 'reject', 'yes' or 'no', 'good' or 'bad' (default: column label).")
  void setLabel(String sql) {
    expressions.put(LogPart.LABEL, sql);
  }

  @Option(
      names = "--responses",
      paramLabel = "EXPRESSION",
      description = "The responses of a ranking, a list of texts (default: column responses).")
  void setResponses(String sql) {
    expressions.put(LogPart.RESPONSES, sql);
  }

  @Option(
      names = "--ranks",
      paramLabel = "EXPRESSION",
      description =
          "Their ranks, a list of numbers; 1 is the best, equal ranks are a tie (default: column ranks).")
  void setRanks(String sql) {
    expressions.put(LogPart.RANKS, sql);
  }

  @Option(
      names = "--annotator",
      paramLabel = "EXPRESSION",
      description = "Who judged (default: column annotator_id; unknown without one).")
  void setAnnotator(String sql) {
    expressions.put(LogPart.ANNOTATOR, sql);
  }

  @Option(
      names = "--started-at",
      paramLabel = "EXPRESSION",
      description =
          "When they began, a time or a text in UTC (default: column started_at; unknown without one).")
  void setStartedAt(String sql) {
    expressions.put(LogPart.STARTED_AT, sql);
  }

  @Option(
      names = "--created-at",
      paramLabel = "EXPRESSION",
      description =
          "When they had judged, a time or a text in UTC (default: column created_at; unknown without one).")
  void setCreatedAt(String sql) {
    expressions.put(LogPart.CREATED_AT, sql);
  }

  @Option(
      names = "--group",
      paramLabel = "EXPRESSION",
      description =
          "What must not be torn apart by splits (default: column group_key, else the prompt).")
  void setGroup(String sql) {
    expressions.put(LogPart.GROUP, sql);
  }

  @Option(
      names = "--id",
      paramLabel = "EXPRESSION",
      description =
          "Id of the judgement (default: column feedback_id, else a hash of the whole row and its source, so that equal rows count once).")
  void setId(String sql) {
    expressions.put(LogPart.ID, sql);
  }

  Pairing pairing() {
    return pairing;
  }

  /**
   * The options in one.
   *
   * @throws io.github.sparkrlhf.spark.JobFailure usage, if a name is unknown, the scale is none, or
   *     an option does not apply to the layout
   */
  LogFormat format() {
    Given.requireCount("max-text-length", maxTextLength);
    Map<LogPart, String> all = new EnumMap<>(expressions);
    if (source != null) {
      all.put(LogPart.SOURCE, literal(source));
    }
    return new LogFormat(
        Layout.named(layout),
        all,
        scale == null ? null : Scale.parse(scale),
        PromptTemplate.named(template),
        maxTextLength);
  }

  private static String literal(String text) {
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
  }
}
