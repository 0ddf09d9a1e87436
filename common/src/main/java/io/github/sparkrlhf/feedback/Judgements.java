package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.abs;
import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.element_at;
import static org.apache.spark.sql.functions.exists;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.lower;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.transform;
import static org.apache.spark.sql.functions.trim;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.zip_with;

import io.github.sparkrlhf.feedback.Judgement.Prompt;
import org.apache.spark.sql.Column;

/** Reads the parts of a row as what somebody judged: one method for each form of judgement. */
final class Judgements {
  /** Two responses to a prompt, and what is wrong with them. */
  private record Sides(Prompt prompt, Column x, Column y, RowRules rules) {}

  private Judgements() {}

  /** A choice between two responses in the order in which they were shown. */
  static Judgement comparison(LogParts parts) {
    Sides sides = sides(parts, LogPart.RESPONSE_A, LogPart.RESPONSE_B);
    RowRules rules = sides.rules();
    boolean numeric = parts.isNumber(LogPart.CHOICE);
    Column choice = numeric ? scaledChoice(parts, rules) : namedChoice(parts, rules);
    Column margin =
        numeric && !parts.has(LogPart.MARGIN) ? scaledMargin(parts) : margin(parts, choice, rules);
    return Judgement.comparison(sides.prompt(), sides.x(), sides.y(), choice, margin, rules);
  }

  /** The better and the worse of two responses; a text or a conversation each. */
  static Judgement preference(LogParts parts) {
    return preference(parts, sides(parts, LogPart.CHOSEN, LogPart.REJECTED));
  }

  /** The better and the worse of two transcripts, which must agree on all but the last turn. */
  static Judgement transcripts(LogParts parts) {
    Column x = parts.added("chosen_turns", Transcript.turns(parts.text(LogPart.CHOSEN)));
    Column y = parts.added("rejected_turns", Transcript.turns(parts.text(LogPart.REJECTED)));
    Column prompt = Conversation.first(x, allButOne(x));
    RowRules rules =
        new RowRules()
            .add(QuarantineReason.UNPARSABLE_TRANSCRIPT, isNoTranscript(x), lit("chosen"))
            .add(QuarantineReason.UNPARSABLE_TRANSCRIPT, isNoTranscript(y), lit("rejected"))
            .add(
                QuarantineReason.UNPARSABLE_TRANSCRIPT,
                prompt.notEqual(Conversation.first(y, allButOne(y))),
                lit("the sides have different prompts"));
    return preference(
        parts,
        new Sides(
            conversation(parts, prompt),
            element_at(x, -1).getField("content"),
            element_at(y, -1).getField("content"),
            rules));
  }

  /** A number for one response. */
  static Judgement rating(LogParts parts) {
    RowRules rules = new RowRules();
    Prompt prompt = prompt(parts, rules);
    Column rating = parts.added("rating", parts.number(LogPart.RATING));
    ratingRules(rules, rating, parts.format().scale());
    return Judgement.ofCandidates(
        Judgement.RATING, prompt, candidate(response(parts, rules), rating), rules);
  }

  /** One response, accepted (1) or rejected (0). */
  static Judgement binary(LogParts parts) {
    RowRules rules = new RowRules();
    Prompt prompt = prompt(parts, rules);
    Column accepted = parts.added("accepted", accepted(parts));
    rules.add(QuarantineReason.INVALID_LABEL, accepted.isNull(), parts.plain(LogPart.LABEL));
    return Judgement.ofCandidates(
        Judgement.BINARY, prompt, candidate(response(parts, rules), accepted), rules);
  }

  /** Responses with their ranks, of which 1 becomes 1 and the number of responses 0. */
  static Judgement ranking(LogParts parts) {
    RowRules rules = new RowRules();
    Prompt prompt = prompt(parts, rules);
    Column responses = parts.texts(LogPart.RESPONSES);
    Column ranks = parts.numbers(LogPart.RANKS);
    Column count = size(responses);
    Column invalidRank =
        exists(ranks, r -> coalesce(r.between(1, count), lit(false)).equalTo(false));
    sizeRules(rules, responses, ranks)
        .add(QuarantineReason.INVALID_RANKING, invalidRank, ranks.cast("string"));
    Column ratings = transform(ranks, r -> lit(1.0).minus(r.minus(1).divide(count.minus(1))));
    return Judgement.ofCandidates(Judgement.RANKING, prompt, candidates(responses, ratings), rules);
  }

  /** Responses with a rating each. */
  static Judgement ratedList(LogParts parts) {
    RowRules rules = new RowRules();
    Prompt prompt = prompt(parts, rules);
    Column responses = parts.texts(LogPart.RESPONSES);
    Column ratings = parts.numbers(LogPart.RATING);
    Scale scale = parts.format().scale();
    sizeRules(rules, responses, ratings)
        .add(
            QuarantineReason.INVALID_RATING,
            exists(ratings, Judgements::isNoNumber),
            ratings.cast("string"))
        .add(
            QuarantineReason.RATING_OUT_OF_RANGE,
            exists(ratings, r -> isOutside(r, scale)),
            ratings.cast("string"));
    return Judgement.ofCandidates(Judgement.RANKING, prompt, candidates(responses, ratings), rules);
  }

