package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.feedback.Feedback;
import io.github.sparkrlhf.jobs.Lineage.Descendant;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.PrintStream;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Removes what a person said from all runs of pairs, and says which models have learned it. */
@Command(
    name = "forget",
    description = {
      "Removes all judgements of an annotator, or single judgements, from every run of pairs, and makes anew what was derived from them.",
      "Lists the models and exports that were made from these runs; they are not changed. Remove the judgements from your log as well: pairs would read them again."
    })
final class ForgetJob extends JobCommand {
  @Option(
      names = "--annotator",
      paramLabel = "ID",
      description = "Forget all judgements of this annotator; may be repeated.")
  private List<String> annotators = new ArrayList<>();

  @Option(
      names = "--feedback-id",
      paramLabel = "ID",
      description = "Forget the judgement with this id in the log; may be repeated.")
  private List<String> feedbackIds = new ArrayList<>();

  @Override
  protected void validate(Given given) {
    if (annotators.isEmpty() && feedbackIds.isEmpty()) {
      throw JobFailure.usage("Cannot forget: give --annotator or --feedback-id");
    }
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    // What is to be forgotten must not be written down.
    return Set.of("annotator", "feedback-id");
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    // Each time is a run of its own: there may be new rows of the same person.
    List<String> inputs = new ArrayList<>(List.of("at " + Instant.now()));
    annotators.forEach(id -> inputs.add("annotator " + StableHash.sha256(id)));
    feedbackIds.forEach(id -> inputs.add("feedback " + StableHash.sha256(id)));
    return inputs;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    Tables tables = context.tables();
    Set<String> affected = new TreeSet<>(tables.reopened());
    for (Table table : List.of(Table.COMPARISONS, Table.RATINGS, Table.QUARANTINE)) {
      affected.addAll(tables.runsWith(table, forgotten(table)));
    }
    PrintStream out = context.out();
    if (affected.isEmpty()) {
      out.println("Nothing to forget: no run has such rows");
      return Map.of();
    }
    affected.forEach(run -> erase(context, tables.reopen(run)));
    tables.forgetHistory();
    List<Descendant> descendants = Lineage.descendants(tables, affected);
    for (Descendant made : descendants) {
      String output = made.output() == null ? "" : ", which wrote " + made.output();
      out.println("Made from these runs and not changed: run " + made.run() + output);
    }
    return Map.of(
        "runs",
        List.copyOf(affected),
        "descendants",
        descendants.stream().map(Descendant::run).toList());
  }

  /** Removes the rows from a run and derives everything else from those that stay. */
  private void erase(JobContext context, Run run) {
    long forgotten = 0;
    for (Table table : List.of(Table.COMPARISONS, Table.RATINGS, Table.QUARANTINE)) {
      forgotten += run.rows(table).where(forgotten(table)).count();
    }
    PairsJob job = PairsJob.of(Json.parsed(run.configuration()));
    Feedback.Base kept =
        new Feedback.Base(
            kept(run, Table.COMPARISONS), kept(run, Table.RATINGS), kept(run, Table.QUARANTINE));
    context.out().printf(Locale.ROOT, "Run %s: %,d rows to forget%n", run.id(), forgotten);
    try (Feedback feedback = job.builder().continuing(kept).check()) {
      run.complete(job.curate(context, run, feedback, feedback.quarantineCounts()));
    }
  }

  private Dataset<Row> kept(Run run, Table table) {
    return run.rows(table).where(forgotten(table).equalTo(false));
  }

  /** True or false, never null, for each row of a table. */
  private Column forgotten(Table table) {
    String id = table == Table.COMPARISONS ? "original_id" : "feedback_id";
    return isAny("annotator_id", annotators).or(isAny(id, feedbackIds));
  }

  private static Column isAny(String column, List<String> values) {
    // Iceberg's filters cannot hold an empty list.
    return values.isEmpty() ? lit(false) : coalesce(col(column).isin(values.toArray()), lit(false));
  }
}
