package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.lm.ParameterLayout.Parameter;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * The adapters of one model: which matrices have them, where A and B stand in the flat array of
 * what is trained, and how they become weights. The score head of a classifier is trained in full,
 * as PEFT does (its {@code modules_to_save}).
 *
 * <p>Names are those of PEFT's {@code adapter_model.safetensors}.
 */
public final class LoraAdapters implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final String PREFIX = "base_model.model.";
  private static final String WEIGHT = ".weight";

  /** The name of the scalar head among what is trained. */
  public static final String SCORE = PREFIX + TransformerConfig.SCORE_NAME;

  private final TransformerConfig config;
  private final Lora lora;

  // A pure function of the two fields above: not part of a task's closure.
  private transient volatile Plan plan;

  /**
   * One adapted matrix.
   *
   * @param matrix its place among the model's weights
   * @param transposed whether it stands as {@code [in, out]}, as GPT-2's do
   * @param a A {@code [rank, in]} among what is trained
   * @param b B {@code [out, rank]} among what is trained
   */
  private record Adapter(Parameter matrix, boolean transposed, Parameter a, Parameter b) {}

  /** A tensor that is trained in full: its place in the model, and among what is trained. */
  private record Full(Parameter parameter, Parameter trained) {}

  private record Plan(
      ParameterLayout layout, int modelSize, List<Adapter> adapters, List<Full> full) {}

  /**
   * Adapters for a model of this shape.
   *
   * @throws JobFailure of kind usage if a target names no projection of the model
   */
  public LoraAdapters(TransformerConfig config, Lora lora) {
    this.config = config;
    this.lora = lora;
    for (String target : lora.targets()) {
      if (modules(config).stream().noneMatch(module -> Lora.names(target, module))) {
        throw JobFailure.usage(
            "Cannot adapt '%s': the model's projections are %s; %s is all of them"
                .formatted(target, projections(config), Lora.ALL_LINEAR));
      }
    }
  }

  /** The full names of all linear projections of all layers. */
  private static List<String> modules(TransformerConfig config) {
    List<String> modules = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      String prefix = config.layerPrefix(i);
      DecoderLayer.parameterShapes(config)
          .forEach(
              (name, shape) -> {
                if (shape.length == 2 && name.endsWith(WEIGHT)) {
                  modules.add(prefix + name.substring(0, name.length() - WEIGHT.length()));
                }
              });
    }
    return modules;
  }

  /** The last parts of the names of all projections. */
  private static TreeSet<String> projections(TransformerConfig config) {
    TreeSet<String> names = new TreeSet<>();
    modules(config).forEach(module -> names.add(module.substring(module.lastIndexOf('.') + 1)));
    return names;
  }

  /** The shape of the adapted model. */
  TransformerConfig config() {
    return config;
  }

  /** Rank, alpha, targets. */
  Lora lora() {
    return lora;
  }

  /** The targets by name, as PEFT writes {@code target_modules}. */
  List<String> targetModules() {
    return lora.targets().contains(Lora.ALL_LINEAR)
        ? List.copyOf(projections(config))
        : lora.targets();
  }

  /** The modules that a tensor of an adapter file belongs to; null if it is none of A and B. */
  static String moduleOf(String tensor) {
    int end = Math.max(tensor.indexOf(".lora_A."), tensor.indexOf(".lora_B."));
    return end < 0 || !tensor.startsWith(PREFIX) ? null : tensor.substring(PREFIX.length(), end);
  }

  /** Names, shapes and places of what is trained: A and B of each matrix, then the score head. */
  public ParameterLayout layout() {
    return plan().layout();
  }

  /** How many weights the adapted model has. */
  public int modelSize() {
    return plan().modelSize();
  }

  private Plan plan() {
    Plan current = plan;
    if (current == null) {
      current = newPlan();
      plan = current;
    }
    return current;
  }

  private Plan newPlan() {
    ParameterLayout model = config.layout();
    boolean transposed = config.family() == TransformerConfig.Family.GPT2;
    List<String> adapted =
        modules(config).stream()
            .filter(module -> lora.targets().stream().anyMatch(t -> Lora.names(t, module)))
            .toList();
    boolean scores = config.head().scores();
    Map<String, long[]> shapes = new LinkedHashMap<>();
    for (String module : adapted) {
      long[] shape = model.parameter(module + WEIGHT).shape();
      shapes.put(a(module), new long[] {lora.rank(), shape[transposed ? 0 : 1]});
      shapes.put(b(module), new long[] {shape[transposed ? 1 : 0], lora.rank()});
    }
    if (scores) {
      shapes.put(SCORE, model.parameter(TransformerConfig.SCORE_NAME).shape());
    }
    ParameterLayout trained = ParameterLayout.of(shapes);
    List<Adapter> adapters =
        adapted.stream()
            .map(
                module ->
                    new Adapter(
                        model.parameter(module + WEIGHT),
                        transposed,
                        trained.parameter(a(module)),
                        trained.parameter(b(module))))
            .toList();
    List<Full> full =
        scores
            ? List.of(
                new Full(model.parameter(TransformerConfig.SCORE_NAME), trained.parameter(SCORE)))
            : List.of();
    return new Plan(trained, model.size(), adapters, full);
  }

  private static String a(String module) {
    return PREFIX + module + ".lora_A.weight";
  }

  private static String b(String module) {
    return PREFIX + module + ".lora_B.weight";
  }

  /**
   * What is trained, before training: A uniform in ±1/√in (Kaiming with a = √5, as PEFT does), B
   * zero, the score head as it is in the model. The model's outputs are those without adapters.
   *
   * @param weights of the model
   * @return the flat array, a pure function of the arguments
   */
  public float[] initial(float[] weights, long seed) {
    CounterRandom random = new CounterRandom(seed, "adapters");
    float[] trained = new float[layout().size()];
    int index = 0;
    for (Adapter adapter : plan().adapters()) {
      double bound = 1 / Math.sqrt(adapter.a().shape()[1]);
      for (int i = 0; i < adapter.a().size(); i++) {
        trained[adapter.a().offset() + i] = (float) (bound * (2 * random.uniform(index, i) - 1));
      }
      index++;
    }
    for (Full full : plan().full()) {
      System.arraycopy(
          weights,
          full.parameter().offset(),
          trained,
          full.trained().offset(),
          full.trained().size());
    }
    return trained;
  }

  /**
   * Turns the weights of the base into those of the adapted model, in place.
   *
   * @param trained holds what is trained from {@code trainedOffset} on
   * @param weights holds the base's weights from {@code offset} on
   */
  public void merge(float[] trained, int trainedOffset, float[] weights, int offset) {
    for (Adapter adapter : plan().adapters()) {
      LowRank.addProduct(
          left(adapter, trained, trainedOffset),
          right(adapter, trained, trainedOffset),
          lora.rank(),
          (float) lora.scale(),
          weights,
          offset + adapter.matrix().offset());
    }
    for (Full full : plan().full()) {
      System.arraycopy(
          trained,
          trainedOffset + full.trained().offset(),
          weights,
          offset + full.parameter().offset(),
          full.trained().size());
    }
  }

  /**
   * The gradient of what is trained, by the chain rule from that of all weights: exact.
   *
   * @param weightGradient holds the gradient of the adapted model's weights from {@code offset} on
   * @param gradient receives that of what is trained from {@code trainedOffset} on
   */
  public void pullBack(
      float[] trained, int trainedOffset, float[] weightGradient, int offset, float[] gradient) {
    float scale = (float) lora.scale();
    int rank = lora.rank();
    for (Adapter adapter : plan().adapters()) {
      float[] left = left(adapter, trained, trainedOffset);
      float[] right = right(adapter, trained, trainedOffset);
      int at = offset + adapter.matrix().offset();
      int rows = left.length / rank;
      int columns = right.length / rank;
      float[] ofLeft = LowRank.leftGradient(weightGradient, at, rows, right, rank, scale);
      float[] ofRight = LowRank.rightGradient(weightGradient, at, columns, left, rank, scale);
      float[] ofA = adapter.transposed() ? LowRank.transposed(ofLeft, 0, rows, rank) : ofRight;
      float[] ofB = adapter.transposed() ? LowRank.transposed(ofRight, 0, rank, columns) : ofLeft;
      System.arraycopy(ofA, 0, gradient, trainedOffset + adapter.a().offset(), ofA.length);
      System.arraycopy(ofB, 0, gradient, trainedOffset + adapter.b().offset(), ofB.length);
    }
    for (Full full : plan().full()) {
      System.arraycopy(
          weightGradient,
          offset + full.parameter().offset(),
          gradient,
          trainedOffset + full.trained().offset(),
          full.trained().size());
    }
  }

  /** The left factor of what is added to the matrix as it stands: B, or Aᵀ. */
  private float[] left(Adapter adapter, float[] trained, int trainedOffset) {
    return adapter.transposed()
        ? transposed(adapter.a(), trained, trainedOffset)
        : values(adapter.b(), trained, trainedOffset);
  }

  /** The right factor: A, or Bᵀ. */
  private float[] right(Adapter adapter, float[] trained, int trainedOffset) {
    return adapter.transposed()
        ? transposed(adapter.b(), trained, trainedOffset)
        : values(adapter.a(), trained, trainedOffset);
  }

  private static float[] values(Parameter parameter, float[] trained, int trainedOffset) {
    int from = trainedOffset + parameter.offset();
    return Arrays.copyOfRange(trained, from, from + parameter.size());
  }

  private static float[] transposed(Parameter parameter, float[] trained, int trainedOffset) {
    int rows = Math.toIntExact(parameter.shape()[0]);
    int columns = Math.toIntExact(parameter.shape()[1]);
    return LowRank.transposed(trained, trainedOffset + parameter.offset(), rows, columns);
  }
}