  private static Judgement preference(LogParts parts, Sides sides) {
    RowRules rules = sides.rules();
    Column text = parts.added("common_prompt", sides.prompt().text());
    Column chosen = parts.added("chosen", sides.x());
    Column rejected = parts.added("rejected", sides.y());
    Column first = FirstShown.is(text, chosen, rejected);
    if (parts.has(LogPart.SHOWN_FIRST)) {
      Column shown = parts.text(LogPart.SHOWN_FIRST);
      rules.add(
          QuarantineReason.UNKNOWN_CHOICE, shown.isin("chosen", "rejected").equalTo(false), shown);
      first = when(shown.isNull(), first).otherwise(shown.equalTo("chosen"));
    }
    Column chosenFirst = parts.added("chosen_first", first);
    Column choice = when(chosenFirst, "a").otherwise("b");
    return Judgement.comparison(
        new Prompt(text, sides.prompt().messages()),
        when(chosenFirst, chosen).otherwise(rejected),
        when(chosenFirst, rejected).otherwise(chosen),
        choice,
        margin(parts, choice, rules),
        rules);
  }

  private static Sides sides(LogParts parts, LogPart x, LogPart y) {
    boolean conversations = parts.isConversation(x) && parts.isConversation(y);
    if (conversations) {
      return conversations(parts, x, y);
    }
    Column a = parts.text(x);
    Column b = parts.text(y);
    RowRules rules = new RowRules();
    if (parts.has(LogPart.PROMPT)) {
      return new Sides(prompt(parts, rules), a, b, rules);
    }
    Column split = parts.added("split", CommonPrefix.split(a, b));
    return new Sides(
        new Prompt(split.getField("prompt"), lit(null).cast(Conversation.TYPE)),
        split.getField("x"),
        split.getField("y"),
        rules);
  }

  private static Sides conversations(LogParts parts, LogPart partX, LogPart partY) {
    RowRules rules = new RowRules();
    Column x = turns(parts, partX, rules);
    Column y = turns(parts, partY, rules);
    Column prompt =
        parts.has(LogPart.PROMPT)
            ? promptTurns(parts, rules)
            : Conversation.first(x, Conversation.common(x, y));
    Column turns = parts.added("prompt_turns", prompt);
    Column restX = parts.added("x_rest", Conversation.withoutPrompt(x, turns));
    Column restY = parts.added("y_rest", Conversation.withoutPrompt(y, turns));
    rules
        .add(
            QuarantineReason.UNPARSABLE_TRANSCRIPT,
            isNoResponse(restX),
            lit("no response of an assistant"))
        .add(
            QuarantineReason.UNPARSABLE_TRANSCRIPT,
            isNoResponse(restY),
            lit("no response of an assistant"));
    return new Sides(
        conversation(parts, turns),
        PromptTemplate.response(restX),
        PromptTemplate.response(restY),
        rules);
  }

  private static Prompt prompt(LogParts parts, RowRules rules) {
    if (parts.isConversation(LogPart.PROMPT)) {
      return conversation(parts, turns(parts, LogPart.PROMPT, rules));
    }
    return new Prompt(parts.text(LogPart.PROMPT), lit(null).cast(Conversation.TYPE));
  }

  private static Column promptTurns(LogParts parts, RowRules rules) {
    return parts.isConversation(LogPart.PROMPT)
        ? turns(parts, LogPart.PROMPT, rules)
        : Conversation.userTurn(parts.text(LogPart.PROMPT));
  }

  /** The one response of a row: a text, or a conversation that may begin with the prompt. */
  private static Column response(LogParts parts, RowRules rules) {
    if (!parts.isConversation(LogPart.RESPONSE)) {
      return parts.text(LogPart.RESPONSE);
    }
    Column all = turns(parts, LogPart.RESPONSE, rules);
    // The rules of the prompt are there already.
    Column prompt = parts.added("prompt_turns", promptTurns(parts, new RowRules()));
    Column rest = parts.added("rest", Conversation.withoutPrompt(all, prompt));
    rules.add(
        QuarantineReason.UNPARSABLE_TRANSCRIPT,
        isNoResponse(rest),
        lit("no response of an assistant"));
    return PromptTemplate.response(rest);
  }

  private static Prompt conversation(LogParts parts, Column turns) {
    return new Prompt(parts.format().template().prompt(turns), turns);
  }

  private static Column turns(LogParts parts, LogPart part, RowRules rules) {
    String name = part.column();
    Column turns = parts.added(name + "_turns", Conversation.turns(parts.column(part)));
    rules.add(QuarantineReason.UNPARSABLE_TRANSCRIPT, Conversation.isBroken(turns), lit(name));
    return turns;
  }

  private static Column isNoResponse(Column turns) {
    return size(turns).gt(0).and(turns.getItem(0).getField("role").notEqual("assistant"));
  }

