package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Parameter;
import ai.djl.nn.core.Linear;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One layer of a Llama-family decoder: root-mean-square norm, grouped-query attention with rotary
 * positions, norm, SwiGLU feed-forward; both with residual connections.
 *
 * <p>Input {@code [batch, time, hidden]}, output the same.
 */
final class DecoderLayer extends AbstractBlock {
  private static final String INPUT_NORM = "input_layernorm.weight";
  private static final String POST_NORM = "post_attention_layernorm.weight";

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

  /** Names below the layer's prefix and shapes, in Hugging Face's order. */
  static Map<String, long[]> parameterShapes(TransformerConfig c) {
    long hidden = c.hiddenSize();
    long query = (long) c.heads() * c.headSize();
    long keyValue = (long) c.keyValueHeads() * c.headSize();
    Map<String, long[]> shapes = new LinkedHashMap<>();
    linear(shapes, "self_attn.q_proj", query, hidden, c.attentionBias());
    linear(shapes, "self_attn.k_proj", keyValue, hidden, c.attentionBias());
    linear(shapes, "self_attn.v_proj", keyValue, hidden, c.attentionBias());
    linear(shapes, "self_attn.o_proj", hidden, query, c.attentionOutputBias());
    linear(shapes, "mlp.gate_proj", c.intermediateSize(), hidden, c.mlpBias());
    linear(shapes, "mlp.up_proj", c.intermediateSize(), hidden, c.mlpBias());
    linear(shapes, "mlp.down_proj", hidden, c.intermediateSize(), c.mlpBias());
    shapes.put(INPUT_NORM, new long[] {hidden});
    shapes.put(POST_NORM, new long[] {hidden});
    return shapes;
  }

  private static void linear(
      Map<String, long[]> shapes, String name, long out, long in, boolean bias) {
    shapes.put(name + ".weight", new long[] {out, in});
    if (bias) {
      shapes.put(name + ".bias", new long[] {out});
    }
  }

  /** The parameters by their names below the layer's prefix. */
  Map<String, Parameter> byName() {
    return byName;
  }

  /**
   * The layer's output.
   *
   * @param hidden {@code [batch, time, hidden]}
   * @param positions rotary tables, mask and constants of this forward pass
   * @param cache keys and values of earlier positions, to which this pass appends; null without
   */
  NDArray apply(
      ParameterStore store,
      NDArray hidden,
      AttentionContext positions,
      KeyValueCache.Layer cache,
      boolean training) {
    NDArray normed = norm(store, hidden, INPUT_NORM, positions, training);
    NDArray attended = hidden.add(attention(store, normed, positions, cache, training));
    NDArray fed = norm(store, attended, POST_NORM, positions, training);
    return attended.add(feedForward(store, fed, training));
  }

  private NDArray attention(
      ParameterStore store,
      NDArray normed,
      AttentionContext positions,
      KeyValueCache.Layer cache,
      boolean training) {
    long batch = normed.getShape().get(0);
    long time = normed.getShape().get(1);
    int keyValueHeads = config.keyValueHeads();
    long group = config.heads() / keyValueHeads;
    NDArray query = heads(project(store, normed, "self_attn.q_proj", training), config.heads());
    NDArray key = heads(project(store, normed, "self_attn.k_proj", training), keyValueHeads);
    NDArray value = heads(project(store, normed, "self_attn.v_proj", training), keyValueHeads);
    query = positions.rotate(query).mul(positions.queryScale());
    key = positions.rotate(key);
    if (cache != null) {
      cache.append(key, value);
      key = cache.keys(normed.getManager());
      value = cache.values(normed.getManager());
    }
    long keys = key.getShape().get(2);
    // The query heads of a group share their key head: fold them into the time axis instead of
    // repeating keys and values.
    NDArray scores =
        query
            .reshape(batch, keyValueHeads, group * time, config.headSize())
            .matMul(key.transpose(0, 1, 3, 2))
            .reshape(batch, keyValueHeads, group, time, keys)
            .add(positions.mask());
    NDArray mixed =
        scores
            .softmax(-1)
            .reshape(batch, keyValueHeads, group * time, keys)
            .matMul(value)
            .reshape(batch, config.heads(), time, config.headSize())
            .transpose(0, 2, 1, 3)
            .reshape(batch, time, (long) config.heads() * config.headSize());
    return project(store, mixed, "self_attn.o_proj", training);
  }

  private NDArray heads(NDArray projected, int heads) {
    Shape shape = projected.getShape();
    return projected
        .reshape(shape.get(0), shape.get(1), heads, config.headSize())
        .transpose(0, 2, 1, 3);
  }

  private NDArray feedForward(ParameterStore store, NDArray normed, boolean training) {
    NDArray gate = project(store, normed, "mlp.gate_proj", training);
    NDArray up = project(store, normed, "mlp.up_proj", training);
    NDArray activated = gate.mul(gate.getNDArrayInternal().sigmoid()).mul(up);
    return project(store, activated, "mlp.down_proj", training);
  }

  private NDArray project(ParameterStore store, NDArray input, String name, boolean training) {
    NDArray weight = value(store, name + ".weight", input, training);
    Parameter bias = byName.get(name + ".bias");
    NDArray biasValue = bias == null ? null : store.getValue(bias, input.getDevice(), training);
    return Linear.linear(input, weight, biasValue).singletonOrThrow();
  }

  private NDArray norm(
      ParameterStore store,
      NDArray input,
      String name,
      AttentionContext positions,
      boolean training) {
    return RmsNorm.apply(input, value(store, name, input, training), positions.normEpsilon());
  }

  private NDArray value(ParameterStore store, String name, NDArray like, boolean training) {
    return store.getValue(byName.get(name), like.getDevice(), training);
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
