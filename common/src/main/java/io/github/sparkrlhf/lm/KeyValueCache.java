package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;

/**
 * Keys and values of the positions seen so far, preallocated and written in place. A row's position
 * t stands at index t; what lies behind its last position is never looked at.
 */
final class KeyValueCache {
  private final Layer[] layers;
  private int firstRow;
  private NDArray sources;

  KeyValueCache(NDManager manager, TransformerConfig config, int rows, int capacity) {
    layers = new Layer[config.layers()];
    Shape shape = new Shape(rows, config.keyValueHeads(), capacity, config.headSize());
    for (int i = 0; i < layers.length; i++) {
      layers[i] =
          new Layer(manager.zeros(shape, DataType.FLOAT32), manager.zeros(shape, DataType.FLOAT32));
    }
  }

  /** Says where the keys and values of the prompts go that are read next. */
  void place(int row, NDArray prompts) {
    firstRow = row;
    sources = prompts;
  }

  /** A layer of the cache. */
  Slots layer(int index) {
    return new Slots(layers[index]);
  }

  /** Copies one row over another. */
  void copyRow(int from, int to) {
    for (Layer layer : layers) {
      copyRow(layer.keys, from, to);
      copyRow(layer.values, from, to);
    }
  }

  private static void copyRow(NDArray array, int from, int to) {
    try (NDArray row = array.get(from)) {
      array.set(new NDIndex().addIndices(to), row);
    }
  }

  /** One layer's keys and values, {@code [rows, key/value heads, capacity, head size]} each. */
  record Layer(NDArray keys, NDArray values) {}

  /** One layer of the cache and the place in it where prompts go. */
  final class Slots {
    private final Layer layer;

    private Slots(Layer layer) {
      this.layer = layer;
    }

    Layer layer() {
      return layer;
    }

    /**
     * Writes the keys and values of prompts from position 0 on.
     *
     * @param key {@code [prompts, time, key/value heads, head size]}
     * @param value the same
     */
    void fill(NDArray key, NDArray value) {
      write(layer.keys, key);
      write(layer.values, value);
    }

    private void write(NDArray array, NDArray prompts) {
      NDIndex slots =
          new NDIndex()
              .addSliceDim(firstRow, firstRow + sources.getShape().get(0))
              .addAllDim()
              .addSliceDim(0, prompts.getShape().get(1))
              .addAllDim();
      array.set(slots, prompts.transpose(0, 2, 1, 3).get(sources));
    }
  }
}
