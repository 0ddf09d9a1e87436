package io.github.sparkrlhf.reward;

import java.io.Serializable;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * The weighted mean of the losses of all pairs plus λ/2 · ‖w‖², as a function of the coefficients.
 *
 * <p>Each partition's sum is computed by one task, and the driver adds them in the order of the
 * partitions: the same partitions give the same bits on any cluster. Of few pairs the driver
 * computes the same sums itself, without a Spark job for each step.
 */
final class BradleyTerryLoss implements Lbfgs.Objective {
  /** How many bytes of pairs the driver takes at most. */
  static final long DRIVER_BYTES = 256L << 20;

  /** A partition's share. */
  private record Part(double loss, double[] gradient) implements Serializable {
    static Part of(PairBlock block, double[] coefficients) {
      double[] gradient = new double[coefficients.length];
      return new Part(block.addGradient(coefficients, gradient), gradient);
    }
  }

  private final JavaRDD<PairBlock> blocks;
  private final List<PairBlock> onDriver;
  private final double weight;
  private final double regularization;

  /**
   * The loss over some pairs.
   *
   * @param blocks one for each partition, cached
   * @param regularization λ
   * @param driverBytes what the driver takes at most, {@link #DRIVER_BYTES} but in tests
   */
  BradleyTerryLoss(JavaRDD<PairBlock> blocks, double regularization, long driverBytes) {
    this.blocks = blocks;
    this.regularization = regularization;
    List<double[]> sizes =
        blocks.map(block -> new double[] {block.weight(), block.bytes()}).collect();
    this.weight = sizes.stream().mapToDouble(size -> size[0]).sum();
    boolean few = sizes.stream().mapToDouble(size -> size[1]).sum() <= driverBytes;
    this.onDriver = few ? blocks.collect() : List.of();
  }

  @Override
  public double at(double[] coefficients, double[] gradient) {
    double loss = 0;
    double[] sum = new double[gradient.length];
    for (Part part : parts(coefficients)) {
      loss += part.loss();
      for (int i = 0; i < sum.length; i++) {
        sum[i] += part.gradient()[i];
      }
    }
    double squares = 0;
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = sum[i] / weight + regularization * coefficients[i];
      squares += coefficients[i] * coefficients[i];
    }
    return loss / weight + regularization / 2 * squares;
  }

  private List<Part> parts(double[] coefficients) {
    if (!onDriver.isEmpty()) {
      return IntStream.range(0, onDriver.size())
          .parallel()
          .mapToObj(lane -> Part.of(onDriver.get(lane), coefficients))
          .toList();
    }
    JavaSparkContext context = JavaSparkContext.fromSparkContext(blocks.context());
    Broadcast<double[]> shared = context.broadcast(coefficients);
    try {
      return blocks.map(block -> Part.of(block, shared.value())).collect();
    } finally {
      shared.destroy();
    }
  }
}
