package io.github.sparkrlhf.feedback;

import static io.github.sparkrlhf.feedback.LogPart.ANNOTATOR;
import static io.github.sparkrlhf.feedback.LogPart.CHOICE;
import static io.github.sparkrlhf.feedback.LogPart.CHOSEN;
import static io.github.sparkrlhf.feedback.LogPart.CREATED_AT;
import static io.github.sparkrlhf.feedback.LogPart.GROUP;
import static io.github.sparkrlhf.feedback.LogPart.ID;
import static io.github.sparkrlhf.feedback.LogPart.LABEL;
import static io.github.sparkrlhf.feedback.LogPart.MARGIN;
import static io.github.sparkrlhf.feedback.LogPart.PROMPT;
import static io.github.sparkrlhf.feedback.LogPart.RANKS;
import static io.github.sparkrlhf.feedback.LogPart.REJECTED;
import static io.github.sparkrlhf.feedback.LogPart.RESPONSE;
import static io.github.sparkrlhf.feedback.LogPart.RESPONSES;
import static io.github.sparkrlhf.feedback.LogPart.RESPONSE_A;
import static io.github.sparkrlhf.feedback.LogPart.RESPONSE_B;
import static io.github.sparkrlhf.feedback.LogPart.SHOWN_FIRST;
import static io.github.sparkrlhf.feedback.LogPart.SOURCE;
import static io.github.sparkrlhf.feedback.LogPart.STARTED_AT;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * What the rows of a log are, and in which columns their parts stand. Any part can be taken from
 * elsewhere by an expression.
 */
public enum Layout {
  /** A choice between two responses; it may be a number on a scale, of 5 or 7 points, say. */
  COMPARISON(
      new Definition(Judgements::comparison)
          .at(PROMPT)
          .at(RESPONSE_A)
          .at(RESPONSE_B)
          .at(CHOICE)
          .maybe(MARGIN)),

  /** A number for one response to a prompt. */
  RATING(new Definition(Judgements::rating).at(PROMPT).at(RESPONSE).at(LogPart.RATING)),

  /** One response to a prompt, accepted or rejected. */
  BINARY(new Definition(Judgements::binary).at(PROMPT).at(RESPONSE).at(LABEL).scale(Scale.UNIT)),

  /** K responses to a prompt with their ranks. */
  RANKING(new Definition(Judgements::ranking).at(PROMPT).at(RESPONSES).at(RANKS).scale(Scale.UNIT)),

  /** Two transcripts that differ in the last turn, as in Anthropic's hh-rlhf. */
  HH(
      new Definition(Judgements::transcripts)
          .at(CHOSEN)
          .at(REJECTED)
          .maybe(MARGIN)
          .maybe(SHOWN_FIRST)),

  /**
   * TRL's preference type: texts, or lists of role and content. Without a prompt, what both sides
   * begin with is the prompt.
   */
  TRL(
      new Definition(Judgements::preference)
          .maybe(PROMPT)
          .at(CHOSEN)
          .at(REJECTED)
          .maybe(MARGIN)
          .maybe(SHOWN_FIRST)),

  /** TRL's unpaired preference type: texts, or lists of role and content. */
  TRL_UNPAIRED(
      new Definition(Judgements::binary)
          .at(PROMPT)
          .at(RESPONSE, "completion")
          .at(LABEL)
          .scale(Scale.UNIT)),

  /** openbmb/UltraFeedback: the completions of an instruction, each with an overall score. */
  ULTRAFEEDBACK(
      new Definition(Judgements::ratedList)
          .at(PROMPT, "instruction")
          .at(RESPONSES, "completions.response")
          .at(LogPart.RATING, "completions.overall_score")
          .scale(new Scale(1, 10))),

  /** nvidia/HelpSteer and HelpSteer2: helpfulness from 0 to 4. */
  HELPSTEER(
      new Definition(Judgements::rating)
          .at(PROMPT)
          .at(RESPONSE)
          .at(LogPart.RATING, "helpfulness")
          .scale(new Scale(0, 4))),

  /** nvidia/HelpSteer3, preference: from -3 (response 1 much better) to 3 (response 2). */
  HELPSTEER3(
      new Definition(Judgements::comparison)
          .at(PROMPT, "context")
          .at(RESPONSE_A, "response1")
          .at(RESPONSE_B, "response2")
          .at(CHOICE, "overall_preference")
          .scale(new Scale(-3, 3))),

