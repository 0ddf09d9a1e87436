package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.ParameterLayout.Parameter;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LoraAdaptersTest {
  private static final int RANK = 3;
  private static final double ALPHA = 4.5;

  /** x·W'ᵀ of the merged matrix against x·Wᵀ + α/r·(x·Aᵀ)·Bᵀ, in double precision. */
  @ParameterizedTest
  @CsvSource({
    "llama, model.layers.1.mlp.down_proj, false",
    "llama, model.layers.0.self_attn.k_proj, false",
    "gpt2, transformer.h.1.attn.c_attn, true",
    "gpt2, transformer.h.0.mlp.c_proj, true"
  })
  void aMergedProjectionIsTheProjectionBesideItsAdapter(
      String name, String module, boolean transposed) {
    GoldenModel model = GoldenModel.load(name);
    LoraAdapters adapters = adapters(model.config(), Lora.ALL_LINEAR);
    float[] trained = random(adapters.layout().size(), 1);
    float[] merged = model.weights().clone();
    adapters.merge(trained, 0, merged, 0);

    Parameter matrix = model.config().layout().parameter(module + ".weight");
    Parameter a = adapters.layout().parameter("base_model.model." + module + ".lora_A.weight");
    Parameter b = adapters.layout().parameter("base_model.model." + module + ".lora_B.weight");
    int in = (int) matrix.shape()[transposed ? 0 : 1];
    int out = (int) matrix.shape()[transposed ? 1 : 0];
    assertThat(a.shape()).containsExactly(RANK, in);
    assertThat(b.shape()).containsExactly(out, RANK);
    float[] x = random(in, 2);
    double[] low = new double[RANK];
    for (int k = 0; k < RANK; k++) {
      for (int j = 0; j < in; j++) {
        low[k] += (double) x[j] * trained[a.offset() + k * in + j];
      }
    }
    for (int o = 0; o < out; o++) {
      double whole = 0;
      double beside = 0;
      for (int j = 0; j < in; j++) {
        int at = matrix.offset() + (transposed ? j * out + o : o * in + j);
        whole += (double) x[j] * merged[at];
        beside += (double) x[j] * model.weights()[at];
      }
      for (int k = 0; k < RANK; k++) {
        beside += ALPHA / RANK * low[k] * trained[b.offset() + o * RANK + k];
      }
      assertThat(whole).isCloseTo(beside, within(1e-5));
    }
  }

  @Test
  void onlyTheTargetsChange() {
    GoldenModel model = GoldenModel.load("llama");
    LoraAdapters adapters = adapters(model.config(), "q_proj", "layers.1.mlp.up_proj");
    float[] merged = model.weights().clone();
    adapters.merge(random(adapters.layout().size(), 1), 0, merged, 0);
    List<String> changed =
        model.config().layout().parameters().stream()
            .filter(p -> !Arrays.equals(slice(p, merged), slice(p, model.weights())))
            .map(Parameter::name)
            .toList();
    assertThat(changed)
        .containsExactly(
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.1.self_attn.q_proj.weight",
            "model.layers.1.mlp.up_proj.weight");
  }

  /** The loss Σ C∘W' has the gradient C: that of A and B must predict what a step changes. */
  @ParameterizedTest
  @ValueSource(strings = {"llama", "gpt2", "llama_rm"})
  void theGradientOfAdaptersIsThatOfFiniteDifferences(String name) {
    GoldenModel model = GoldenModel.load(name);
    LoraAdapters adapters = adapters(model.config(), Lora.ALL_LINEAR);
    int size = adapters.layout().size();
    float[] c = random(model.weights().length, 5);
    // Behind something else, as PPO's critic stands.
    float[] trained = random(size + 7, 1);
    float[] gradient = new float[size + 7];
    float[] shifted = new float[c.length + 11];
    System.arraycopy(c, 0, shifted, 11, c.length);
    adapters.pullBack(trained, 7, shifted, 11, gradient);
    assertThat(Arrays.copyOf(gradient, 7)).containsOnly(0);
    CounterRandom random = new CounterRandom(9, "coordinates");
    double largest = 0;
    for (int i = 0; i < 60; i++) {
      int at = i == 0 ? size - 1 : random.integer(size, i);
      float[] more = trained.clone();
      float[] less = trained.clone();
      more[7 + at] += 0.25f;
      less[7 + at] -= 0.25f;
      double difference = (loss(adapters, model, c, more) - loss(adapters, model, c, less)) / 0.5;
      assertThat((double) gradient[7 + at]).as("%d", at).isCloseTo(difference, within(2e-4));
      largest = Math.max(largest, Math.abs(difference));
    }
    assertThat(largest).isGreaterThan(0.5);
  }

  private static double loss(LoraAdapters adapters, GoldenModel model, float[] c, float[] trained) {
    float[] merged = model.weights().clone();
    adapters.merge(trained, 7, merged, 0);
    double loss = 0;
    for (int i = 0; i < c.length; i++) {
      loss += (double) c[i] * merged[i];
    }
    return loss;
  }

  @Test
  void beforeTrainingTheModelIsTheBase() {
    GoldenModel model = GoldenModel.load("llama_rm");
    LoraAdapters adapters = adapters(model.config(), "down_proj");
    float[] initial = adapters.initial(model.weights(), 4);
    float[] merged = model.weights().clone();
    adapters.merge(initial, 0, merged, 0);
    assertThat(merged).isEqualTo(model.weights());
    for (Parameter parameter : adapters.layout().parameters()) {
      float[] values = slice(parameter, initial);
      if (parameter.name().endsWith("lora_A.weight")) {
        double bound = 1 / Math.sqrt(parameter.shape()[1]);
        double largest = 0;
        double sum = 0;
        for (float value : values) {
          largest = Math.max(largest, Math.abs(value));
          sum += value;
        }
        assertThat(largest).isBetween(0.9 * bound, bound);
        assertThat(sum / values.length).isCloseTo(0, within(0.15 * bound));
      } else if (parameter.name().endsWith("lora_B.weight")) {
        assertThat(values).containsOnly(0);
      }
    }
    assertThat(adapters.initial(model.weights(), 4)).isEqualTo(initial);
    assertThat(adapters.initial(model.weights(), 5)).isNotEqualTo(initial);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "llama | lm_head | down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj",
        "llama | proj | down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj",
        "gpt2 | q_proj | c_attn, c_fc, c_proj"
      })
  void anUnknownTargetIsAUsageErrorThatListsThePossibleOnes(
      String model, String target, String possible) {
    TransformerConfig config = GoldenModel.load(model).config();
    assertThatThrownBy(() -> adapters(config, target))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessage(
            "Cannot adapt '%s': the model's projections are [%s]; all-linear is all of them"
                .formatted(target, possible));
  }

  private static LoraAdapters adapters(TransformerConfig config, String... targets) {
    return new LoraAdapters(config, new Lora(RANK, ALPHA, List.of(targets)));
  }

  private static float[] slice(Parameter parameter, float[] weights) {
    return Arrays.copyOfRange(weights, parameter.offset(), parameter.offset() + parameter.size());
  }

  private static float[] random(int size, long seed) {
    CounterRandom random = new CounterRandom(seed, "adapters test");
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) (0.3 * random.gaussian(i));
    }
    return values;
  }
}
