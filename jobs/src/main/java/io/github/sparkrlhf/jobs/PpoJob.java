package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.lm.WeightType;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.ppo.IterationReport;
import io.github.sparkrlhf.ppo.PpoSettings;
import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.ppo.RewardSources;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Improves a policy against a reward model. */
@Command(
    name = "ppo",
    description = {
      "Improves a language model against a reward model by proximal policy optimisation or one of its critic-free siblings, with a KL penalty to the model it starts from.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class PpoJob extends JobCommand {
  private static final String POLICY = "policy";
  private static final String CRITIC = "critic";
  private static final String SHARED_TRUNK = "shared-trunk";

  @Mixin private PromptOptions promptOptions;

  @Option(
      names = "--policy",
      required = true,
      paramLabel = "DIR",
      description = "The language model to improve; also the reference policy.")
  private Path policy;

  @Mixin private RewardSourceOptions rewardSources;

  @Option(
      names = "--critic",
      paramLabel = "DIR",
      description =
          "Model that the critic of ppo starts from (default: the first reward model if it is a transformer with the policy's tokenizer, else the policy with a new head).")
  private Path critic;

  @Option(
      names = "--shared-trunk",
      description =
          "The critic of ppo is a new scalar head on the policy's own trunk, not a network of its own: about half the work of an iteration.")
  private boolean sharedTrunk;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description =
          "Directory to write: the improved policy in DIR/policy, the critic of ppo in DIR/critic. Must not exist yet.")
  private Path output;

  @Option(
      names = "--checkpoints",
      paramLabel = "DIR",
      description = "Directory of checkpoints to resume from (default: <output>.checkpoints).")
  private Path checkpoints;

  @Option(
      names = "--print-samples-every",
      paramLabel = "ITERATIONS",
      defaultValue = "0",
      description =
          "Print three responses of every so many iterations; 0 for none (default: ${DEFAULT-VALUE}).")
  private int printSamplesEvery;

  @Mixin private PpoOptions options;
  @Mixin private WatchdogOptions watchdog;
  @Mixin private LoraOptions lora;
  @Mixin private WeightOptions written;

  @Override
  protected void validate(Given given) {
    rewardSources.validate();
    options.validate(given);
    watchdog.validate(given, rewardSources.hasWatcher());
    Given.require(printSamplesEvery >= 0, "print-samples-every", printSamplesEvery, "at least 0");
    lora.validate(given);
    if (sharedTrunk) {
      given.refuse(Set.of("critic"), "with --shared-trunk the critic is a new head");
      lora.requireMerged(given, "adapters of a trunk with two heads have no format");
      if (!options.settings(watchdog.settings()).algorithm().needsCritic()) {
        given.refuse(Set.of(SHARED_TRUNK), "only ppo has a critic");
      }
    }
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    Set<String> names = new HashSet<>(CheckpointDirectories.OPTIONS);
    names.add("print-samples-every");
    names.addAll(options.outsideIdentity());
    names.addAll(watchdog.outsideIdentity(rewardSources.hasWatcher()));
    names.addAll(lora.outsideIdentity());
    if (!sharedTrunk) {
      names.add(SHARED_TRUNK);
    }
    return names;
  }

  @Override
  protected List<Path> outputs() {
    return List.of(output);
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    List<String> fingerprints = new ArrayList<>();
    fingerprints.add(promptOptions.fingerprint(context.spark()));
    fingerprints.addAll(modelDigests());
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    PpoSettings settings = settings();
    Start start = start();
    try (Trainables networks = networks(context.spark(), start)) {
      context.out().println(networks.describeTraffic());
      PpoTrainer trainer = new PpoTrainer(context.spark(), networks, start.rewards(), settings);
      PpoTrainer.Result result =
          trainer.train(
              prompts(context, start.networks(), settings),
              CheckpointDirectories.of(checkpoints, output, context, trainer.parameterLayout()),
              new SamplePrinter(new IterationTables(context), context.out(), printSamplesEvery),
              new Progress(context.out(), "ppo", settings.iterations()));
      // An earlier attempt under the same run id may have had more iterations.
      context.run().removeIterationsAfter(Table.ROLLOUTS, result.iterations());
      context.run().removeIterationsAfter(Table.PPO_METRICS, result.iterations());
      Map<String, Object> summary = summary(context, settings, result);
      summary.putAll(networks.traffic());
      publish(context, networks, start.networks(), result, summary);
      context.out().println("Policy in " + output.resolve(POLICY));
      return summary;
    }
  }

  /**
   * The job of an earlier run, to ask about; it is not to be executed.
   *
   * @param configuration as it stands with the run
   * @throws JobFailure usage, if it is no configuration of this version
   */
  static PpoJob of(String runId, Map<String, Object> configuration) {
    List<String> arguments = new ArrayList<>();
    configuration.forEach(
        (name, value) -> {
          if (value instanceof Boolean flag) {
            if (flag) {
              arguments.add("--" + name);
            }
          } else if (value instanceof List<?> list) {
            list.forEach(each -> arguments.add("--" + name + "=" + each));
          } else {
            arguments.add("--" + name + "=" + value);
          }
        });
    PpoJob job = new PpoJob();
    try {
      new CommandLine(job).parseArgs(arguments.toArray(String[]::new));
    } catch (CommandLine.ParameterException e) {
      throw JobFailure.usage(
          "Cannot replay run " + runId + ": this version is another one, " + e.getMessage());
    }
    return job;
  }

  /** What the options say about the loop. */
  PpoSettings settings() {
    return options.settings(watchdog.settings());
  }

  /** Digests of the models that the run starts from, as they stand among its inputs. */
  List<String> modelDigests() {
    List<String> digests = new ArrayList<>();
    digests.add(ModelDirectories.digest(policy));
    digests.addAll(rewardSources.fingerprints());
    if (critic != null) {
      digests.add(ModelDirectories.digest(critic));
    }
    return digests;
  }

  Path output() {
    return output;
  }

  /** The directories of the models after the last iteration, whose weights are those trained. */
  List<Path> written() {
    return written.type() == WeightType.F32
        ? (settings().algorithm().needsCritic() ? List.of(POLICY, CRITIC) : List.of(POLICY))
            .stream().map(output::resolve).toList()
        : List.of();
  }

  /**
   * What a run starts from.
   *
   * @param networks what is trained: the policy and, if the algorithm needs one that is a network
   *     of its own, the critic
   */
  record Start(RewardSources rewards, List<Network> networks) {}

  /** Reads the models before the first iteration. */
  Start start() {
    LanguageModel start = LanguageModel.load(policy);
    if (start.config().head() != TransformerConfig.Head.CAUSAL_LM) {
      throw JobFailure.usage("Cannot improve " + policy + ": it is no language model");
    }
    RewardSources rewards = rewardSources.load();
    if (sharedTrunk) {
      LanguageModel both =
          start.withHead(TransformerConfig.Head.CAUSAL_LM_AND_SCORE, options.seed());
      return new Start(rewards, List.of(new Network(both, policy)));
    }
    List<Network> networks = new ArrayList<>(List.of(new Network(start, policy)));
    if (settings().algorithm().needsCritic()) {
      networks.add(critic(start, rewards.models().get(0).model()));
    }
    return new Start(rewards, networks);
  }

  /** What is trained; the caller closes it. */
  Trainables networks(SparkSession spark, Start start) {
    return lora.trainables(
        JavaSparkContext.fromSparkContext(spark.sparkContext()),
        options.seed(),
        start.networks().stream().map(Network::directory).toList(),
        start.networks().stream().map(Network::model).toArray(LanguageModel[]::new));
  }

  /**
   * A network before training.
   *
   * @param directory what it was read from, a critic's head aside
   */
  record Network(LanguageModel model, Path directory) {}

  /** The critic starts from what knows most about rewards. */
  private Network critic(LanguageModel start, RewardModel rewardModel) {
    if (critic != null) {
      return new Network(
          LanguageModel.load(critic)
              .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, options.seed()),
          critic);
    }
    if (rewardModel instanceof TransformerRewardModel transformer
        && transformer.model().tokenizer().equals(start.tokenizer())) {
      return new Network(transformer.model(), rewardSources.first());
    }
    return new Network(
        start.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, options.seed()), policy);
  }

  /** The prompts, after which all networks have room for a whole response. */
  private List<RolloutSampler.Prompt> prompts(
      JobContext context, List<Network> initial, PpoSettings settings) {
    int positions =
        initial.stream()
            .mapToInt(network -> network.model().config().maxPositions())
            .min()
            .orElseThrow();
    int maxNewTokens = settings.sampling().maxNewTokens();
    return PromptOptions.tokenized(
        promptOptions.rows(context),
        Tokenizer.of(initial.get(0).model().tokenizer()),
        positions - maxNewTokens,
        maxNewTokens,
        settings.algorithm().needsCritic() ? "policy and critic have" : "the policy has");
  }

  private static Map<String, Object> summary(
      JobContext context, PpoSettings settings, PpoTrainer.Result result) {
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("algorithm", settings.algorithm().toString());
    summary.put("iterations", result.iterations());
    summary.put("responses", (long) result.iterations() * settings.sampling().responses());
    summary.put("alarms", alarms(result));
    if (result.stopped()) {
      summary.put("stopped_by_watchdog", true);
      summary.put("kept_iteration", Math.max(0, result.bestIteration()));
    }
    summary.put("before", metrics(context, 0));
    summary.put("after", metrics(context, result.iterations()));
    return summary;
  }

  private static List<String> alarms(PpoTrainer.Result result) {
    return result.alarms().stream()
        .map(alarm -> "iteration " + alarm.iteration() + ": " + alarm.reason())
        .toList();
  }

  /** All metrics of an iteration but its speed: the same run has the same summary. */
  private static Map<String, Double> metrics(JobContext context, int iteration) {
    Map<String, Double> metrics = new TreeMap<>();
    for (Row row :
        context
            .run()
            .rows(Table.PPO_METRICS)
            .filter("iteration = " + iteration)
            .select("metric", "value")
            .collectAsList()) {
      if (!IterationReport.isTiming(row.getString(0))) {
        metrics.put(row.getString(0), row.getDouble(1));
      }
    }
    return metrics;
  }

  private void publish(
      JobContext context,
      Trainables networks,
      List<Network> initial,
      PpoTrainer.Result result,
      Map<String, Object> summary) {
    Map<String, Object> provenance = new LinkedHashMap<>(summary);
    provenance.put(ModelDirectories.RUN_ID, context.run().id());
    provenance.put("job", "ppo");
    provenance.put("parent", policy.toString());
    provenance.put("reward", rewardSources.described());
    provenance.put("inputs", context.inputs());
    ModelDirectories.publish(
        output,
        provenance,
        beside -> {
          for (int i = 0; i < result.models().size(); i++) {
            Path base = initial.get(Math.min(i, initial.size() - 1)).directory();
            Map<String, Object> withBase = new LinkedHashMap<>(provenance);
            lora.addBase(withBase, base);
            ModelDirectories.publish(
                beside.resolve(i == 0 ? POLICY : CRITIC),
                withBase,
                lora.files(
                    networks, i, result.trained(), base, result.models().get(i), written.type()));
          }
        });
  }
}
