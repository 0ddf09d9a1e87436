package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.nn.core.Linear;
import ai.djl.training.ParameterStore;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A layer of the Llama family: root-mean-square norms, grouped-query attention with rotary
 * positions, SwiGLU feed-forward.
 */
final class LlamaLayer extends DecoderLayer {
  private static final String INPUT_NORM = "input_layernorm.weight";
  private static final String POST_NORM = "post_attention_layernorm.weight";

  LlamaLayer(TransformerConfig config, FusedOps ops) {
    super(config, ops);
  }

  /** Names below the layer's prefix and shapes, in Hugging Face's order. */
  static Map<String, long[]> shapes(TransformerConfig c) {
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

  @Override
  NDArray apply(
      ParameterStore store,
      NDArray hidden,
      AttentionContext positions,
      KeyValueCache.Slots cache,
      boolean training) {
    NDArray normed = norm(store, hidden, INPUT_NORM, positions, training);
    NDArray attended =
        positions.wanted(hidden).add(attention(store, normed, positions, cache, training));
    NDArray fed = norm(store, attended, POST_NORM, positions, training);
    return attended.add(feedForward(store, fed, training));
  }

  private NDArray attention(
      ParameterStore store,
      NDArray normed,
      AttentionContext positions,
      KeyValueCache.Slots cache,
      boolean training) {
    int keyValueHeads = config().keyValueHeads();
    NDArray query = heads(project(store, normed, "self_attn.q_proj", training), config().heads());
    NDArray key = heads(project(store, normed, "self_attn.k_proj", training), keyValueHeads);
    NDArray value = heads(project(store, normed, "self_attn.v_proj", training), keyValueHeads);
    NDArray mixed =
        attend(
            ops().rotate(query, positions.cosine(), positions.sine(), training),
            ops().rotate(key, positions.cosine(), positions.sine(), training),
            value,
            positions,
            cache,
            training);
    return project(store, mixed, "self_attn.o_proj", training);
  }

  private NDArray feedForward(ParameterStore store, NDArray normed, boolean training) {
    NDArray gate = project(store, normed, "mlp.gate_proj", training);
    NDArray up = project(store, normed, "mlp.up_proj", training);
    return project(store, ops().swiGlu(gate, up, training), "mlp.down_proj", training);
  }

  private NDArray project(ParameterStore store, NDArray input, String name, boolean training) {
    NDArray weight = value(store, name + ".weight", input, training);
    NDArray bias = value(store, name + ".bias", input, training);
    return Linear.linear(input, weight, bias).singletonOrThrow();
  }

  private NDArray norm(
      ParameterStore store,
      NDArray input,
      String name,
      AttentionContext positions,
      boolean training) {
    NDArray weight = value(store, name, input, training);
    return ops().rmsNorm(input, weight, positions.normEpsilon(), training);
  }
}
