package io.github.sparkrlhf.reward;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.ParameterLayout.Parameter;
import io.github.sparkrlhf.lm.Scalars;
import io.github.sparkrlhf.spark.CounterRandom;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The shape of a feed-forward network with rectified hidden layers and one output. Trained by DJL;
 * a single prediction is so little work that plain loops do it.
 */
final class MlpNetwork implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int[] sizes;
  private final ParameterLayout layout;

  /**
   * A network.
   *
   * @param inputs how many features
   * @param hidden the width of each hidden layer, at least one
   */
  MlpNetwork(int inputs, List<Integer> hidden) {
    sizes = new int[hidden.size() + 2];
    sizes[0] = inputs;
    for (int i = 0; i < hidden.size(); i++) {
      sizes[i + 1] = hidden.get(i);
    }
    sizes[sizes.length - 1] = 1;
    Map<String, long[]> shapes = new LinkedHashMap<>();
    for (int i = 0; i < layers(); i++) {
      shapes.put("layers." + i + ".weight", new long[] {sizes[i + 1], sizes[i]});
      shapes.put("layers." + i + ".bias", new long[] {sizes[i + 1]});
    }
    layout = ParameterLayout.of(shapes);
  }

  private int layers() {
    return sizes.length - 1;
  }

  /** Names, shapes and order of the weights. */
  ParameterLayout layout() {
    return layout;
  }

  /**
   * New weights: N(0, 2/inputs) (He et al., 2015), those of the output N(0, 1/inputs); biases 0.
   */
  float[] initialWeights(long seed) {
    CounterRandom random = new CounterRandom(seed, "initial weights of a feed-forward network");
    float[] weights = new float[layout.size()];
    for (int i = 0; i < layers(); i++) {
      double deviation = Math.sqrt((i == layers() - 1 ? 1.0 : 2.0) / sizes[i]);
      Parameter matrix = layout.parameters().get(2 * i);
      for (int j = 0; j < matrix.size(); j++) {
        weights[matrix.offset() + j] = (float) (deviation * random.gaussian(i, j));
      }
    }
    return weights;
  }

  /** The output for one vector of features. */
  double predict(float[] weights, float[] features) {
    double[] values = new double[features.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = features[i];
    }
    for (int i = 0; i < layers(); i++) {
      int matrix = layout.parameters().get(2 * i).offset();
      int bias = layout.parameters().get(2 * i + 1).offset();
      double[] next = new double[sizes[i + 1]];
      for (int row = 0; row < next.length; row++) {
        double sum = weights[bias + row];
        for (int column = 0; column < values.length; column++) {
          sum += weights[matrix + row * values.length + column] * values[column];
        }
        next[row] = i < layers() - 1 ? Math.max(0, sum) : sum;
      }
      values = next;
    }
    return values[0];
  }

  /**
   * The sum of weighted squared errors over some responses.
   *
   * @param gradient receives the gradient; null for none
   */
  double loss(float[] weights, List<ResponseExample> rows, float[] gradient) {
    boolean training = gradient != null;
    try (GradMode ignored = GradMode.of(training);
        NDManager manager = NDManager.newBaseManager()) {
      List<NDArray> parameters = new ArrayList<>();
      for (Parameter parameter : layout.parameters()) {
        NDArray array =
            array(
                manager,
                weights,
                parameter.offset(),
                parameter.size(),
                new Shape(parameter.shape()));
        array.setRequiresGradient(training);
        parameters.add(array);
      }
      NDArray loss = loss(manager, parameters, rows);
      if (training) {
        JniUtils.backward((PtNDArray) loss, (PtNDArray) Scalars.of(manager, 1f), false, false);
        for (int i = 0; i < parameters.size(); i++) {
          Parameter parameter = layout.parameters().get(i);
          try (NDArray slope = JniUtils.getGradient((PtNDArray) parameters.get(i))) {
            slope
                .toByteBuffer(true)
                .asFloatBuffer()
                .get(gradient, parameter.offset(), parameter.size());
          }
        }
      }
      return loss.stopGradient().getFloat();
    }
  }

  private NDArray loss(NDManager manager, List<NDArray> parameters, List<ResponseExample> rows) {
    int size = rows.size();
    float[] features = new float[size * sizes[0]];
    float[] targets = new float[size];
    float[] weights = new float[size];
    for (int i = 0; i < size; i++) {
      ResponseExample row = rows.get(i);
      System.arraycopy(row.features(), 0, features, i * sizes[0], sizes[0]);
      targets[i] = row.target();
      weights[i] = row.weight();
    }
    NDArray values = array(manager, features, 0, features.length, new Shape(size, sizes[0]));
    for (int i = 0; i < layers(); i++) {
      values = values.matMul(parameters.get(2 * i).transpose()).add(parameters.get(2 * i + 1));
      if (i < layers() - 1) {
        values = Activation.relu(values);
      }
    }
    NDArray error = values.reshape(size).sub(array(manager, targets, 0, size, new Shape(size)));
    return error.mul(error).mul(array(manager, weights, 0, size, new Shape(size))).sum();
  }

  private static NDArray array(
      NDManager manager, float[] values, int offset, int size, Shape shape) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(size * Float.BYTES).order(ByteOrder.nativeOrder());
    bytes.asFloatBuffer().put(values, offset, size);
    return manager.create(bytes, shape, DataType.FLOAT32);
  }
}
