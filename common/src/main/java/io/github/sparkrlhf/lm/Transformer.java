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
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A decoder-only transformer as a DJL block.
 *
 * <p>Input: token ids, int64 {@code [batch, time]}, right-padded. Output: logits {@code [batch,
 * time, vocabulary]}, or scores {@code [batch, time, 1]} with a classification head.
 */
public final class Transformer extends AbstractBlock {
  private final TransformerConfig config;
  private final FusedOps ops;
  private final List<DecoderLayer> layers = new ArrayList<>();
  private final Map<String, Parameter> byName = new LinkedHashMap<>();

  /**
   * A transformer without weights; {@link Replica} gives it some.
   *
   * @param manager owns what it needs besides weights
   */
  Transformer(TransformerConfig config, NDManager manager) {
    this.config = config;
    this.ops = new FusedOps(manager);
    for (int i = 0; i < config.layers(); i++) {
      DecoderLayer layer = addChildBlock("layers." + i, DecoderLayer.of(config, ops));
      layers.add(layer);
      String prefix = config.layerPrefix(i);
      layer.byName().forEach((name, parameter) -> byName.put(prefix + name, parameter));
    }
    for (ParameterLayout.Parameter parameter : config.layout().parameters()) {
      if (!byName.containsKey(parameter.name())) {
        byName.put(
            parameter.name(),
            addParameter(
                Parameter.builder()
                    .setName(parameter.name())
                    .setType(Parameter.Type.WEIGHT)
                    .build()));
      }
    }
  }

  /** The configuration it was built from. */
  public TransformerConfig config() {
    return config;
  }

  /** The parameter under Hugging Face's name. */
  Parameter parameter(String name) {
    return byName.get(name);
  }

  /**
   * Hidden states after the last norm, of right-padded rows.
   *
   * @param ids int64 {@code [batch, time]}
   * @return {@code [batch, time, hidden]}
   */
  public NDArray hidden(ParameterStore store, NDArray ids, boolean training) {
    AttentionContext positions =
        AttentionContext.causal(ids.getManager(), config, ids.getShape().get(1));
    return hidden(store, ids, positions, null, training);
  }

  /**
   * Hidden states after the last norm at the last token of each row. The last layer looks at the
   * others only through their keys and values, which saves most of its work. Not differentiable.
   *
   * @param ids int64 {@code [batch, time]}
   * @param last the position of each row's last token, from 0
   * @return {@code [batch, hidden]}
   */
  NDArray hiddenAtLast(ParameterStore store, NDArray ids, int[] last) {
    NDManager manager = ids.getManager();
    AttentionContext all = AttentionContext.causal(manager, config, ids.getShape().get(1));
    NDArray hidden = embedded(store, ids, all, false);
    for (int i = 0; i < layers.size(); i++) {
      boolean top = i == layers.size() - 1;
      AttentionContext positions = top ? all.atLast(manager, last) : all;
      hidden = layers.get(i).apply(store, hidden, positions, null, false);
    }
    return normed(store, hidden, all, false).reshape(last.length, config.hiddenSize());
  }

  NDArray hidden(
      ParameterStore store,
      NDArray ids,
      AttentionContext positions,
      KeyValueCache cache,
      boolean training) {
    NDArray hidden = embedded(store, ids, positions, training);
    for (int i = 0; i < layers.size(); i++) {
      KeyValueCache.Slots layerCache = cache == null ? null : cache.layer(i);
      hidden = layers.get(i).apply(store, hidden, positions, layerCache, training);
    }
    return normed(store, hidden, positions, training);
  }

  private NDArray embedded(
      ParameterStore store, NDArray ids, AttentionContext positions, boolean training) {
    NDArray hidden = Rows.select(value(store, config.embeddingName(), ids, training), ids);
    if (config.family().learnsPositions()) {
      NDArray learned = value(store, config.positionName(), ids, training);
      hidden = hidden.add(Rows.select(learned, positions.ids()));
    }
    return hidden;
  }

  private NDArray normed(
      ParameterStore store, NDArray hidden, AttentionContext positions, boolean training) {
    NDArray weight = value(store, config.lastNormName() + ".weight", hidden, training);
    if (config.family() != TransformerConfig.Family.GPT2) {
      return ops.rmsNorm(hidden, weight, positions.normEpsilon(), training);
    }
    NDArray bias = value(store, config.lastNormName() + ".bias", hidden, training);
    return Gpt2Layer.norm(hidden, weight, bias, config);
  }

  /**
   * The head on hidden states.
   *
   * @param hidden {@code [..., hidden]}
   * @return logits {@code [..., vocabulary]}, or scores {@code [..., 1]} with a classification head
   */
  public NDArray head(ParameterStore store, NDArray hidden, boolean training) {
    return Linear.linear(hidden, value(store, config.headName(), hidden, training))
        .singletonOrThrow();
  }

  /**
   * The scalar head on hidden states.
   *
   * @param hidden {@code [..., hidden]}
   * @return {@code [..., 1]}
   */
  NDArray scores(ParameterStore store, NDArray hidden, boolean training) {
    return Linear.linear(hidden, value(store, TransformerConfig.SCORE_NAME, hidden, training))
        .singletonOrThrow();
  }

  /**
   * The cross entropy of a language model, summed, in nats.
   *
   * @param hidden {@code [rows, hidden]}
   * @param labels the tokens that come next, int64 {@code [rows]}
   * @return a scalar
   */
  NDArray crossEntropy(ParameterStore store, NDArray hidden, NDArray labels, boolean training) {
    NDArray weight = value(store, config.headName(), hidden, training);
    return ops.crossEntropy(hidden, weight, labels, training);
  }

  private NDArray value(ParameterStore store, String name, NDArray like, boolean training) {
    return store.getValue(byName.get(name), like.getDevice(), training);
  }

  @Override
  protected NDList forwardInternal(
      ParameterStore store, NDList inputs, boolean training, PairList<String, Object> params) {
    NDArray hidden = hidden(store, inputs.singletonOrThrow(), training);
    return new NDList(head(store, hidden, training));
  }

  @Override
  public Shape[] getOutputShapes(Shape[] inputShapes) {
    boolean scores = config.head() == TransformerConfig.Head.SEQUENCE_CLASSIFICATION;
    return new Shape[] {inputShapes[0].add(scores ? 1 : config.vocabularySize())};
  }
}
