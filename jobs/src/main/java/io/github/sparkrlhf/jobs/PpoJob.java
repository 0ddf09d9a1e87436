package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.ppo.PpoSettings;
import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Progress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Improves a policy against a reward model. */
@Command(
    name = "ppo",
    description = {
      "Improves a language model against a reward model by proximal policy optimisation, with a KL penalty to the model it starts from.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class PpoJob extends JobCommand {
  @Mixin private PromptOptions promptOptions;

  @Option(
      names = "--policy",
      required = true,
      paramLabel = "DIR",
      description = "The language model to improve; also the reference policy.")
  private Path policy;

  @Option(
      names = "--reward",
      required = true,
      paramLabel = "DIR",
      description = "The reward model, of any kind.")
  private Path reward;

  @Option(
      names = "--critic",
      paramLabel = "DIR",
      description =
          "Model that the critic starts from (default: the reward model if it is a transformer with the policy's tokenizer, else the policy with a new head).")
  private Path critic;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description =
          "Directory to write: the improved policy in DIR/policy, the critic in DIR/critic. Must not exist yet.")
  private Path output;

  @Option(
      names = "--checkpoints",
      paramLabel = "DIR",
      description = "Directory of checkpoints to resume from (default: <output>.checkpoints).")
  private Path checkpoints;

  @Mixin private PpoOptions options;

  @Override
  protected void validate(Given given) {
    options.validate(given);
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    Set<String> names = new HashSet<>(CheckpointDirectories.OPTIONS);
    names.addAll(options.outsideIdentity());
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
    List<String> fingerprints =
        new ArrayList<>(
            List.of(
                promptOptions.fingerprint(context.spark()),
                ModelDirectories.digest(policy),
                ModelDirectories.digest(reward)));
    if (critic != null) {
      fingerprints.add(ModelDirectories.digest(critic));
    }
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    PpoSettings settings = options.settings();
    LanguageModel start = LanguageModel.load(policy);
    if (start.config().head() != TransformerConfig.Head.CAUSAL_LM) {
      throw JobFailure.usage("Cannot improve " + policy + ": it is no language model");
    }
    RewardModel rewardModel = RewardModels.load(reward);
    PpoTrainer trainer =
        new PpoTrainer(context.spark(), start, critic(start, rewardModel), rewardModel, settings);
    PpoTrainer.Result result =
        trainer.train(
            prompts(context, start, room(start, trainer.critic(), settings), settings),
            CheckpointDirectories.of(checkpoints, output, context, trainer.parameterLayout()),
            new IterationTables(context),
            new Progress(context.out(), "ppo", settings.iterations()));
    // An earlier attempt under the same run id may have had more iterations.
    context.run().removeIterationsAfter(Table.ROLLOUTS, settings.iterations());
    context.run().removeIterationsAfter(Table.PPO_METRICS, settings.iterations());
    Map<String, Object> summary = summary(context, settings);
    publish(context, trainer, start, result, summary);
    context.out().println("Policy in " + output.resolve("policy"));
    return summary;
  }

  /** The critic starts from what knows most about rewards. */
  private LanguageModel critic(LanguageModel start, RewardModel rewardModel) {
    if (critic != null) {
      return LanguageModel.load(critic)
          .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, options.seed());
    }
    if (rewardModel instanceof TransformerRewardModel transformer
        && transformer.model().tokenizer().equals(start.tokenizer())) {
      return transformer.model();
    }
    return start.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, options.seed());
  }

  /** The longest prompt after which both networks can read a whole response. */
  private static int room(LanguageModel policy, LanguageModel critic, PpoSettings settings) {
    int positions = Math.min(policy.config().maxPositions(), critic.config().maxPositions());
    return positions - settings.sampling().maxNewTokens();
  }

  private List<RolloutSampler.Prompt> prompts(
      JobContext context, LanguageModel start, int room, PpoSettings settings) {
    return PromptOptions.tokenized(
        promptOptions.rows(context),
        Tokenizer.of(start.tokenizer()),
        room,
        settings.sampling().maxNewTokens(),
        "policy and critic have");
  }

  private Map<String, Object> summary(JobContext context, PpoSettings settings) {
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("iterations", settings.iterations());
    summary.put("responses", (long) settings.iterations() * settings.sampling().responses());
    summary.put("before", metrics(context, 0));
    summary.put("after", metrics(context, settings.iterations()));
    return summary;
  }

  /** All metrics of an iteration but its speed: the same run has the same summary. */
  private static Map<String, Double> metrics(JobContext context, int iteration) {
    Map<String, Double> metrics = new TreeMap<>();
    for (Row row :
        context
            .run()
            .rows(Table.PPO_METRICS)
            .filter("iteration = " + iteration + " AND metric <> 'eps'")
            .select("metric", "value")
            .collectAsList()) {
      metrics.put(row.getString(0), row.getDouble(1));
    }
    return metrics;
  }

  private void publish(
      JobContext context,
      PpoTrainer trainer,
      LanguageModel start,
      PpoTrainer.Result result,
      Map<String, Object> summary) {
    Map<String, Object> provenance = new LinkedHashMap<>(summary);
    provenance.put(ModelDirectories.RUN_ID, context.run().id());
    provenance.put("job", "ppo");
    provenance.put("parent", policy.toString());
    provenance.put("reward", reward.toString());
    provenance.put("inputs", context.inputs());
    ModelDirectories.publish(
        output,
        provenance,
        beside -> {
          start.withWeights(result.policy()).save(beside.resolve("policy"), provenance);
          trainer.critic().withWeights(result.critic()).save(beside.resolve("critic"), provenance);
        });
  }
}
