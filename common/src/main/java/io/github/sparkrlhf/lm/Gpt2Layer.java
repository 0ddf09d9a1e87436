package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.ParameterStore;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A layer of GPT-2 (Radford et al., 2019): layer norms, attention, feed-forward with the tanh form
 * of GELU. Its matrices stand transposed in the files ("Conv1D"): {@code [in, out]}.
 */
final class Gpt2Layer extends DecoderLayer {
  private static final int PROJECTIONS = 3;
  private static final int LAST_AXIS = 2;

  Gpt2Layer(TransformerConfig config, FusedOps ops) {
    super(config, ops);
  }

  /** Names below the layer's prefix and shapes, in Hugging Face's order. */
  static Map<String, long[]> shapes(TransformerConfig c) {
    long hidden = c.hiddenSize();
    Map<String, long[]> shapes = new LinkedHashMap<>();
    norm(shapes, "ln_1", hidden);
    linear(shapes, "attn.c_attn", hidden, PROJECTIONS * hidden);
    linear(shapes, "attn.c_proj", hidden, hidden);
    norm(shapes, "ln_2", hidden);
    linear(shapes, "mlp.c_fc", hidden, c.intermediateSize());
    linear(shapes, "mlp.c_proj", c.intermediateSize(), hidden);
    return shapes;
  }

  private static void norm(Map<String, long[]> shapes, String name, long hidden) {
    shapes.put(name + ".weight", new long[] {hidden});
    shapes.put(name + ".bias", new long[] {hidden});
  }

  private static void linear(Map<String, long[]> shapes, String name, long in, long out) {
    shapes.put(name + ".weight", new long[] {in, out});
    shapes.put(name + ".bias", new long[] {out});
  }

  @Override
  NDArray apply(
      ParameterStore store,
      NDArray hidden,
      AttentionContext positions,
      KeyValueCache.Slots cache,
      boolean training) {
    NDArray normed = norm(store, hidden, "ln_1", training);
    NDArray attended =
        positions.wanted(hidden).add(attention(store, normed, positions, cache, training));
    NDArray fed = norm(store, attended, "ln_2", training);
    return attended.add(feedForward(store, fed, training));
  }

  private NDArray attention(
      ParameterStore store,
      NDArray normed,
      AttentionContext positions,
      KeyValueCache.Slots cache,
      boolean training) {
    NDList projected =
        project(store, normed, "attn.c_attn", training).split(PROJECTIONS, LAST_AXIS);
    int heads = config().heads();
    NDArray query = heads(projected.get(0), heads);
    NDArray key = heads(projected.get(1), heads);
    NDArray value = heads(projected.get(2), heads);
    NDArray mixed = attend(query, key, value, positions, cache, training);
    return project(store, mixed, "attn.c_proj", training);
  }

  private NDArray feedForward(ParameterStore store, NDArray normed, boolean training) {
    NDArray widened = project(store, normed, "mlp.c_fc", training);
    return project(store, ops().geluTanh(widened, training), "mlp.c_proj", training);
  }

  private NDArray project(ParameterStore store, NDArray input, String name, boolean training) {
    NDArray weight = value(store, name + ".weight", input, training);
    return input.matMul(weight).add(value(store, name + ".bias", input, training));
  }

  private NDArray norm(ParameterStore store, NDArray input, String name, boolean training) {
    NDArray weight = value(store, name + ".weight", input, training);
    return norm(input, weight, value(store, name + ".bias", input, training), config());
  }

  /**
   * Layer norm (Ba et al., 2016) over the last axis.
   *
   * @param input {@code [..., hidden]}
   * @param weight {@code [hidden]}
   * @param bias {@code [hidden]}
   */
  static NDArray norm(NDArray input, NDArray weight, NDArray bias, TransformerConfig config) {
    Shape normalised = new Shape(config.hiddenSize());
    float epsilon = (float) config.normEpsilon();
    return input
        .getNDArrayInternal()
        .layerNorm(input, normalised, weight, bias, epsilon)
        .singletonOrThrow();
  }
}
