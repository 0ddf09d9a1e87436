package io.github.sparkrlhf.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.GoldenModel;
import io.github.sparkrlhf.policy.RolloutSampler.Prompt;
import io.github.sparkrlhf.policy.SamplingOptions.Stop;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;

class RolloutSamplerTest {
  private static final GoldenModel MODEL = GoldenModel.load("llama");
  private static final SamplingOptions OPTIONS = new SamplingOptions(1, 10, Stop.at(List.of(72)));
  private static final int PROMPTS = 13;

  @Test
  void rolloutsAreSortedAndComplete() {
    List<Rollout> rollouts = sampler(4, 3).sample(MODEL.weights(), prompts(), 2, 0);
    List<String> expected = new ArrayList<>();
    prompts().stream()
        .map(Prompt::id)
        .sorted()
        .forEach(id -> Collections.addAll(expected, id + "-0", id + "-1"));
    assertThat(rollouts.stream().map(Rollout::id)).containsExactlyElementsOf(expected);
    for (Rollout rollout : rollouts) {
      assertThat(rollout.id()).isEqualTo(rollout.promptId() + "-" + rollout.sample());
      assertThat(rollout.response().length).isBetween(1, 10);
      assertThat(rollout.samplerLogProbabilities()).hasSameSizeAs(rollout.response());
      assertThat(rollout.stopped())
          .isEqualTo(rollout.response()[rollout.response().length - 1] == 72);
    }
  }

  @Test
  void theOrderOfThePromptsChangesNoBit() {
    List<Prompt> shuffled = new ArrayList<>(prompts());
    Collections.shuffle(shuffled, new Random(3));
    assertThat(text(sampler(4, 3).sample(MODEL.weights(), shuffled, 2, 0)))
        .isEqualTo(text(sampler(4, 3).sample(MODEL.weights(), prompts(), 2, 0)));
  }

  @Test
  void lanesBatchesAndOtherPromptsDecideOnlyTheLastBits() {
    List<Rollout> rollouts = sampler(4, 3).sample(MODEL.weights(), prompts(), 2, 0);
    List<Rollout> cutOtherwise = sampler(1, 26).sample(MODEL.weights(), prompts(), 2, 0);
    assertSame(cutOtherwise, rollouts);
    List<Rollout> few = sampler(4, 3).sample(MODEL.weights(), prompts().subList(0, 1), 2, 0);
    assertSame(
        few, rollouts.stream().filter(rollout -> rollout.promptId().equals("prompt-0")).toList());
  }

  @Test
  void anotherIterationDrawsAnew() {
    List<Rollout> first = sampler(4, 3).sample(MODEL.weights(), prompts(), 1, 0);
    List<Rollout> second = sampler(4, 3).sample(MODEL.weights(), prompts(), 1, 1);
    assertThat(text(second)).isNotEqualTo(text(first));
  }

  private static void assertSame(List<Rollout> found, List<Rollout> expected) {
    assertThat(found).hasSameSizeAs(expected);
    for (int i = 0; i < found.size(); i++) {
      assertThat(found.get(i).id()).isEqualTo(expected.get(i).id());
      assertThat(found.get(i).response()).isEqualTo(expected.get(i).response());
      assertThat(found.get(i).samplerLogProbabilities())
          .containsExactly(expected.get(i).samplerLogProbabilities(), within(1e-4f));
    }
  }

  private static RolloutSampler sampler(int lanes, int batch) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());
    return new RolloutSampler(context, MODEL.config(), OPTIONS, lanes, batch, 9);
  }

  /** Prompts of 7, 11 or 16 tokens, no two equal. */
  private static List<Prompt> prompts() {
    List<Prompt> prompts = new ArrayList<>();
    for (int i = 0; i < PROMPTS; i++) {
      int[] tokens = MODEL.sequences().get(i % 3).clone();
      tokens[1] = 3 + i;
      prompts.add(new Prompt("prompt-" + i, "text", tokens));
    }
    return prompts;
  }

  /** All fields, with every bit of the log-probabilities. */
  private static List<String> text(List<Rollout> rollouts) {
    return rollouts.stream()
        .map(
            rollout ->
                String.join(
                    " ",
                    rollout.id(),
                    Arrays.toString(rollout.prompt()),
                    Arrays.toString(rollout.response()),
                    Arrays.toString(rollout.samplerLogProbabilities())))
        .toList();
  }
}
