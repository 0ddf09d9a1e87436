package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.evaluation.Answer;
import io.github.sparkrlhf.evaluation.Contest;
import io.github.sparkrlhf.evaluation.Contest.Verdict;
import io.github.sparkrlhf.evaluation.Measurement;
import io.github.sparkrlhf.evaluation.PolicyMetrics;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Table;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures policies by their responses, against each other and against references. */
@Command(
    name = "evaluate",
    description = {
      "Measures policies by their responses to the same prompts, against each other and against"
          + " reference responses: win rates by a reward model and by people, KL, perplexity,"
          + " overlap, diversity, length; by slice.",
      "Responses are those of runs of rollout or ppo. Each EXPRESSION is Spark SQL over the columns"
          + " of --prompts."
    })
final class EvaluateJob extends JobCommand {
  private static final String REFERENCE = "reference";
  private static final int FEWEST_PROMPTS = 10;
  private static final int DIGITS = 12;

  /** What is printed; the rest stands in the table. */
  private static final Set<String> SHOWN =
      Set.of(
          "win_rate",
          "length_controlled_win_rate",
          "human_win_rate",
          PolicyMetrics.REWARD,
          "kl_to_reference",
          "length_tokens",
          "truncated_share",
          "self_bleu",
          "bleu");

  @Option(
      names = "--candidate",
      required = true,
      paramLabel = "NAME=RUN",
      description =
          "A policy: a name, and the run of rollout or ppo with its responses; of ppo those of the"
              + " last iteration, or of another one: NAME=RUN@ITERATION. May be repeated: each is"
              + " compared with those before it. Only prompts that all of them have answered"
              + " count.")
  private List<String> candidates;

  @Option(
      names = "--reward",
      paramLabel = "DIR",
      description = "Reward model of any kind that decides who wins (default: nobody does).")
  private Path reward;

  @Option(
      names = "--reference-policy",
      paramLabel = "DIR",
      description =
          "Language model with the candidates' tokenizer, for the KL to it, nats per response, and"
              + " its perplexity of the responses (default: neither).")
  private Path referencePolicy;

  @Mixin private EvaluationPrompts prompts;