  /** lmsys/chatbot_arena_conversations: two conversations that begin with the same question. */
  ARENA(
      new Definition(Judgements::comparison)
          .maybe(PROMPT)
          .at(RESPONSE_A, "conversation_a")
          .at(RESPONSE_B, "conversation_b")
          .at(
              CHOICE,
              "CASE winner WHEN 'model_a' THEN 'a' WHEN 'model_b' THEN 'b'"
                  + " WHEN 'tie (bothbad)' THEN 'tie' ELSE winner END")
          .maybe(ID, "question_id")
          .maybe(ANNOTATOR, "judge")
          .maybe(CREATED_AT, "timestamp_seconds(tstamp)")),

  /** stanfordnlp/SHP: two comments on a Reddit post. */
  SHP(
      new Definition(Judgements::comparison)
          .at(PROMPT, "history")
          .at(RESPONSE_A, "human_ref_A")
          .at(RESPONSE_B, "human_ref_B")
          .at(CHOICE, "CASE labels WHEN 1 THEN 'a' WHEN 0 THEN 'b' ELSE string(labels) END")
          .maybe(GROUP, "post_id")),

  /** openai/summarize_from_feedback, comparisons: two summaries of a Reddit post. */
  SUMMARIZE_FROM_FEEDBACK(
      new Definition(Judgements::comparison)
          .at(
              PROMPT,
              "concat('SUBREDDIT: r/', info.subreddit, '\\n\\nTITLE: ', info.title,"
                  + " '\\n\\nPOST: ', info.post, '\\n\\nTL;DR:')")
          .at(RESPONSE_A, "get(summaries, 0).text")
          .at(RESPONSE_B, "get(summaries, 1).text")
          .at(CHOICE, "CASE choice WHEN 0 THEN 'a' WHEN 1 THEN 'b' ELSE string(choice) END")
          .maybe(ANNOTATOR, "worker")
          .maybe(GROUP, "info.id"));

  // Complete once the enum is loaded.
  @SuppressWarnings("ImmutableEnumChecker")
  private final Definition definition;

  Layout(Definition definition) {
    this.definition = definition;
  }

  /** The name on the command line, such as {@code trl-unpaired}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The layout of a name.
   *
   * @throws JobFailure usage, naming all layouts, if there is none
   */
  public static Layout named(String label) {
    return Arrays.stream(values())
        .filter(layout -> layout.label().equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                JobFailure.usage(
                    "Cannot use --layout "
                        + label
                        + ": the layouts are "
                        + Arrays.stream(values())
                            .map(Layout::label)
                            .collect(Collectors.joining(", "))));
  }

  /** Whether rows of the layout have the part, or may have it. */
  boolean has(LogPart part) {
    return definition.columns.containsKey(part);
  }

  /** All parts that rows have or may have. */
  Set<LogPart> parts() {
    return definition.columns.keySet();
  }

  /** Whether rows must have the part. */
  boolean requires(LogPart part) {
    return definition.required.contains(part);
  }

  /** Where the part is: Spark SQL. */
  String column(LogPart part) {
    return definition.columns.get(part);
  }

  /** The scale that ratings or numeric choices have by definition. */
  Optional<Scale> scale() {
    return Optional.ofNullable(definition.scale);
  }

  /** What the rows say. */
  Judgement judgement(LogParts parts) {
    return definition.reader.apply(parts);
  }

  /** How rows are read and where their parts are. */
  private static final class Definition {
    private final Function<LogParts, Judgement> reader;
    private final Map<LogPart, String> columns = new EnumMap<>(LogPart.class);
    private final Set<LogPart> required = EnumSet.noneOf(LogPart.class);
    private Scale scale;

    Definition(Function<LogParts, Judgement> reader) {
      this.reader = reader;
      for (LogPart part : EnumSet.of(ANNOTATOR, STARTED_AT, CREATED_AT, GROUP, ID, SOURCE)) {
        maybe(part);
      }
    }

    Definition at(LogPart part) {
      return at(part, part.column());
    }

    Definition at(LogPart part, String sql) {
      required.add(part);
      return maybe(part, sql);
    }

    Definition maybe(LogPart part) {
      return maybe(part, part.column());
    }

    Definition maybe(LogPart part, String sql) {
      columns.put(part, sql);
      return this;
    }

    Definition scale(Scale fixed) {
      this.scale = fixed;
      return this;
    }
  }
}
