package io.github.sparkrlhf.training;

import io.github.sparkrlhf.lm.AdapterDirectory;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Lora;
import io.github.sparkrlhf.lm.LoraAdapters;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.spark.CounterRandom;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * What a training changes: all weights of its models, or low-rank adapters on them. It is one flat
 * array, which is broadcast, summed, stepped and checkpointed; the parts of several models stand
 * one after the other. With adapters the models' weights are broadcast once, until this is closed.
 */
public final class Trainables implements AutoCloseable {
  private final List<LanguageModel> models;
  private final List<LoraAdapters> adapters;
  private final float[] initial;
  private final Broadcast<FloatArray> base;

  private Trainables(
      List<LanguageModel> models,
      List<LoraAdapters> adapters,
      float[] initial,
      Broadcast<FloatArray> base) {
    this.models = List.copyOf(models);
    this.adapters = List.copyOf(adapters);
    this.initial = initial;
    this.base = base;
  }

  /** All weights of the models. */
  public static Trainables all(LanguageModel... models) {
    return new Trainables(List.of(models), List.of(), weights(List.of(models)), null);
  }

  /**
   * Adapters on the models.
   *
   * @param seed of the adapters' first values
   * @throws io.github.sparkrlhf.spark.JobFailure of kind usage if a model has no projection of a
   *     name that {@code lora} gives
   */
  public static Trainables adapters(
      JavaSparkContext context, Lora lora, long seed, LanguageModel... models) {
    List<LoraAdapters> adapters = new ArrayList<>();
    List<float[]> parts = new ArrayList<>();
    CounterRandom random = new CounterRandom(seed, "adapters of models");
    for (LanguageModel model : models) {
      LoraAdapters ofModel = new LoraAdapters(model.config(), lora);
      parts.add(ofModel.initial(model.weights(), random.bits(adapters.size())));
      adapters.add(ofModel);
    }
    return new Trainables(
        List.of(models),
        adapters,
        concatenated(parts),
        context.broadcast(new FloatArray(weights(List.of(models)))));
  }

  private static float[] weights(List<LanguageModel> models) {
    return concatenated(models.stream().map(LanguageModel::weights).toList());
  }

  private static float[] concatenated(List<float[]> parts) {
    if (parts.size() == 1) {
      return parts.get(0);
    }
    float[] all = new float[parts.stream().mapToInt(part -> part.length).reduce(0, Math::addExact)];
    int offset = 0;
    for (float[] part : parts) {
      System.arraycopy(part, 0, all, offset, part.length);
      offset += part.length;
    }
    return all;
  }

  /** How many models there are. */
  public int count() {
    return models.size();
  }

  /** A model before training. */
  public LanguageModel initialModel(int model) {
    return models.get(model);
  }

  /** What is trained, before training; not to be changed. */
  public float[] initial() {
    return initial;
  }

  /** Names, shapes and order of what is trained of a model. */
  public ParameterLayout layout(int model) {
    return adapters.isEmpty() ? models.get(model).config().layout() : adapters.get(model).layout();
  }

  /** Where the part of a model begins. */
  public int offset(int model) {
    int offset = 0;
    for (int i = 0; i < model; i++) {
      offset = Math.addExact(offset, layout(i).size());
    }
    return offset;
  }

  /** A copy of the part of a model. */
  public float[] part(int model, float[] trained) {
    return Arrays.copyOfRange(trained, offset(model), offset(model) + layout(model).size());
  }

  /** How executors get all weights of all models from what is trained. */
  public WeightView view() {
    return adapters.isEmpty() ? WeightView.IDENTITY : new LoraView(adapters, base);
  }

  /** How executors get all weights of the first model from its part of what is trained. */
  public WeightView viewOfFirst() {
    return adapters.isEmpty() ? WeightView.IDENTITY : new LoraView(adapters.subList(0, 1), base);
  }

  /** The weights of all models, on the executors; only with adapters. */
  public Optional<Broadcast<FloatArray>> base() {
    return Optional.ofNullable(base);
  }

  /** An objective over all weights as one over what is trained. */
  public <E extends Example> Objective<E> objective(Objective<E> ofAllWeights) {
    return adapters.isEmpty()
        ? ofAllWeights
        : new LoraObjective<>(ofAllWeights, new LoraView(adapters, base));
  }

  /** A model with what was trained, its adapters merged. */
  public LanguageModel model(int model, float[] trained) {
    if (adapters.isEmpty()) {
      return models.get(model).withWeights(part(model, trained));
    }
    float[] weights = models.get(model).weights().clone();
    adapters.get(model).merge(trained, offset(model), weights, 0);
    return models.get(model).withWeights(weights);
  }

  /**
   * Writes a model's adapters as PEFT does.
   *
   * @param baseDirectory where the model before training stands
   * @throws IllegalStateException if there are no adapters
   */
  public ModelDirectories.Writer adapterFiles(int model, float[] trained, Path baseDirectory) {
    if (adapters.isEmpty()) {
      throw new IllegalStateException("all weights were trained");
    }
    return directory ->
        AdapterDirectory.writeFiles(
            directory,
            adapters.get(model),
            part(model, trained),
            baseDirectory,
            models.get(model).tokenizer());
  }

  /** What a round moves, by the names under which a run's summary has it. */
  public Map<String, Object> traffic() {
    RoundTraffic traffic = RoundTraffic.of(initial);
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("trained_parameters", initial.length);
    summary.put("round_broadcast_bytes", traffic.broadcastBytes());
    summary.put("round_result_bytes", traffic.resultBytes());
    if (base != null) {
      RoundTraffic without = RoundTraffic.of(base.value().values());
      summary.put("round_broadcast_bytes_without_lora", without.broadcastBytes());
      summary.put("round_result_bytes_without_lora", without.resultBytes());
    }
    return summary;
  }

  /** {@link #traffic} as a sentence. */
  public String describeTraffic() {
    RoundTraffic traffic = RoundTraffic.of(initial);
    String sentence =
        "Each round sends %s to each executor and %s back from each task"
            .formatted(megabytes(traffic.broadcastBytes()), megabytes(traffic.resultBytes()));
    if (base == null) {
      return sentence;
    }
    RoundTraffic without = RoundTraffic.of(base.value().values());
    return sentence
        + "; without LoRA it would be %s and %s. The base, %s, is sent once"
            .formatted(
                megabytes(without.broadcastBytes()),
                megabytes(without.resultBytes()),
                megabytes(without.broadcastBytes()));
  }

  private static String megabytes(long bytes) {
    return String.format(Locale.ROOT, "%.3f MB", bytes / 1e6);
  }

  @Override
  public void close() {
    if (base != null) {
      base.destroy();
    }
  }
}
