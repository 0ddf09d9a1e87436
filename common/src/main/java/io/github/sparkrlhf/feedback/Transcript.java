package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.udf;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataType;

/**
 * A conversation written as one text: {@code \n\nHuman: …\n\nAssistant: …}, the form of Anthropic's
 * hh-rlhf (Bai et al., 2022).
 */
final class Transcript {
  private static final DataType TURNS = DataType.fromDDL(Conversation.TYPE);
  private static final Pattern SPEAKER = Pattern.compile("\n\n(Human|Assistant):");

  private Transcript() {}

  /** The turns of a text, {@link Conversation}; null if it does not begin with a speaker. */
  static Column turns(Column text) {
    UDF1<String, List<Row>> turns = Transcript::turns;
    return udf(turns, TURNS).apply(text);
  }

  private static List<Row> turns(String text) {
    if (text == null) {
      return null;
    }
    List<Row> turns = new ArrayList<>();
    Matcher speaker = SPEAKER.matcher(text);
    if (!speaker.find() || !text.substring(0, speaker.start()).isBlank()) {
      return null;
    }
    boolean more = true;
    while (more) {
      String role = speaker.group(1).equals("Human") ? "user" : "assistant";
      int start = speaker.end();
      more = speaker.find();
      turns.add(
          RowFactory.create(role, content(text, start, more ? speaker.start() : text.length())));
    }
    return turns;
  }

  /** The blank after the colon belongs to the marker; all else is content. */
  private static String content(String text, int start, int end) {
    return text.substring(start < end && text.charAt(start) == ' ' ? start + 1 : start, end);
  }
}