  private static Column isNoTranscript(Column turns) {
    return turns.isNull().or(element_at(turns, -1).getField("role").notEqual("assistant"));
  }

  private static Column allButOne(Column turns) {
    return greatest(size(turns).minus(1), lit(0));
  }

  private static Column namedChoice(LogParts parts, RowRules rules) {
    if (!parts.isText(LogPart.CHOICE)) {
      throw parts.unusable(
          LogPart.CHOICE,
          "is none of 'a', 'b', 'tie'; give an expression such as --choice \"CASE label WHEN 1 THEN"
              + " 'a' WHEN 2 THEN 'b' ELSE 'tie' END\"");
    }
    if (parts.format().hasOwnScale()) {
      throw parts.unusable(LogPart.CHOICE, "is no number, so it has no --scale");
    }
    Column given = parts.column(LogPart.CHOICE);
    Column choice = lower(trim(given));
    rules
        .add(QuarantineReason.MISSING_CHOICE, coalesce(choice, lit("")).equalTo(""))
        .add(QuarantineReason.UNKNOWN_CHOICE, choice.isin("a", "b", "tie").equalTo(false), given);
    return choice;
  }

  private static Column scaledChoice(LogParts parts, RowRules rules) {
    Scale scale = parts.format().scale();
    if (scale == null) {
      throw parts.unusable(
          LogPart.CHOICE,
          "is none of 'a', 'b', 'tie'; give --scale LOW,HIGH if LOW is for the first response and"
              + " HIGH for the second, or an expression such as --choice \"CASE label WHEN 1 THEN"
              + " 'a' WHEN 2 THEN 'b' ELSE 'tie' END\"");
    }
    Column value = parts.number(LogPart.CHOICE);
    rules
        .add(QuarantineReason.MISSING_CHOICE, value.isNull())
        .add(
            QuarantineReason.CHOICE_OUT_OF_RANGE,
            isOutside(value, scale),
            parts.column(LogPart.CHOICE));
    return when(value.lt(scale.middle()), "a").when(value.gt(scale.middle()), "b").otherwise("tie");
  }

  /** The distance from the middle of the scale: 0 to 1. */
  private static Column scaledMargin(LogParts parts) {
    Scale scale = parts.format().scale();
    return abs(parts.number(LogPart.CHOICE).minus(scale.middle())).divide(scale.range() / 2);
  }

  /** The strength that the log gives; a tie has none, whatever the log says. */
  private static Column margin(LogParts parts, Column choice, RowRules rules) {
    if (!parts.has(LogPart.MARGIN)) {
      return lit(null);
    }
    Column margin = parts.number(LogPart.MARGIN);
    Column tie = choice.equalTo("tie");
    Column invalid = isNoNumber(margin).or(margin.lt(0));
    rules.add(
        QuarantineReason.INVALID_MARGIN,
        invalid.and(margin.isNotNull().or(tie.equalTo(false))),
        coalesce(margin.cast("string"), lit("null")));
    return when(tie, 0.0).otherwise(margin);
  }

  private static Column accepted(LogParts parts) {
    Column label = parts.column(LogPart.LABEL);
    if (parts.isBoolean(LogPart.LABEL)) {
      return label.cast("double");
    }
    if (parts.isNumber(LogPart.LABEL)) {
      return when(label.isin(0, 1), label.cast("double"));
    }
    Column word = lower(trim(parts.text(LogPart.LABEL)));
    return when(word.isin("true", "1", "yes", "accept", "accepted", "good"), 1.0)
        .when(word.isin("false", "0", "no", "reject", "rejected", "bad"), 0.0);
  }

  private static void ratingRules(RowRules rules, Column rating, Scale scale) {
    rules
        .add(
            QuarantineReason.INVALID_RATING,
            isNoNumber(rating),
            coalesce(rating.cast("string"), lit("null")))
        .add(QuarantineReason.RATING_OUT_OF_RANGE, isOutside(rating, scale), rating);
  }

  private static RowRules sizeRules(RowRules rules, Column responses, Column numbers) {
    return rules
        .add(
            QuarantineReason.INVALID_RANKING,
            coalesce(size(responses), lit(0)).lt(2),
            lit("fewer than 2 responses"))
        .add(
            QuarantineReason.INVALID_RANKING,
            size(responses).notEqual(size(numbers)),
            concat(size(numbers), lit(" numbers for "), size(responses), lit(" responses")));
  }

  private static Column isNoNumber(Column value) {
    return value
        .isNull()
        .or(value.isNaN())
        .or(value.isin(Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY));
  }

  private static Column isOutside(Column value, Scale scale) {
    return value.between(scale.low(), scale.high()).equalTo(false);
  }

  private static Column candidate(Column response, Column rating) {
    return array(struct(response.as("response"), rating.as("rating")));
  }

  private static Column candidates(Column responses, Column ratings) {
    return zip_with(
        responses,
        ratings,
        (response, rating) -> struct(response.as("response"), rating.as("rating")));
  }
}
