package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.PpoReplay;
import io.github.sparkrlhf.ppo.PpoReplay.Comparison;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

/** Recomputes past updates of a run of {@code ppo} and compares. */
@Command(
    name = "replay",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    usageHelpAutoWidth = true,
    sortOptions = false,
    description = {
      "Recomputes iterations of a complete run of ppo from its rows in the table rollouts and its checkpoints, without sampling and without scoring, and compares bit by bit.",
      "Exit code 0 if all is the same, 1 if anything differs. Writes nothing."
    })
final class ReplayJob implements Callable<Integer> {
  @Option(
      names = "--run",
      paramLabel = "ID",
      description =
          "The run of ppo (default: the only complete one; an error if there are several).")
  private String run;

  @Option(
      names = "--from",
      paramLabel = "ITERATION",
      defaultValue = "0",
      description =
          "The first iteration to compare; those between the newest checkpoint before it, else the beginning, and it are recomputed on the way (default: ${DEFAULT-VALUE}).")
  private int from;

  @Option(
      names = "--to",
      paramLabel = "ITERATION",
      description =
          "The last iteration to compare (default: the last of the run, which has responses of the final policy and no update).")
  private Integer to;

  @Option(
      names = "--checkpoints",
      paramLabel = "DIR",
      description = "The run's directory of checkpoints (default: <its output>.checkpoints).")
  private Path checkpoints;

  @Mixin private SessionOptions session;
  @ParentCommand private Main main;

  @Override
  public Integer call() {
    Given.require(from >= 0, "from", from, "at least 0");
    SparkSession spark = session.openSession();
    Tables tables = session.openTables(spark);
    tables.registerViews();
    String id = tables.resolveRun(Table.PPO_METRICS, run);
    PastPpoRun past = new PastPpoRun(spark, tables, id, checkpoints);
    int last = to == null ? past.iterations() : to;
    Given.require(
        from <= last && last <= past.iterations(),
        to == null ? "from" : "to",
        to == null ? from : to,
        "such that --from ≤ --to ≤ %d, the last iteration of run %s"
            .formatted(past.iterations(), id));
    try (Trainables networks = past.networks()) {
      Progress progress = new Progress(main.out(), "replay", last + 1L);
      report(id, new PpoReplay(past.trainer(networks)).run(from, last, past, progress));
    }
    return 0;
  }

  private void report(String id, List<Comparison> comparisons) {
    List<List<String>> lines = new ArrayList<>();
    List<Comparison> different = comparisons.stream().filter(c -> c.different() > 0).toList();
    for (Comparison comparison : comparisons) {
      lines.add(
          List.of(
              String.valueOf(comparison.iteration()),
              comparison.what(),
              String.valueOf(comparison.numbers()),
              String.valueOf(comparison.different()),
              comparison.different() == 0 ? "" : String.valueOf(comparison.greatest())));
    }
    TextTable.lines(
            List.of("iteration", "what", "numbers", "different", "greatest difference"),
            lines,
            List.of(true, false, true, true, true))
        .forEach(main.out()::println);
    if (!different.isEmpty()) {
      Comparison first = different.get(0);
      throw JobFailure.failure(
          "Cannot reproduce run %s: %d of %d comparisons differ, first %s of iteration %d in %d of %d numbers"
              .formatted(
                  id,
                  different.size(),
                  comparisons.size(),
                  first.what(),
                  first.iteration(),
                  first.different(),
                  first.numbers()));
    }
    main.out()
        .printf(
            "Run %s is reproduced: %d comparisons, the same to the last bit%n",
            id, comparisons.size());
  }
}
