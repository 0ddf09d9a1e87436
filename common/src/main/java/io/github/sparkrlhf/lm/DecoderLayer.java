package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Parameter;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One layer of a decoder: attention and a feed-forward network, each behind a norm and beside a
 * residual connection.
 *
 * <p>Input {@code [batch, time, hidden]}, output the same.
 */
abstract class DecoderLayer extends AbstractBlock {
  private final TransformerConfig config;
  private final Map<String, Parameter> byName = new LinkedHashMap<>();

  DecoderLayer(TransformerConfig config) {
    this.config = config;
    parameterShapes(config)
        .forEach(
            (name, shape) ->
                byName.put(
                    name,
                    addParameter(
                        Parameter.builder().setName(name).setType(Parameter.Type.WEIGHT).build())));
  }

  /** A layer of the configuration's family, without weights. */
  static DecoderLayer of(TransformerConfig config) {
    return config.family() == TransformerConfig.Family.GPT2
        ? new Gpt2Layer(config)
        : new LlamaLayer(config);
  }

  /** Names below the layer's prefix and shapes, in Hugging Face's order. */
  static Map<String, long[]> parameterShapes(TransformerConfig config) {
    return config.family() == TransformerConfig.Family.GPT2
        ? Gpt2Layer.shapes(config)
        : LlamaLayer.shapes(config);
  }

  /** The parameters by their names below the layer's prefix. */
  Map<String, Parameter> byName() {
    return byName;
  }

  TransformerConfig config() {
    return config;
  }

  /**
   * The layer's output.
   *
   * @param hidden {@code [batch, time, hidden]}
   * @param positions rotary tables, mask and constants of this forward pass
   * @param cache keys and values of earlier positions, to which this pass appends; null without
   */
  abstract NDArray apply(
      ParameterStore store,
      NDArray hidden,
      AttentionContext positions,
      KeyValueCache.Layer cache,
      boolean training);

  /**
   * Attention of queries over the keys and values of this pass and, with a cache, of those before.
   *
   * @param query {@code [batch, heads, time, head size]}, scaled
   * @param newKey {@code [batch, key/value heads, time, head size]}
   * @param newValue the same
   * @return {@code [batch, time, heads · head size]}
   */
  NDArray attend(
      NDArray query,
      NDArray newKey,
      NDArray newValue,
      AttentionContext positions,
      KeyValueCache.Layer cache) {
    NDArray key = newKey;
    NDArray value = newValue;
    if (cache != null) {
      cache.append(newKey, newValue);
      key = cache.keys(query.getManager());
      value = cache.values(query.getManager());
    }
    long batch = query.getShape().get(0);
    long time = query.getShape().get(2);
    int keyValueHeads = config.keyValueHeads();
    long group = config.heads() / keyValueHeads;
    long keys = key.getShape().get(2);
    // The query heads of a group share their key head: fold them into the time axis instead of
    // repeating keys and values.
    NDArray scores =
        query
            .reshape(batch, keyValueHeads, group * time, config.headSize())
            .matMul(key.transpose(0, 1, 3, 2))
            .reshape(batch, keyValueHeads, group, time, keys)
            .add(positions.mask());
    return scores
        .softmax(-1)
        .reshape(batch, keyValueHeads, group * time, keys)
        .matMul(value)
        .reshape(batch, config.heads(), time, config.headSize())
        .transpose(0, 2, 1, 3)
        .reshape(batch, time, (long) config.heads() * config.headSize());
  }

  /** {@code [batch, time, heads · head size]} as {@code [batch, heads, time, head size]}. */
  NDArray heads(NDArray projected, int heads) {
    Shape shape = projected.getShape();
    return projected
        .reshape(shape.get(0), shape.get(1), heads, config.headSize())
        .transpose(0, 2, 1, 3);
  }

  /** The value of a parameter; null if the layer has none of that name. */
  NDArray value(ParameterStore store, String name, NDArray like, boolean training) {
    Parameter parameter = byName.get(name);
    return parameter == null ? null : store.getValue(parameter, like.getDevice(), training);
  }

  @Override
  protected NDList forwardInternal(
      ParameterStore store, NDList inputs, boolean training, PairList<String, Object> params) {
    NDArray hidden = inputs.singletonOrThrow();
    NDManager manager = hidden.getManager();
    AttentionContext positions = AttentionContext.causal(manager, config, hidden.getShape().get(1));
    return new NDList(apply(store, hidden, positions, null, training));
  }

  @Override
  public Shape[] getOutputShapes(Shape[] inputShapes) {
    return inputShapes;
  }
}
