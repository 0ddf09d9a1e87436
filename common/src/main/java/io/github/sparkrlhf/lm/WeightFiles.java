package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The weights of a model directory: {@value #SINGLE}, or several files with the index {@value
 * #INDEX}, which says what stands where.
 */
final class WeightFiles implements AutoCloseable {
  static final String SINGLE = "model.safetensors";
  static final String INDEX = "model.safetensors.index.json";

  /** The size above which transformers begins another file. */
  static final long SHARD_BYTES = 5_000_000_000L;

  private static final int MAX_NAMES = 20;
  private static final Map<String, String> METADATA = Map.of("format", "pt");
  private static final Pattern SHARD_NAME = Pattern.compile("[\\w.-]+\\.safetensors");
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .enable(SerializationFeature.INDENT_OUTPUT);

  private final Path shownAs;
  private final Map<String, Safetensors> files = new LinkedHashMap<>();
  private final Map<String, Safetensors> byTensor = new LinkedHashMap<>();
  private final List<Safetensors.Tensor> tensors = new ArrayList<>();

  private WeightFiles(Path shownAs) {
    this.shownAs = shownAs;
  }

  /**
   * Opens the files and checks that they and the index agree.
   *
   * @throws JobFailure if one is missing, malformed, or holds other tensors than the index says
   */
  static WeightFiles open(Path directory) {
    boolean single =
        Files.exists(directory.resolve(SINGLE)) || !Files.exists(directory.resolve(INDEX));
    WeightFiles weights = new WeightFiles(directory.resolve(single ? SINGLE : INDEX));
    boolean opened = false;
    try {
      if (single) {
        weights.add(directory, SINGLE);
      } else {
        weights.addShards(directory);
      }
      opened = true;
      return weights;
    } finally {
      if (!opened) {
        weights.close();
      }
    }
  }

  /**
   * Opens one file.
   *
   * @throws JobFailure if it is missing or malformed
   */
  static WeightFiles open(Path directory, String name) {
    WeightFiles weights = new WeightFiles(directory.resolve(name));
    weights.add(directory, name);
    return weights;
  }

  private void addShards(Path directory) {
    Map<String, String> index = index();
    for (String file : new TreeSet<>(index.values())) {
      add(directory, file);
    }
    for (Map.Entry<String, String> entry : index.entrySet()) {
      Safetensors holder = byTensor.get(entry.getKey());
      if (holder == null || holder != files.get(entry.getValue())) {
        throw refused(entry.getKey() + " does not stand in " + entry.getValue());
      }
    }
    for (String name : byTensor.keySet()) {
      if (!index.containsKey(name)) {
        throw refused(name + " stands in a file, but not in the index");
      }
    }
  }

  private void add(Path directory, String name) {
    Safetensors file = Safetensors.open(ModelFiles.require(directory.resolve(name)));
    files.put(name, file);
    for (Safetensors.Tensor tensor : file.tensors()) {
      if (byTensor.put(tensor.name(), file) != null) {
        throw refused(tensor.name() + " stands in two files");
      }
      tensors.add(tensor);
    }
  }

  /** The file of each tensor. */
  private Map<String, String> index() {
    JsonNode map = ModelFiles.json(shownAs).path("weight_map");
    if (!map.isObject() || map.isEmpty()) {
      throw refused("it has no weight_map");
    }
    Map<String, String> index = new HashMap<>();
    for (Map.Entry<String, JsonNode> entry : map.properties()) {
      String file = entry.getValue().asText("");
      if (!SHARD_NAME.matcher(file).matches()) {
        throw refused("'" + file + "' is no name of a safetensors file beside it");
      }
      index.put(entry.getKey(), file);
    }
    return index;
  }

  private JobFailure refused(String why) {
    return JobFailure.failure("Cannot use " + shownAs + ": " + why);
  }

  /** The file that messages name: that of the weights, or the index. */
  Path shownAs() {
    return shownAs;
  }

  /**
   * Checks that there are exactly the tensors of a layout, in their shapes.
   *
   * @param found the shapes by the names that the layout has for them
   * @throws JobFailure naming those that are missing, unexpected, or of another shape
   */
  void requireFit(Map<String, long[]> found, ParameterLayout layout) {
    Map<String, long[]> unexpected = new LinkedHashMap<>(found);
    List<String> missing = new ArrayList<>();
    List<String> misshapen = new ArrayList<>();
    for (ParameterLayout.Parameter parameter : layout.parameters()) {
      long[] shape = unexpected.remove(parameter.name());
      if (shape == null) {
        missing.add(parameter.name());
      } else if (!Arrays.equals(parameter.shape(), shape)) {
        misshapen.add(
            "%s has shape %s, the configuration says %s"
                .formatted(
                    parameter.name(), Arrays.toString(shape), Arrays.toString(parameter.shape())));
      }
    }
    if (!missing.isEmpty() || !unexpected.isEmpty()) {
      throw refused(
          "missing tensors "
              + abridged(missing)
              + ", unexpected "
              + abridged(List.copyOf(unexpected.keySet())));
    }
    if (!misshapen.isEmpty()) {
      throw refused(misshapen.get(0));
    }
  }

  private static String abridged(List<String> names) {
    return names.size() <= MAX_NAMES
        ? names.toString()
        : names.subList(0, MAX_NAMES) + " and " + (names.size() - MAX_NAMES) + " more";
  }

  /** The tensors of all files. */
  List<Safetensors.Tensor> tensors() {
    return tensors;
  }

  /**
   * Copies a tensor into an array.
   *
   * @param name one of {@link #tensors()}
   * @throws JobFailure if it is of no supported dtype, or a number in it is not finite
   */
  void readInto(String name, float[] target, int offset, int size) {
    byTensor.get(name).readInto(name, target, offset);
    for (int i = offset; i < offset + size; i++) {
      if (!Float.isFinite(target[i])) {
        throw refused(name + " contains " + target[i] + " at " + (i - offset));
      }
    }
  }

  /**
   * Writes all weights into a directory.
   *
   * @param weights flat, in the order of the layout
   * @param type in which they are written
   * @param shardBytes a file that would be longer is cut into several, with an index
   * @throws JobFailure if a file cannot be written
   */
  static void write(
      Path directory, ParameterLayout layout, float[] weights, WeightType type, long shardBytes) {
    List<List<SafetensorsWriter.Slice>> shards = shards(layout, weights, type, shardBytes);
    if (shards.size() == 1) {
      SafetensorsWriter.write(directory.resolve(SINGLE), shards.get(0), METADATA);
      return;
    }
    TreeMap<String, String> map = new TreeMap<>();
    for (int i = 0; i < shards.size(); i++) {
      String name = String.format("model-%05d-of-%05d.safetensors", i + 1, shards.size());
      SafetensorsWriter.write(directory.resolve(name), shards.get(i), METADATA);
      shards.get(i).forEach(slice -> map.put(slice.tensor().name(), name));
    }
    ObjectNode index = JSON.createObjectNode();
    index.putObject("metadata").put("total_size", (long) weights.length * type.bytes());
    ObjectNode places = index.putObject("weight_map");
    map.forEach(places::put);
    try {
      Files.writeString(directory.resolve(INDEX), JSON.writeValueAsString(index) + "\n");
    } catch (IOException e) {
      throw JobFailure.failure("Cannot write " + directory.resolve(INDEX) + ": " + e, e);
    }
  }

  private static List<List<SafetensorsWriter.Slice>> shards(
      ParameterLayout layout, float[] weights, WeightType type, long shardBytes) {
    List<List<SafetensorsWriter.Slice>> shards = new ArrayList<>();
    long bytes = Long.MAX_VALUE;
    for (ParameterLayout.Parameter parameter : layout.parameters()) {
      long size = (long) parameter.size() * type.bytes();
      if (bytes > shardBytes - size) {
        shards.add(new ArrayList<>());
        bytes = 0;
      }
      bytes += size;
      shards
          .get(shards.size() - 1)
          .add(
              new SafetensorsWriter.Slice(
                  new Safetensors.Tensor(parameter.name(), parameter.shape(), type.name()),
                  weights,
                  parameter.offset()));
    }
    return shards;
  }

  @Override
  public void close() {
    Set.copyOf(files.values()).forEach(Safetensors::close);
  }
}
