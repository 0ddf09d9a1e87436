package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.report.ReportPage;
import io.github.sparkrlhf.report.ShownRun;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.sql.Timestamp;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Tells of runs on a page of HTML. */
@Command(
    name = "report",
    description = {
      "Writes one page of HTML, which needs no network, about runs and all runs that they were made"
          + " from: feedback, reward models, fine-tuning, PPO, samples, provenance, configuration.",
      "It has a section only where the runs have its tables. Several runs of a job are compared."
    })
final class ReportJob extends JobCommand {
  private static final String GENERATOR = "spark-rlhf report, run ";

  @Option(
      names = "--run",
      paramLabel = "ID",
      description =
          "A run to tell of, with all that it was made from; may be repeated (default: all complete"
              + " runs of the warehouse).")
  private List<String> runs = List.of();

  @Option(
      names = "--output",
      required = true,
      paramLabel = "FILE",
      description = "The HTML file to write; replaced if it is an earlier report.")
  private Path output;

  @Option(
      names = "--title",
      paramLabel = "TEXT",
      defaultValue = "RLHF report",
      description = "Title of the page (default: ${DEFAULT-VALUE}).")
  private String title;

  @Option(
      names = "--samples",
      paramLabel = "PROMPTS",
      defaultValue = "10",
      description =
          "How many prompts are shown with what the policies answer (default: ${DEFAULT-VALUE}).")
  private int samples;

  private List<ShownRun> shown;

  @Override
  protected void validate(Given given) {
    Given.requireNotNegative("samples", samples);
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    shown = shown(context);
    return shown.stream().map(run -> run.job() + " " + run.id()).toList();
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return content(output).contains(generator(run)) ? List.of() : List.of(output.toString());
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    if (Files.exists(output) && !content(output).contains(GENERATOR)) {
      throw JobFailure.usage("Cannot write to " + output + ": it exists and is no report");
    }
    String page =
        new ReportPage(context.spark(), shown, title, samples).html(generator(context.run()));
    write(page, context.run());
    context.out().printf("%d runs in %s%n", shown.size(), output);
    return Map.of("runs", shown.size(), "output", output.toString());
  }

  /** The runs, ancestors first. */
  private List<ShownRun> shown(JobContext context) {
    Map<String, List<String>> parents = Lineage.parents(context.tables());
    Set<String> wanted = new TreeSet<>();
    Deque<String> open = new ArrayDeque<>(runs.isEmpty() ? parents.keySet() : runs);
    while (!open.isEmpty()) {
      String id = open.pop();
      if (!parents.containsKey(id)) {
        throw JobFailure.usage(
            "Cannot tell of run '"
                + id
                + "': it is not complete; complete runs: "
                + (parents.isEmpty() ? "none" : String.join(", ", parents.keySet())));
      }
      if (wanted.add(id)) {
        open.addAll(parents.get(id));
      }
    }
    List<ShownRun> found = new ArrayList<>();
    for (Row row :
        context
            .spark()
            .table(Table.RUNS.tableName())
            .orderBy("completed_at", Table.RUN_ID)
            .collectAsList()) {
      String id = row.getAs(Table.RUN_ID);
      if (wanted.contains(id) && !row.getAs("job").equals("report")) {
        found.add(run(row, parents.get(id)));
      }
    }
    if (found.isEmpty()) {
      throw JobFailure.dataQuality("Cannot write a report: there is no complete run");
    }
    return found;
  }

  private static ShownRun run(Row row, List<String> parents) {
    return new ShownRun(
        row.getAs(Table.RUN_ID),
        row.getAs("job"),
        row.getAs("version"),
        row.<Timestamp>getAs("started_at").toInstant(),
        row.<Timestamp>getAs("completed_at").toInstant(),
        Json.parsed(row.getAs("configuration")),
        Json.parsed(row.getAs("summary")),
        parents);
  }

  private static String generator(Run run) {
    return GENERATOR + run.id();
  }

  private static String content(Path file) {
    try {
      return Files.isRegularFile(file) ? Files.readString(file) : "";
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read " + file + ": " + e, e);
    }
  }

  private void write(String page, Run run) {
    Path beside = output.resolveSibling(output.getFileName() + ".partial-" + run.id());
    try {
      if (output.toAbsolutePath().getParent() != null) {
        Files.createDirectories(output.toAbsolutePath().getParent());
      }
      Files.writeString(beside, page);
      Files.move(beside, output, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw JobFailure.failure("Cannot write " + output + ": " + e, e);
    }
  }
}
