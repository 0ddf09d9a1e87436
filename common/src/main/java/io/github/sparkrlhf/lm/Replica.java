package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.ParameterStore;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One copy of a transformer with weights, for one thread at a time. The weights live in one block
 * of native memory that {@link #load} overwrites in place.
 */
public final class Replica implements AutoCloseable {
  // Matrix products may take another path, with other last bits, at another alignment.
  private static final int ALIGNMENT_BYTES = 64;

  private final NDManager manager;
  private final Transformer transformer;
  private final ParameterStore store;
  private final ParameterLayout layout;
  private final List<NDArray> arrays = new ArrayList<>();
  private final List<FloatBuffer> memory = new ArrayList<>();
  private WeakReference<float[]> loadedFrom = new WeakReference<>(null);
  private int loadedOffset;
  private boolean holdsGradients;

  /** A replica with undefined weights. */
  public Replica(TransformerConfig config) {
    TorchRuntime.load();
    this.manager = NDManager.newBaseManager();
    this.transformer = new Transformer(config, manager);
    this.layout = config.layout();
    for (ParameterLayout.Parameter parameter : layout.parameters()) {
      ByteBuffer bytes =
          // An aligned slice ends at a multiple of the alignment too.
          ByteBuffer.allocateDirect(parameter.size() * Float.BYTES + 2 * ALIGNMENT_BYTES)
              .alignedSlice(ALIGNMENT_BYTES);
      ByteBuffer exact =
          bytes.slice(0, parameter.size() * Float.BYTES).order(ByteOrder.nativeOrder());
      NDArray array = manager.create(exact, new Shape(parameter.shape()), DataType.FLOAT32);
      array.setRequiresGradient(true);
      transformer.parameter(parameter.name()).setArray(array);
      // DJL takes the name of an input of a TorchScript module for the key of a dictionary.
      array.setName(null);
      arrays.add(array);
      memory.add(exact.asFloatBuffer());
    }
    this.store = new ParameterStore(manager, false);
  }

  /** The configuration of the transformer. */
  public TransformerConfig config() {
    return transformer.config();
  }

  /** The block, with this replica's weights. */
  public Transformer transformer() {
    return transformer;
  }

  /** The store that hands this replica's weights to the block. */
  public ParameterStore store() {
    return store;
  }

  /** A manager for the arrays of one forward or training pass; the caller closes it. */
  public NDManager newManager() {
    return manager.newSubManager();
  }

  /**
   * Overwrites all weights in place.
   *
   * @param weights a flat array that holds this model's weights from {@code offset} on
   */
  public void load(float[] weights, int offset) {
    List<ParameterLayout.Parameter> parameters = layout.parameters();
    for (int i = 0; i < parameters.size(); i++) {
      ParameterLayout.Parameter parameter = parameters.get(i);
      memory.get(i).put(0, weights, offset + parameter.offset(), parameter.size());
    }
  }

  /** {@link #load}, unless these very weights were the last that it loaded. */
  void loadOnce(float[] weights, int offset) {
    if (loadedFrom.get() != weights || loadedOffset != offset) {
      load(weights, offset);
      loadedFrom = new WeakReference<>(weights);
      loadedOffset = offset;
    }
  }

  /**
   * Runs the backward pass of a scalar loss and writes the gradients into a flat array, zeros for a
   * parameter that the loss does not depend on. The thread must be in a training {@link GradMode}.
   *
   * @param loss a scalar
   * @param gradient the flat array; this model's part begins at {@code offset}
   */
  public void backward(NDArray loss, float[] gradient, int offset) {
    holdsGradients = true;
    try (NDManager scope = newManager()) {
      NDArray one = Scalars.of(scope, 1f);
      JniUtils.backward((PtNDArray) loss, (PtNDArray) one, false, false);
    }
    List<ParameterLayout.Parameter> parameters = layout.parameters();
    for (int i = 0; i < parameters.size(); i++) {
      ParameterLayout.Parameter parameter = parameters.get(i);
      drain(arrays.get(i), gradient, offset + parameter.offset(), parameter.size());
    }
    holdsGradients = false;
  }

  /** Whether a backward pass failed midway, so that the next one would add to its gradients. */
  boolean holdsGradients() {
    return holdsGradients;
  }

  /** Copies a parameter's gradient to the flat array and clears it. */
  private static void drain(NDArray array, float[] gradient, int start, int size) {
    try (NDArray value = JniUtils.getGradient((PtNDArray) array)) {
      if (value == null) {
        Arrays.fill(gradient, start, start + size, 0);
        return;
      }
      value.toByteBuffer(true).asFloatBuffer().get(gradient, start, size);
      JniUtils.zeroGrad((PtNDArray) array);
    }
  }

  /**
   * Logits of right-padded rows without a graph.
   *
   * @param ids int64 {@code [batch, time]}
   * @return {@code [batch, time, vocabulary or 1]}
   */
  NDArray forward(NDArray ids, boolean training) {
    return transformer.forward(store, new NDList(ids), training).singletonOrThrow();
  }

  @Override
  public void close() {
    manager.close();
  }
}
