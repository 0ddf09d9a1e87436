package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.FeatureWeight;
import io.github.sparkrlhf.reward.LeaveOneOut;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Table;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Says what a reward model looks at. */
@Command(
    name = "explain",
    description = {
      "Says what a reward model looks at: its greatest weights in words, and what each word of chosen responses adds to their score.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class ExplainJob extends JobCommand {
  private static final String WEIGHT = "weight";
  private static final String WORD = "word";
  private static final int SHOWN = 15;

  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description =
          "A Parquet path (file, folder, glob) or a table name: all its texts say what stands for the weights, and responses to explain are chosen from it.")
  private String input;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      defaultValue = "prompt",
      description = "The prompt (default: column ${DEFAULT-VALUE}).")
  private String prompt;

  @Option(
      names = "--response",
      paramLabel = "EXPRESSION",
      defaultValue = "response",
      description = "The response (default: column ${DEFAULT-VALUE}).")
  private String response;

  @Option(
      names = "--id",
      paramLabel = "EXPRESSION",
      description =
          "Id of the row in the table explanations (default: a hash of the texts and a number).")
  private String id;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "The reward model's directory.")
  private Path model;

  @Option(
      names = "--where",
      paramLabel = "EXPRESSION",
      defaultValue = "true",
      description = "Which responses to explain word by word (default: all).")
  private String where;

  @Option(
      names = "--rows",
      paramLabel = "ROWS",
      defaultValue = "10",
      description =
          "The most responses to explain word by word, those with the least ids (default: ${DEFAULT-VALUE}). Each word is one more text to score; of a response at most the first "
              + LeaveOneOut.MOST_WORDS
              + " are left out.")
  private int rows;

  @Option(
      names = "--weights",
      paramLabel = "WEIGHTS",
      defaultValue = "50",
      description =
          "How many of the greatest weights to tell, for kinds that have any (default: ${DEFAULT-VALUE}).")
  private int weights;

  @Override
  protected void validate(Given given) {
    Given.requireNotNegative("rows", rows);
    Given.requireNotNegative("weights", weights);
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return List.of(ModelDirectories.digest(model), Inputs.fingerprint(context.spark(), input));
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    RewardModel reward = RewardModels.load(model);
    Dataset<Row> texts = texts(context);
    List<FeatureWeight> features = reward.featureWeights(texts, weights);
    Dataset<Row> chosen = texts.where(col("chosen")).orderBy("row_id").limit(rows);
    List<LeaveOneOut.Contribution> words = LeaveOneOut.of(reward, chosen);
    List<Row> explanations = new ArrayList<>();
    for (int i = 0; i < features.size(); i++) {
      FeatureWeight feature = features.get(i);
      explanations.add(
          row(reward, WEIGHT, null, i, feature.feature(), feature.weight(), feature.terms()));
    }
    words.forEach(
        word ->
            explanations.add(
                row(
                    reward,
                    WORD,
                    word.id(),
                    word.position(),
                    word.word(),
                    word.value(),
                    List.of())));
    context
        .run()
        .write(
            Table.EXPLANATIONS,
            context.spark().createDataFrame(explanations, Table.EXPLANATIONS.schemaWithoutRun()));
    print(context, features);
    context.out().println(words.size() + " words of responses explained by " + reward.kind());
    return Map.of("model", model.toString(), "weights", features.size(), "words", words.size());
  }

  private Dataset<Row> texts(JobContext context) {
    Dataset<Row> read = Inputs.read(context.spark(), context.tables(), input);
    Dataset<Row> texts =
        read.select(
                Inputs.expression(read, "--prompt", prompt).cast("string").as(RewardModel.PROMPT),
                Inputs.expression(read, "--response", response)
                    .cast("string")
                    .as(RewardModel.RESPONSE),
                Inputs.expression(read, "--where", where).cast("boolean").as("chosen"),
                (id == null ? lit(null) : Inputs.expression(read, "--id", id))
                    .cast("string")
                    .as("row_id"))
            .where(col(RewardModel.PROMPT).isNotNull().and(col(RewardModel.RESPONSE).isNotNull()));
    if (texts.isEmpty()) {
      throw JobFailure.dataQuality("Cannot explain a model on " + input + ": it has no texts");
    }
    return id == null ? TextRows.withIds(texts.drop("row_id"), "row_id") : texts;
  }

  private Row row(
      RewardModel reward,
      String explains,
      String rowId,
      int position,
      String item,
      double value,
      List<String> terms) {
    return RowFactory.create(
        model.getFileName().toString(),
        reward.kind(),
        explains,
        rowId,
        position,
        item,
        value,
        terms.toArray(String[]::new));
  }

  private static void print(JobContext context, List<FeatureWeight> features) {
    List<List<String>> lines =
        features.stream()
            .limit(SHOWN)
            .map(
                feature ->
                    List.of(
                        feature.feature(),
                        String.format(Locale.ROOT, "%.4f", feature.weight()),
                        String.join(", ", feature.terms())))
            .toList();
    if (!lines.isEmpty()) {
      TextTable.lines(List.of("feature", "weight", "terms"), lines, List.of(false, true, false))
          .forEach(context.out()::println);
    }
  }
}
