package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.lm.ChatMessage;
import io.github.sparkrlhf.lm.EncodedConversation;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.TextExample;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Rows of {@code sft} as token sequences of which some tokens are learned. */
final class SftExamples implements Serializable {
  private static final long serialVersionUID = 1L;

  private final SftInputs.Kind kind;
  private final SftInputs.LossOn lossOn;
  private final TokenizerFile file;
  private final int room;

  /**
   * A token sequence.
   *
   * @param tokens its ids
   * @param responses which of them belong to a response
   */
  private record Sequence(int[] tokens, boolean[] responses) {}

  /**
   * The encoding of rows for a model.
   *
   * @param model whose tokenizer and longest sequence it takes
   */
  SftExamples(SftInputs.Kind kind, SftInputs.LossOn lossOn, LanguageModel model) {
    this.kind = kind;
    this.lossOn = lossOn;
    this.file = model.tokenizer();
    this.room = model.config().maxPositions();
  }

  /**
   * The rows of one side.
   *
   * @param rows id, held_out, and the columns of the kind
   */
  JavaRDD<TextExample> of(Dataset<Row> rows, boolean heldOut) {
    return rows.filter(col("held_out").equalTo(heldOut)).javaRDD().flatMap(this::examples);
  }

  private Iterator<TextExample> examples(Row row) {
    Tokenizer tokenizer = Tokenizer.of(file);
    String id = row.getAs("id");
    if (kind == SftInputs.Kind.TEXT) {
      return pieces(id, text(tokenizer, row.getAs("text")), room).iterator();
    }
    Sequence sequence =
        kind == SftInputs.Kind.RESPONSE
            ? response(tokenizer, row.getAs("prompt"), row.getAs("response"))
            : conversation(tokenizer, messages(row));
    boolean[] learned = sequence.responses();
    if (lossOn == SftInputs.LossOn.ALL) {
      Arrays.fill(learned, 1, learned.length, true);
    }
    return List.of(fitting(id, sequence.tokens(), learned)).iterator();
  }

  /** The begin token, the text, the end token. */
  private static int[] text(Tokenizer tokenizer, String text) {
    return TextExample.concatenated(new int[] {tokenizer.bosId()}, tokenizer.encodeResponse(text));
  }

  /**
   * Pieces that fit into the room. A piece begins with the last token of the one before, so that
   * each token but the first of all is learned once.
   */
  static List<TextExample> pieces(String id, int[] tokens, int room) {
    List<TextExample> pieces = new ArrayList<>();
    for (int from = 0; from < tokens.length - 1; from += room - 1) {
      int[] piece = Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + room));
      boolean[] learned = new boolean[piece.length];
      Arrays.fill(learned, 1, learned.length, true);
      String number = pieces.isEmpty() ? "" : "#" + (pieces.size() + 1);
      pieces.add(new TextExample(id + number, piece, learned));
    }
    return pieces;
  }

  private static Sequence response(Tokenizer tokenizer, String prompt, String response) {
    int[] before = tokenizer.encodePrompt(prompt);
    int[] tokens = TextExample.concatenated(before, tokenizer.encodeResponse(response));
    boolean[] responses = new boolean[tokens.length];
    Arrays.fill(responses, before.length, tokens.length, true);
    return new Sequence(tokens, responses);
  }

  /** A conversation in the model's chat template. */
  private static Sequence conversation(Tokenizer tokenizer, List<ChatMessage> messages) {
    EncodedConversation encoded = tokenizer.encodeConversation(messages);
    return new Sequence(encoded.ids(), encoded.assistant());
  }

  private static List<ChatMessage> messages(Row row) {
    List<ChatMessage> messages = new ArrayList<>();
    for (Row message : row.<Row>getList(row.fieldIndex("messages"))) {
      messages.add(new ChatMessage(message.getAs("role"), message.getAs("content")));
    }
    return messages;
  }

  /** A sequence that is too long loses its end, and each what follows its last learned token. */
  private TextExample fitting(String id, int[] tokens, boolean[] learned) {
    int length = Math.min(tokens.length, room);
    while (length > 0 && !learned[length - 1]) {
      length--;
    }
    if (length == 0) {
      int first = 0;
      while (!learned[first]) {
        first++;
      }
      throw JobFailure.usage(
          "Cannot fine-tune: the prompt of row %s has %d tokens and the model has room for %d"
              .formatted(id, first, room));
    }
    return new TextExample(id, Arrays.copyOf(tokens, length), Arrays.copyOf(learned, length));
  }
}
