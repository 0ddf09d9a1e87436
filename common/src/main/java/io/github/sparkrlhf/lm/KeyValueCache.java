package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;

/**
 * Keys and values of the positions seen so far, preallocated to the longest sequence and written in
 * place.
 */
final class KeyValueCache {
  private final Layer[] layers;

  KeyValueCache(NDManager manager, TransformerConfig config, int batch, int capacity) {
    layers = new Layer[config.layers()];
    Shape shape = new Shape(batch, config.keyValueHeads(), capacity, config.headSize());
    for (int i = 0; i < layers.length; i++) {
      layers[i] =
          new Layer(manager.zeros(shape, DataType.FLOAT32), manager.zeros(shape, DataType.FLOAT32));
    }
  }

  Layer layer(int index) {
    return layers[index];
  }

  /**
   * Keeps only the given rows, in that order.
   *
   * @param rows int64 {@code [kept rows]}
   */
  void keep(NDArray rows) {
    for (Layer layer : layers) {
      layer.keep(rows);
    }
  }

  /** One layer's keys and values, {@code [batch, key/value heads, capacity, head size]} each. */
  static final class Layer {
    private NDArray keys;
    private NDArray values;
    private long used;

    private Layer(NDArray keys, NDArray values) {
      this.keys = keys;
      this.values = values;
    }

    void append(NDArray key, NDArray value) {
      long end = used + key.getShape().get(2);
      NDIndex slots = new NDIndex().addAllDim().addAllDim().addSliceDim(used, end).addAllDim();
      keys.set(slots, key);
      values.set(slots, value);
      used = end;
    }

    /** The keys so far, as a view that belongs to the given manager. */
    NDArray keys(NDManager manager) {
      return filled(manager, keys);
    }

    /** The values so far, as a view that belongs to the given manager. */
    NDArray values(NDManager manager) {
      return filled(manager, values);
    }

    private NDArray filled(NDManager manager, NDArray array) {
      return array.get(
          manager, new NDIndex().addAllDim().addAllDim().addSliceDim(0, used).addAllDim());
    }

    private void keep(NDArray rows) {
      keys = select(keys, rows);
      values = select(values, rows);
    }

    private static NDArray select(NDArray array, NDArray rows) {
      Shape shape = array.getShape();
      NDManager owner = array.getManager();
      try (NDArray flat = array.reshape(shape.get(0), -1)) {
        NDArray kept =
            Rows.select(flat, rows)
                .reshape(rows.getShape().get(0), shape.get(1), shape.get(2), shape.get(3));
        kept.attach(owner);
        array.close();
        return kept;
      }
    }
  }
}
