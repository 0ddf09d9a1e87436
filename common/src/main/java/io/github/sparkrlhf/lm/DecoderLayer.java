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
  private final FusedOps ops;
  private final Map<String, Parameter> byName = new LinkedHashMap<>();

  DecoderLayer(TransformerConfig config, FusedOps ops) {
    this.config = config;
    this.ops = ops;
    parameterShapes(config)
        .forEach(
            (name, shape) ->
                byName.put(
                    name,
                    addParameter(
                        Parameter.builder().setName(name).setType(Parameter.Type.WEIGHT).build())));
  }

  /** A layer of the configuration's family, without weights. */
  static DecoderLayer of(TransformerConfig config, FusedOps ops) {
    return config.family() == TransformerConfig.Family.GPT2
        ? new Gpt2Layer(config, ops)
        : new LlamaLayer(config, ops);
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

  FusedOps ops() {
    return ops;
  }

  /**
   * The layer's output, at the {@link AttentionContext#wanted} positions.
   *
   * @param hidden {@code [batch, time, hidden]}
   * @param positions rotary tables, mask and constants of this forward pass
   * @param cache takes the keys and values of this pass, and holds those of earlier positions; null
   *     without
   */
  abstract NDArray apply(
      ParameterStore store,
      NDArray hidden,
      AttentionContext positions,
      KeyValueCache.Slots cache,
      boolean training);

  /**
   * Attention of queries over the keys and values of this pass and, in a step, of those before.
   *
   * @param query {@code [batch, time, heads, head size]}
   * @param key {@code [batch, time, key/value heads, head size]}
   * @param value the same
   * @return {@code [batch, time, heads · head size]}; at the {@link AttentionContext#wanted}
   *     positions
   */
  NDArray attend(
      NDArray query,
      NDArray key,
      NDArray value,
      AttentionContext positions,
      KeyValueCache.Slots cache,
      boolean training) {
    if (positions.onlyLast()) {
      return ops.lastAttention(positions.wanted(query), key, value, positions.mask());
    }
    if (cache != null && positions.mask() != null) {
      return ops.cachedAttention(query, key, value, cache.layer(), positions);
    }
    if (cache != null) {
      cache.fill(key, value);
    }
    return ops.causalAttention(query, key, value, training);
  }

  /** {@code [batch, time, heads · head size]} as {@code [batch, time, heads, head size]}. */
  NDArray heads(NDArray projected, int heads) {
    Shape shape = projected.getShape();
    return projected.reshape(shape.get(0), shape.get(1), heads, config.headSize());
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
