package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import io.github.sparkrlhf.training.TextExample;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code sft} learns from, how it is measured, and that a killed run ends the same. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class SftJobTest {
  private static final int ROWS = 120;

  private Path folder;
  private LanguageModel model;

  @BeforeAll
  void makesRowsAndATokenizer(@TempDir Path shared) {
    folder = shared;
    SparkTestSession.get()
        .range(ROWS)
        .selectExpr(
            "concat('How many are ', id, ' and ', id % 7, '?') AS prompt",
            "concat('They are ', id + id % 7, if(id % 3 = 0, ', as everyone knows.', '.')) AS response",
            "id AS number")
        .selectExpr(
            "*",
            "array(named_struct('role', 'system', 'content', 'Count.'),"
                + " named_struct('role', 'user', 'content', prompt),"
                + " named_struct('role', 'assistant', 'content', response),"
                + " named_struct('role', 'user', 'content', 'Sure?'),"
                + " named_struct('role', 'assistant', 'content', 'Yes.'),"
                + " named_struct('role', 'user', 'content', 'Thanks.')) AS messages")
        .coalesce(1)
        .write()
        .parquet(path("rows"));
    CommandLineRun.step(
        folder.resolve("warehouse"),
        "tokenizer",
        "--input",
        path("rows"),
        "--text",
        "prompt",
        "--text",
        "response",
        "--vocabulary-size",
        "300",
        "--output",
        path("tokenizer"));
    TokenizerFile file = TokenizerFile.load(folder.resolve("tokenizer"));
    TransformerConfig config = TransformerConfig.llama(300, 16, 16, 1, 2, 64);
    model = new LanguageModel(config, config.layout().initialWeights(0), file);
  }

  @Test
  void ofAPromptAndAResponseTheResponseIsLearnedOrAll() {
    TextExample response = example(SftInputs.Kind.RESPONSE, SftInputs.LossOn.RESPONSES, 63);
    assertThat(learned(response)).isEqualTo("They are 63, as everyone knows.");
    assertThat(response.tokens()[response.length() - 1]).isEqualTo(model.tokenizer().eosId());

    TextExample all = example(SftInputs.Kind.RESPONSE, SftInputs.LossOn.ALL, 63);
    assertThat(all.tokens()).isEqualTo(response.tokens());
    assertThat(learned(all)).isEqualTo("How many are 63 and 0?\nThey are 63, as everyone knows.");
    assertThat(all.learned()[1]).isTrue();
  }

  @Test
  void ofAConversationTheAssistantsMessagesAreLearnedOrAll() {
    TextExample responses = example(SftInputs.Kind.MESSAGES, SftInputs.LossOn.RESPONSES, 64);
    assertThat(learned(responses)).isEqualTo("They are 65.Yes.");
    assertThat(Tokenizer.of(model.tokenizer()).decode(responses.tokens()))
        .as("what follows the last learned token is left out")
        .isEqualTo("Count.\nHow many are 64 and 1?\nThey are 65.Sure?\nYes.");
    assertThat(learned(example(SftInputs.Kind.MESSAGES, SftInputs.LossOn.ALL, 64)))
        .isEqualTo("Count.\nHow many are 64 and 1?\nThey are 65.Sure?\nYes.Thanks.\n");
  }

  @Test
  void aTextIsLearnedInFullInPiecesThatFit() {
    String text = "They are 65. ".repeat(40);
    List<TextExample> pieces =
        new SftExamples(SftInputs.Kind.TEXT, SftInputs.LossOn.ALL, model)
            .of(
                SparkTestSession.get()
                    .range(1)
                    .selectExpr("'row' AS id", "false AS held_out", "'" + text + "' AS text"),
                false)
            .collect();
    assertThat(pieces).hasSizeGreaterThan(2).allMatch(piece -> piece.length() <= 64);
    assertThat(pieces.stream().map(TextExample::id)).doesNotHaveDuplicates().startsWith("row");
    assertThat(String.join("", pieces.stream().map(this::learned).toList())).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource({"2, 2", "5, 5", "6, 5", "9, 5", "10, 5", "100, 7", "7, 2"})
  void piecesLearnEachTokenButTheFirstOnce(int length, int room) {
    int[] tokens = IntStream.range(0, length).toArray();
    List<Integer> learned = new ArrayList<>();
    for (TextExample piece : SftExamples.pieces("row", tokens, room)) {
      assertThat(piece.length()).isBetween(2, room);
      for (int t = 0; t < piece.length(); t++) {
        if (piece.learned()[t]) {
          learned.add(piece.tokens()[t]);
          assertThat(piece.tokens()[t - 1]).isEqualTo(piece.tokens()[t] - 1);
        }
      }
    }
    assertThat(learned).isEqualTo(IntStream.range(1, length).boxed().toList());
  }

  @Test
  void aResponseThatIsTooLongLosesItsEndAndAPromptThatIsTooLongIsRefused() {
    Dataset<Row> rows =
        SparkTestSession.get()
            .range(1)
            .selectExpr(
                "'row' AS id",
                "false AS held_out",
                "'How?' AS prompt",
                "repeat('They are 65. ', 40) AS response");
    SftExamples examples =
        new SftExamples(SftInputs.Kind.RESPONSE, SftInputs.LossOn.RESPONSES, model);
    assertThat(examples.of(rows, false).first().length()).isEqualTo(64);
    Dataset<Row> swapped =
        rows.selectExpr("id", "held_out", "response AS prompt", "prompt AS response");
    assertThatThrownBy(() -> examples.of(swapped, false).collect())
        .hasMessageContaining("Cannot fine-tune: the prompt of row row has ")
        .hasMessageContaining(" tokens and the model has room for 64");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--prompt number | Cannot fine-tune: --prompt 'number' is of type BIGINT and must be a string",
        "--prompt prompt --response messages | --response 'messages' is of type ARRAY<STRUCT<role:",
        "--text array(prompt) | --text 'array(prompt)' is of type ARRAY<STRING> and must be a string",
        "--messages prompt | --messages 'prompt' is of type STRING and must be an array of structs wi",
        "--messages array(struct(prompt,response)) | and must be an array of structs with the strings",
        "--text missing | Cannot evaluate --text 'missing'"
      })
  void anExpressionOfAWrongTypeIsRefused(String options, String message) {
    CommandLineRun run = run(command("wrong", options.split(" ", -1)));
    assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
    assertThat(run.err()).startsWith("Cannot ").contains(message);
  }

  @Test
  void conversationsAndTextsWithoutAnythingToLearnAreSkippedAndCounted() {
    CommandLineRun conversations =
        run(
            command(
                "few-conversations",
                "--messages",
                "if(number % 10 = 0, filter(messages, m -> m.role <> 'assistant'), messages)"));
    assertThat(conversations.exitCode()).isEqualTo(3);
    assertThat(conversations.err())
        .contains("12 of 120 rows (10.0 %) have no assistant message with a content, or a message");
    CommandLineRun texts = run(command("few-texts", "--text", "if(number % 10 = 0, null, prompt)"));
    assertThat(texts.exitCode()).isEqualTo(3);
    assertThat(texts.err()).contains("12 of 120 rows (10.0 %) have a blank text, more than");
  }

  @Test
  void rowsOfTheSamePromptAreHeldOutTogetherAndMeasuredEveryEpoch() {
    CommandLineRun run =
        run(command("measured", "--messages", "messages", "--validation-share", "0.2"));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .contains("sft: epoch 0, step 0: perplexity on held-out rows ")
        .contains("sft: epoch 3, step ")
        .containsPattern(
            "[\\d,]+ tokens in \\d+ steps, \\d+\\.\\d % of the positions were padding");
    List<Row> rows =
        tables()
            .sql(
                "SELECT epoch, step, metric, value FROM sft_metrics JOIN runs USING (run_id)"
                    + " WHERE metric LIKE 'validation%' AND summary LIKE '%"
                    + path("measured")
                    + "%' ORDER BY metric, epoch")
            .collectAsList();
    assertThat(rows).hasSize(8);
    assertThat(rows.subList(0, 4)).extracting(row -> row.getInt(0)).containsExactly(0, 1, 2, 3);
    for (int epoch = 0; epoch < 4; epoch++) {
      assertThat(rows.get(4 + epoch).getDouble(3))
          .isEqualTo(Math.exp(rows.get(epoch).getDouble(3)));
    }
    assertThat(rows.get(3).getDouble(3)).isLessThan(rows.get(0).getDouble(3) - 0.5);
  }

  @ParameterizedTest
  @ValueSource(strings = {"sft 4/", "sft: epoch 2", "Model in "})
  void aRunThatIsKilledAndStartedAgainWritesTheSameBytes(String line) {
    String[] options = {
      "--text", "concat(prompt, ' ', response)", "--accumulate", "2", "--micro-batch", "4",
      "--early-stop", "1", "--checkpoint-every", "3", "--validation-share", "0.2"
    };
    CommandLineRun whole = run(command("whole", options));
    assertThat(whole.exitCode()).as(whole.err()).isZero();
    String name = "killed-at-" + line.replaceAll("\\W", "");

    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int killed =
        Main.run(
            stoppingAt(line),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            withWarehouse(command(name, options)));
    assertThat(killed).isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("pulled the plug");
    CommandLineRun again = run(command(name, options));

    assertThat(again.exitCode()).as(again.err()).isZero();
    assertThat(again.out()).endsWith("is complete\n");
    assertThat(folder.resolve(name + "/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("whole/model.safetensors"));
    assertThat(metrics(name)).isEqualTo(metrics("whole")).hasSizeGreaterThan(20);
  }

  private List<String> metrics(String output) {
    return tables()
        .sql(
            "SELECT step, epoch, metric, value FROM sft_metrics JOIN runs USING (run_id)"
                + " WHERE summary LIKE '%"
                + path(output)
                + "\"%' ORDER BY metric, step")
        .collectAsList()
        .stream()
        .map(Row::toString)
        .toList();
  }

  private TextExample example(SftInputs.Kind kind, SftInputs.LossOn lossOn, int number) {
    Dataset<Row> row =
        SparkTestSession.get()
            .read()
            .parquet(path("rows"))
            .filter("number = " + number)
            .selectExpr("'row' AS id", "false AS held_out", "*");
    List<TextExample> examples = new SftExamples(kind, lossOn, model).of(row, false).collect();
    assertThat(examples).hasSize(1);
    return examples.get(0);
  }

  /** The text of the learned tokens. */
  private String learned(TextExample example) {
    return Tokenizer.of(model.tokenizer())
        .decode(
            IntStream.range(0, example.length())
                .filter(t -> example.learned()[t])
                .map(t -> example.tokens()[t])
                .toArray());
  }

  private String[] command(String output, String... options) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "sft",
                "--input",
                path("rows"),
                "--tokenizer",
                path("tokenizer"),
                "--hidden-size",
                "16",
                "--layers",
                "1",
                "--heads",
                "2",
                "--max-length",
                "96",
                "--learning-rate",
                "1e-2",
                "--lanes",
                "2",
                "--output",
                path(output)));
    command.addAll(Arrays.asList(options));
    return command.toArray(String[]::new);
  }

  private CommandLineRun run(String... command) {
    return CommandLineRun.of(withWarehouse(command));
  }

  private String[] withWarehouse(String... command) {
    List<String> arguments = new ArrayList<>(Arrays.asList(command));
    arguments.addAll(List.of("--warehouse", path("warehouse")));
    return arguments.toArray(String[]::new);
  }

  private static PrintStream stoppingAt(String start) {
    return new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8) {
      @Override
      public void println(String line) {
        if (line.startsWith(start)) {
          throw new IllegalStateException("pulled the plug");
        }
      }
    };
  }

  private SparkSession tables() {
    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    return spark;
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
