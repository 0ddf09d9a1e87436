package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.BpeTrainer;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.tables.Inputs;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Learns a byte-level BPE tokenizer from text columns. */
@Command(
    name = "tokenizer",
    description = {
      "Learns a byte-level BPE tokenizer and writes it as a Hugging Face tokenizer directory.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class TokenizerJob extends JobCommand {
  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name; may be repeated.")
  private List<String> inputs;

  @Option(
      names = "--text",
      required = true,
      paramLabel = "EXPRESSION",
      description = "A text to learn from; may be repeated. Nulls are left out.")
  private List<String> texts;

  @Option(
      names = "--vocabulary-size",
      paramLabel = "TOKENS",
      defaultValue = "4096",
      description =
          "Tokens in all: 3 special ones, 256 bytes, and merges (default: ${DEFAULT-VALUE}). Fewer if the texts do not give so many merges.")
  private int vocabularySize;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The tokenizer directory to write; must not exist yet.")
  private Path output;

  @Override
  protected List<Path> outputs() {
    return List.of(output);
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return inputs.stream().map(input -> Inputs.fingerprint(context.spark(), input)).toList();
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    BpeTrainer trainer = new BpeTrainer(vocabularySize);
    TokenizerFile file = trainer.train(texts(context));
    int tokens = Tokenizer.of(file).vocabularySize();
    ModelDirectories.publish(
        output,
        Map.of(
            ModelDirectories.RUN_ID,
            context.run().id(),
            "inputs",
            inputs,
            "vocabulary_size",
            tokens),
        file::save);
    context.out().println("Tokenizer of " + tokens + " tokens in " + output);
    return Map.of("vocabulary_size", tokens, "output", output.toString());
  }

  private Dataset<String> texts(JobContext context) {
    Dataset<String> all = null;
    for (String input : inputs) {
      Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
      for (String text : texts) {
        Dataset<String> column =
            rows.select(Inputs.expression(rows, "--text", text).cast("string").as("text"))
                .filter("text is not null")
                .as(Encoders.STRING());
        all = all == null ? column : all.unionAll(column);
      }
    }
    return all;
  }
}