  @Option(
      names = "--pairs-run",
      paramLabel = "ID",
      description =
          "A run of pairs: what people said where they compared responses of two candidates"
              + " (default: none).")
  private String pairsRun;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description = "Another seed draws other bootstrap intervals (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Override
  protected void validate(Given given) {
    prompts.validate(given);
    Set<String> names = new HashSet<>(Set.of(REFERENCE));
    for (String candidate : candidates) {
      Given.require(
          candidate.matches("[^=]+=[^=]+") && names.add(candidate.split("=", 2)[0]),
          "candidate",
          candidate,
          "NAME=RUN with a name that no other has");
    }
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    List<String> fingerprints = new ArrayList<>();
    for (String candidate : candidates) {
      String run = candidate.split("=", 2)[1].replaceFirst("@\\d+$", "");
      fingerprints.add("rollouts of run " + context.tables().resolveRun(Table.ROLLOUTS, run));
    }
    if (reward != null) {
      fingerprints.add(ModelDirectories.digest(reward));
    }
    if (referencePolicy != null) {
      fingerprints.add(ModelDirectories.digest(referencePolicy));
    }
    if (pairsRun != null) {
      fingerprints.add("pairs of run " + context.tables().resolveRun(Table.PAIRS, pairsRun));
    }
    fingerprints.addAll(prompts.fingerprints(context));
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    EvaluationPrompts.Known known = prompts.read(context);
    List<Candidate> policies = new ArrayList<>();
    for (String candidate : candidates) {
      policies.add(Candidate.read(context, candidate));
    }
    Set<String> common = common(policies, known);
    policies.replaceAll(policy -> policy.of(common));
    CandidateScores scores = new CandidateScores(context, reward, referencePolicy);
    Map<String, List<Answer>> answers = new LinkedHashMap<>();
    Map<String, CandidateScores.ReferenceTexts> ofReferences = new LinkedHashMap<>();
    for (Candidate policy : policies) {
      answers.put(policy.name(), scores.answers(policy));
      ofReferences.put(policy.name(), scores.referenceTexts(policy, known.references()));
    }
    List<Answer> references = scores.references(known.references(), common);
    List<Verdict> verdicts = verdicts(context);
    Map<String, Map<String, Set<String>>> slices = known.slices(common, FEWEST_PROMPTS);
    String digest = StableHash.sha256(String.join("\u0000", common)).substring(0, DIGITS);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < policies.size(); i++) {
      Candidate policy = policies.get(i);
      Map<String, List<Answer>> opponents = new LinkedHashMap<>();
      policies.subList(0, i).forEach(each -> opponents.put(each.name(), answers.get(each.name())));
      if (!references.isEmpty()) {
        opponents.put(REFERENCE, references);
      }
      slices.forEach(
          (slice, values) ->
              values.forEach(
                  (value, inSlice) -> {
                    Writer writer = new Writer(rows, policy, slice, value, digest);
                    List<Answer> ours = in(answers.get(policy.name()), inSlice);
                    CandidateScores.ReferenceTexts texts = ofReferences.get(policy.name());
                    writer.add(
                        null,
                        new PolicyMetrics(ours, known.references(), texts.nats(), texts.tokens())
                            .measure(seed));
                    opponents.forEach(
                        (opponent, theirs) -> {
                          Contest contest = new Contest(ours, in(theirs, inSlice));
                          writer.add(opponent, contest.byReward(seed));
                          writer.add(opponent, contest.byPeople(verdicts));
                        });
                  }));
    }
    context
        .run()
        .write(
            Table.EVALUATIONS,
            context.spark().createDataFrame(rows, Table.EVALUATIONS.schemaWithoutRun()));
    print(context, rows);
    return summary(common.size(), digest, rows);
  }

  private static Set<String> common(List<Candidate> policies, EvaluationPrompts.Known known) {
    Set<String> common = new TreeSet<>(policies.get(0).prompts());
    policies.forEach(policy -> common.retainAll(policy.prompts()));
    known.prompts().ifPresent(common::retainAll);
    if (common.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot evaluate: there is no prompt that all candidates have answered"
              + (known.prompts().isPresent() ? " and --prompts has" : ""));
    }
    return common;
  }

  private static List<Answer> in(List<Answer> answers, Set<String> prompts) {
    return answers.stream().filter(answer -> prompts.contains(answer.prompt())).toList();
  }

  private List<Verdict> verdicts(JobContext context) {
    if (pairsRun == null) {
      return List.of();
    }
    return context
        .tables()
        .rows(Table.PAIRS, pairsRun)
        .where(col("decided"))
        .select("prompt", "chosen", "rejected")
        .collectAsList()
        .stream()
        .map(row -> new Verdict(row.getString(0), row.getString(1), row.getString(2)))
        .toList();
  }

  /** Where measurements of one candidate on one slice go. */
  private final class Writer {
    private final List<Row> rows;
    private final Candidate policy;
    private final String slice;
    private final String value;
    private final String digest;

    private Writer(List<Row> rows, Candidate policy, String slice, String value, String digest) {
      this.rows = rows;
      this.policy = policy;
      this.slice = slice;
      this.value = value;
      this.digest = digest;
    }

    private void add(String opponent, List<Measurement> measurements) {
      for (Measurement each : measurements) {
        rows.add(
            RowFactory.create(
                policy.name(),
                opponent,
                policy.run(),
                policy.directory(),
                reward == null ? null : reward.getFileName().toString(),
                slice,
                value,
                each.metric(),
                each.value(),
                each.low(),
                each.high(),
                each.n(),
                digest));
      }
    }
  }

  private static void print(JobContext context, List<Row> rows) {
    List<List<String>> lines =
        rows.stream()
            .filter(row -> row.getString(5).equals("all") && SHOWN.contains(row.getString(7)))
            .map(
                row ->
                    List.of(
                        row.getString(0),
                        row.isNullAt(1) ? "" : row.getString(1),
                        row.getString(7),
                        String.format(Locale.ROOT, "%.3f", row.getDouble(8)),
                        row.isNullAt(9)
                            ? ""
                            : String.format(
                                Locale.ROOT, "%.3f to %.3f", row.getDouble(9), row.getDouble(10))))
            .toList();
    TextTable.lines(
            List.of("candidate", "against", "metric", "value", "95 % interval"),
            lines,
            List.of(false, false, false, true, true))
        .forEach(context.out()::println);
  }

  private static Map<String, Object> summary(int prompts, String digest, List<Row> rows) {
    Map<String, Object> summary = new TreeMap<>();
    summary.put("prompts", prompts);
    summary.put("prompts_hash", digest);
    for (Row row : rows) {
      if (row.getString(5).equals("all") && row.getString(7).endsWith("win_rate")) {
        summary.put(
            row.getString(0) + "/" + row.getString(1) + "/" + row.getString(7), row.getDouble(8));
      }
    }
    return summary;
  }
}
