package io.github.sparkrlhf.ppo;

import static io.github.sparkrlhf.golden.PpoGolden.rows;
import static io.github.sparkrlhf.golden.PpoGolden.select;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.spark.CounterRandom;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The differentiable losses against {@link PpoLoss}, value and gradient. */
class TensorLossTest {
  private static final int TOKENS = 2000;
  private static final PpoLoss.Clip UNEQUAL = new PpoLoss.Clip(0.1, 0.3, 0.15);

  private final CounterRandom random = new CounterRandom(1, "tensor loss test");

  @Test
  void policyLossesOfRandomTokensAgree() {
    float[] old = gaussians(0, -2, 1);
    float[] current = plus(old, gaussians(1, 0, 0.3));
    assertPolicy(current, old, gaussians(2, 0, 1), UNEQUAL);
  }

  @Test
  void policyLossesWithADualClipAgree() {
    float[] old = gaussians(0, -2, 1);
    float[] current = plus(old, gaussians(1, 0, 0.6));
    assertPolicy(current, old, gaussians(2, 0, 1), new PpoLoss.Clip(0.1, 0.3, 0.15, 1.5));
  }

  @Test
  void policyLossesAgreeFarBeyondTheClampOfTheExponent() {
    float[] old = gaussians(3, -50, 20);
    float[] current = plus(old, gaussians(4, 0, 15));
    // Positive advantages: the clipped term limits the loss, which is otherwise about e²⁰.
    float[] advantages = gaussians(5, 0, 1);
    for (int i = 0; i < TOKENS; i++) {
      advantages[i] = Math.abs(advantages[i]);
    }
    assertPolicy(current, old, advantages, PpoLoss.Clip.DEFAULT);
  }

