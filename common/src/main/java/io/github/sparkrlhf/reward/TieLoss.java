package io.github.sparkrlhf.reward;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import io.github.sparkrlhf.lm.Scalars;
import java.util.List;
import java.util.function.ToDoubleFunction;

/** The negative log-likelihood of preferences and ties under a {@link TieModel}, differentiable. */
final class TieLoss {
  private TieLoss() {}

  /**
   * The sum of the losses.
   *
   * @param difference reward of chosen minus reward of rejected, {@code [pairs]}
   */
  static NDArray of(NDManager manager, TieModel model, List<PairExample> rows, NDArray difference) {
    NDArray lead = difference.sub(numbers(manager, rows, PairExample::margin));
    return model.rule() == TieModel.Rule.RAO_KUPPER
        ? raoKupper(manager, model.parameter(), rows, lead)
        : davidson(manager, model.parameter(), rows, lead);
  }

  /** −ln P(tie) is −ln P(first) − ln P(second) − ln(e^{2η} − 1). */
  private static NDArray raoKupper(
      NDManager manager, double threshold, List<PairExample> rows, NDArray lead) {
    NDArray eta = Scalars.of(manager, (float) threshold);
    float constant = (float) Math.log(Math.expm1(2 * threshold));
    NDArray first = Activation.softPlus(eta.sub(lead));
    NDArray second = Activation.softPlus(eta.add(lead));
    NDArray tie = numbers(manager, rows, row -> row.tie() * constant);
    return first
        .mul(numbers(manager, rows, row -> first(row) + row.tie()))
        .add(second.mul(numbers(manager, rows, row -> second(row) + row.tie())))
        .sub(tie)
        .sum();
  }

  /** ln(e^{d/2} + e^{−d/2} + ν) − P(first)·d/2 + P(second)·d/2 − P(tie)·ln ν. */
  private static NDArray davidson(
      NDManager manager, double strength, List<PairExample> rows, NDArray lead) {
    NDArray nu = Scalars.of(manager, (float) strength);
    NDArray one = Scalars.of(manager, 1f);
    NDArray half = lead.mul(Scalars.of(manager, 0.5f));
    NDArray size = half.abs();
    NDArray small = size.neg().exp();
    NDArray total = size.add(one.add(small.mul(small)).add(small.mul(nu)).log());
    float constant = (float) Math.log(strength);
    return total
        .sub(half.mul(numbers(manager, rows, row -> first(row) - second(row))))
        .sub(numbers(manager, rows, row -> row.tie() * constant))
        .sum();
  }

  private static double first(PairExample row) {
    return row.probability() - row.tie() / 2;
  }

  private static double second(PairExample row) {
    return 1 - row.probability() - row.tie() / 2;
  }

  private static NDArray numbers(
      NDManager manager, List<PairExample> rows, ToDoubleFunction<PairExample> number) {
    float[] values = new float[rows.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) number.applyAsDouble(rows.get(i));
    }
    return manager.create(values, new Shape(values.length));
  }
}
