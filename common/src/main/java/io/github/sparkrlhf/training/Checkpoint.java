package io.github.sparkrlhf.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.lm.Safetensors.Tensor;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;

/**
 * Everything a training needs to go on as if it had never stopped: a directory {@code
 * step-00000012} with the weights, the optimiser's moments, the best weights so far if the training
 * keeps them, and a small JSON state with the CRC-32C of these files.
 *
 * @param step the steps of the training that are done
 * @param weights all parameters, concatenated in the order of the layout
 * @param moments the state of the {@link Optimizer}, by name, each as long as the weights
 * @param optimizerSteps the steps that it has taken
 * @param bestWeights those with the lowest validation loss so far, as long as the weights; null if
 *     the training does not keep them
 * @param extras what else the training remembers, such as the KL coefficient
 */
public record Checkpoint(
    long step,
    float[] weights,
    Map<String, float[]> moments,
    long optimizerSteps,
    float[] bestWeights,
    Map<String, String> extras) {
  private static final String WEIGHTS = "weights.safetensors";
  private static final String BEST = "best.safetensors";
  private static final String OPTIMIZER = "optimizer.safetensors";
  private static final String STATE = "state.json";

  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS);
  private static final ObjectReader STATE_READER =
      JSON.readerFor(State.class)
          .with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .with(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
          .with(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES);

  /** What {@code state.json} holds. */
  record State(
      String configuration,
      long step,
      long optimizerSteps,
      Map<String, Long> checksums,
      Map<String, String> extras) {}

  /** The checkpoint of a training whose optimiser has just stepped; shares its arrays. */
  public static Checkpoint of(
      long step, float[] weights, Optimizer optimizer, Map<String, String> extras) {
    return of(step, weights, optimizer, null, extras);
  }

  /** The checkpoint of a training that keeps its best weights, unless they are null. */
  public static Checkpoint of(
      long step,
      float[] weights,
      Optimizer optimizer,
      float[] bestWeights,
      Map<String, String> extras) {
    return new Checkpoint(
        step, weights, optimizer.moments(), optimizer.steps(), bestWeights, extras);
  }

  /** Puts the optimiser where it was. */
  public void restore(Optimizer optimizer) {
    optimizer.restore(moments, optimizerSteps);
  }

  /**
   * Writes the files of this checkpoint.
   *
   * @param directory exists and is empty
   * @param layout names and shapes of the parameters, in the order of the weights
   */
  void write(Path directory, List<Tensor> layout, String configurationDigest) throws IOException {
    Safetensors.write(directory.resolve(WEIGHTS), layout, weights, Map.of("format", "pt"));
    Safetensors.writeVectors(directory.resolve(OPTIMIZER), moments, Map.of());
    Map<String, Long> checksums = new TreeMap<>();
    for (String file : List.of(WEIGHTS, OPTIMIZER)) {
      checksums.put(file, checksum(directory.resolve(file)));
    }
    if (bestWeights != null) {
      Safetensors.write(directory.resolve(BEST), layout, bestWeights, Map.of("format", "pt"));
      checksums.put(BEST, checksum(directory.resolve(BEST)));
    }
    State state = new State(configurationDigest, step, optimizerSteps, checksums, extras);
    Files.write(directory.resolve(STATE), JSON.writeValueAsBytes(state));
  }

  /** The digest of the configuration that a checkpoint directory belongs to. */
  static String configuration(Path directory) {
    return state(directory).configuration();
  }

  /**
   * Reads a checkpoint directory.
   *
   * @param layout names and shapes of the parameters, in the order that the weights shall have
   * @throws JobFailure if a file is missing, damaged or of another layout
   */
  static Checkpoint read(Path directory, List<Tensor> layout) {
    State state = state(directory);
    for (String file : List.of(WEIGHTS, OPTIMIZER)) {
      verify(directory, file, state.checksums().get(file));
    }
    float[] weights = weights(directory, WEIGHTS, layout);
    float[] bestWeights = null;
    if (state.checksums().containsKey(BEST)) {
      verify(directory, BEST, state.checksums().get(BEST));
      bestWeights = weights(directory, BEST, layout);
    }
    Map<String, float[]> moments = new TreeMap<>();
    try (Safetensors file = Safetensors.open(directory.resolve(OPTIMIZER))) {
      for (Tensor tensor : file.tensors()) {
        requireShape(
            directory, file, new Tensor(tensor.name(), new long[] {weights.length}, "F32"));
        moments.put(tensor.name(), new float[weights.length]);
        file.readInto(tensor.name(), moments.get(tensor.name()), 0);
      }
    }
    return new Checkpoint(
        state.step(), weights, moments, state.optimizerSteps(), bestWeights, state.extras());
  }

  private static float[] weights(Path directory, String name, List<Tensor> layout) {
    long size = layout.stream().mapToLong(Tensor::elements).sum();
    float[] weights = new float[Math.toIntExact(size)];
    try (Safetensors file = Safetensors.open(directory.resolve(name))) {
      if (file.tensors().size() != layout.size()) {
        throw corrupt(directory, name + " does not hold the parameters of this model");
      }
      int offset = 0;
      for (Tensor tensor : layout) {
        requireShape(directory, file, tensor);
        file.readInto(tensor.name(), weights, offset);
        offset += (int) tensor.elements();
      }
    }
    return weights;
  }

  private static State state(Path directory) {
    try {
      return STATE_READER.readValue(Files.readAllBytes(directory.resolve(STATE)));
    } catch (JsonProcessingException e) {
      throw corrupt(directory, STATE + " is damaged: " + e.getOriginalMessage());
    } catch (IOException e) {
      throw corrupt(directory, STATE + " is not readable: " + e);
    }
  }

  private static void requireShape(Path directory, Safetensors file, Tensor expected) {
    for (Tensor tensor : file.tensors()) {
      if (tensor.name().equals(expected.name())
          && Arrays.equals(tensor.shape(), expected.shape())) {
        return;
      }
    }
    throw corrupt(directory, "it holds no " + expected.name() + " of this model's shape");
  }

  private static void verify(Path directory, String file, Long expected) {
    try {
      if (expected == null || checksum(directory.resolve(file)) != expected) {
        throw corrupt(directory, file + " is damaged: its checksum is not that of " + STATE);
      }
    } catch (IOException e) {
      throw corrupt(directory, file + " is not readable: " + e);
    }
  }

  private static long checksum(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file);
        CheckedInputStream checked = new CheckedInputStream(in, new CRC32C())) {
      byte[] buffer = new byte[1 << 16];
      int read;
      do {
        read = checked.read(buffer);
      } while (read >= 0);
      return checked.getChecksum().getValue();
    }
  }

  private static JobFailure corrupt(Path directory, String why) {
    return JobFailure.failure(
        "Cannot resume from " + directory + ": " + why + "; remove it to resume from an older one");
  }
}