  @Test
  void aRatioBeyondTheClampHasNoGradient() {
    float[] old = {-30, -30, -30};
    float[] current = {-5, -8.5f, -11};
    PpoLoss.Policy expected = policy(current, old, new float[] {-1, -1, -1}, UNEQUAL);
    assertThat(expected.gradient()[0]).startsWith(0, 0);
    assertThat(3 * expected.gradient()[0][2] / Math.exp(19)).isCloseTo(1, within(1e-9));
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      float[] gradient =
          gradient(
              manager.create(current),
              logProbabilities ->
                  TensorLoss.policy(
                          TensorLoss.ratio(logProbabilities, manager.create(old)),
                          manager.create(new float[] {-1, -1, -1}),
                          UNEQUAL)
                      .sum());
      assertThat(gradient[0]).isZero();
      assertThat(gradient[1]).isZero();
      assertThat((double) gradient[2] / Math.exp(19)).isCloseTo(1, within(1e-5));
    }
  }

  @Test
  void valueLossesOfRandomTokensAgree() {
    // Around 0 old and new values often differ in sign, and hence their difference is rounded.
    float[] old = gaussians(6, 0, 0.2);
    float[] current = near(old, 7, 0.1);
    assertValue(current, old, gaussians(8, 0, 0.5), UNEQUAL);
  }

  @Test
  void valuesWithinTheRangeAreNeverClipped() {
    float[] old = gaussians(9, 0, 0.1);
    float[] current = near(old, 10, 0.02);
    assertThat(value(current, old, gaussians(11, 0, 1), UNEQUAL).clipFraction()).isZero();
    assertValue(current, old, gaussians(11, 0, 1), UNEQUAL);
  }

  static Iterable<PpoLossTest.Case> cases() {
    return PpoLossTest.cases();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void lossesOfTrlsTokensAgree(PpoLossTest.Case golden) {
    int[] rows = golden.rowNumbers();
    int[] lengths = golden.selected(golden.lengths());
    assertPolicy(
        flat(rows(golden.minibatch().required("new_logprobs_masked")), lengths),
        flat(select(golden.batch("logprobs_masked"), rows), lengths),
        flat(select(golden.batch("advantages"), rows), lengths),
        golden.clip());
    int[] valueLengths = golden.selected(golden.valueLengths());
    float[] values = flat(rows(golden.minibatch().required("vpred_masked")), valueLengths);
    float[] oldValues = flat(select(golden.batch("values_masked"), rows), valueLengths);
    float[] returns = flat(select(golden.batch("returns"), rows), valueLengths);
    assertValue(values, oldValues, returns, golden.clip());
    assertThat(value(values, oldValues, returns, golden.clip()).loss())
        .isCloseTo(golden.golden("vf_loss"), within(1e-6));
  }

  @Test
  void entropyIsThatOfTheDistribution() {
    try (GradMode ignored = GradMode.inference();
        NDManager manager = NDManager.newBaseManager()) {
      NDArray logits = manager.create(new float[][] {{0, 0, 0, 0}, {1, 2, 3, 4}, {-9, 0, 90, 0}});
      float[] entropy = TensorLoss.entropy(logits.logSoftmax(-1)).toFloatArray();
      assertThat(entropy).hasSize(3);
      assertThat((double) entropy[0]).isCloseTo(Math.log(4), within(1e-6));
      double total = 0;
      double mean = 0;
      for (int i = 1; i <= 4; i++) {
        total += Math.exp(i);
        mean += i * Math.exp(i);
      }
      assertThat((double) entropy[1]).isCloseTo(Math.log(total) - mean / total, within(1e-6));
      assertThat((double) entropy[2]).isCloseTo(0, within(1e-6));
    }
  }

  private static void assertPolicy(
      float[] current, float[] old, float[] advantages, PpoLoss.Clip clip) {
    PpoLoss.Policy expected = policy(current, old, advantages, clip);
    int tokens = current.length;
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      NDArray oldArray = manager.create(old);
      NDArray advantageArray = manager.create(advantages);
      NDArray ratio = TensorLoss.ratio(manager.create(current), oldArray);
      assertThat(count(TensorLoss.isClipped(ratio, advantageArray, clip)) / tokens)
          .isEqualTo(expected.clipFraction());
      double loss = TensorLoss.policy(ratio, advantageArray, clip).sum().getFloat();
      assertClose(loss / tokens, expected.loss(), Math.max(1, Math.abs(expected.loss())));
      float[] gradient =
          gradient(
              manager.create(current),
              logProbabilities ->
                  TensorLoss.policy(
                          TensorLoss.ratio(logProbabilities, oldArray), advantageArray, clip)
                      .sum());
      assertGradient(gradient, expected.gradient()[0]);
    }
  }

  private static void assertValue(
      float[] current, float[] old, float[] returns, PpoLoss.Clip clip) {
    PpoLoss.Value expected = value(current, old, returns, clip);
    int tokens = current.length;
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      NDArray values = manager.create(current);
      NDArray oldArray = manager.create(old);
      NDArray returnArray = manager.create(returns);
      NDArray clipped = TensorLoss.clippedSquare(values, oldArray, returnArray, clip);
      assertThat(count(clipped.gt(values.sub(returnArray).square())) / tokens)
          .isEqualTo(expected.clipFraction());
      double loss = TensorLoss.value(values, oldArray, returnArray, clip).sum().getFloat();
      assertClose(loss / tokens, expected.loss(), 1);
      float[] gradient =
          gradient(
              manager.create(current),
              tracked -> TensorLoss.value(tracked, oldArray, returnArray, clip).sum());
      assertGradient(gradient, expected.gradient()[0]);
    }
  }

  /** The reference's gradient is of the mean, the other of the sum. */
  private static void assertGradient(float[] found, double[] expected) {
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      double sum = expected[i] * expected.length;
      assertClose(found[i], sum, Math.max(1, Math.abs(sum)));
      norm += sum * sum;
    }
    assertThat(norm).isPositive();
  }

  private static void assertClose(double found, double expected, double scale) {
    assertThat(found).isCloseTo(expected, within(1e-5 * scale));
  }

  private static PpoLoss.Policy policy(
      float[] current, float[] old, float[] advantages, PpoLoss.Clip clip) {
    int[] lengths = {current.length};
    return PpoLoss.policy(
        new float[][] {current},
        new float[][] {old},
        new float[][] {advantages},
        lengths,
        clip,
        current.length);
  }

  private static PpoLoss.Value value(
      float[] current, float[] old, float[] returns, PpoLoss.Clip clip) {
    int[] lengths = {current.length};
    return PpoLoss.value(
        new float[][] {current},
        new float[][] {old},
        new float[][] {returns},
        lengths,
        clip,
        current.length);
  }

  private static float[] gradient(NDArray variable, UnaryOperator<NDArray> loss) {
    variable.setRequiresGradient(true);
    NDArray one = variable.getManager().create(1f);
    JniUtils.backward((PtNDArray) loss.apply(variable), (PtNDArray) one, false, false);
    return variable.getGradient().toFloatArray();
  }

  private static double count(NDArray flags) {
    int count = 0;
    for (boolean flag : flags.toBooleanArray()) {
      count += flag ? 1 : 0;
    }
    return count;
  }

  private float[] gaussians(int purpose, double mean, double deviation) {
    float[] values = new float[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      values[i] = (float) (mean + deviation * random.gaussian(purpose, i));
    }
    return values;
  }

  private static float[] plus(float[] first, float[] second) {
    float[] sum = new float[first.length];
    for (int i = 0; i < sum.length; i++) {
      sum[i] = first[i] + second[i];
    }
    return sum;
  }

  /** Old numbers plus noise, rounded only once: small sums keep bits that the old numbers lack. */
  private float[] near(float[] old, int purpose, double deviation) {
    float[] values = new float[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      values[i] = (float) (old[i] + deviation * random.gaussian(purpose, i));
    }
    return values;
  }

  private static float[] flat(float[][] rows, int[] lengths) {
    int size = 0;
    for (int length : lengths) {
      size += length;
    }
    float[] flat = new float[size];
    int next = 0;
    for (int row = 0; row < rows.length; row++) {
      System.arraycopy(rows[row], 0, flat, next, lengths[row]);
      next += lengths[row];
    }
    return flat;
  }
}
