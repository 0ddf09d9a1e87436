package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array_join;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.filter;
import static org.apache.spark.sql.functions.initcap;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.transform;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.apache.spark.sql.Column;

/**
 * How a conversation becomes text. A marker in the content of a turn stays as it is, and none of
 * the markers written here is a control token: the tokenizer reads both as text.
 */
public enum PromptTemplate {
  /**
   * One turn of a user is its content. More turns are blocks such as {@code User: …}, separated by
   * blank lines.
   */
  PLAIN {
    @Override
    Column text(Column turns) {
      return when(isOneOf(turns, "user"), content(turns)).otherwise(blocks(turns));
    }
  },
  /** {@code \n\nHuman: …\n\nAssistant: …}, with an open {@code \n\nAssistant:} at the end. */
  HH {
    @Override
    Column text(Column turns) {
      Column blocks =
          transform(
              turns,
              turn ->
                  concat(lit("\n\n"), speaker(role(turn)), lit(": "), turn.getField("content")));
      return concat(array_join(blocks, ""), lit("\n\nAssistant:"));
    }

    private Column speaker(Column role) {
      return when(role.equalTo("user"), "Human").otherwise(initcap(role));
    }
  },
  /** {@code <|im_start|>user\n…<|im_end|>\n}, with an open turn of the assistant at the end. */
  CHATML {
    @Override
    Column text(Column turns) {
      Column blocks =
          transform(
              turns,
              turn ->
                  concat(
                      lit("<|im_start|>"),
                      role(turn),
                      lit("\n"),
                      turn.getField("content"),
                      lit("<|im_end|>\n")));
      return concat(array_join(blocks, ""), lit("<|im_start|>assistant\n"));
    }
  };

  /** The name on the command line. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The template of a name.
   *
   * @throws JobFailure usage, naming all templates, if there is none
   */
  public static PromptTemplate named(String label) {
    return Arrays.stream(values())
        .filter(template -> template.label().equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                JobFailure.usage(
                    "Cannot use --template "
                        + label
                        + ": the templates are "
                        + Arrays.stream(values())
                            .map(PromptTemplate::label)
                            .collect(Collectors.joining(", "))));
  }

  /**
   * The text of a prompt, the turns of the system first; null without turns.
   *
   * @param turns ARRAY&lt;STRUCT&lt;role, content&gt;&gt;
   */
  public Column prompt(Column turns) {
    Column system = filter(turns, turn -> role(turn).equalTo("system"));
    Column others = filter(turns, turn -> role(turn).notEqual("system"));
    return when(size(turns).gt(0), text(concat(system, others)));
  }

  /** The text of a response: its content, or blocks if it goes on for more than one turn. */
  static Column response(Column turns) {
    return when(isOneOf(turns, "assistant"), content(turns))
        .otherwise(when(size(turns).gt(0), blocks(turns)));
  }

  abstract Column text(Column turns);

  private static Column blocks(Column turns) {
    return array_join(
        transform(turns, turn -> concat(initcap(role(turn)), lit(": "), turn.getField("content"))),
        "\n\n");
  }

  private static Column isOneOf(Column turns, String role) {
    return size(turns).equalTo(1).and(role(turns.getItem(0)).equalTo(role));
  }

  private static Column content(Column turns) {
    return turns.getItem(0).getField("content");
  }

  private static Column role(Column turn) {
    return turn.getField("role");
  }
}
