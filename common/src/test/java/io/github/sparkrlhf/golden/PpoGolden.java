package io.github.sparkrlhf.golden;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Access to the numbers that {@code trl} computed. */
public final class PpoGolden {
  private static final JsonNode ROOT = load();

  private PpoGolden() {}

  private static JsonNode load() {
    try {
      return new ObjectMapper()
          .readTree(Path.of("src/test/resources/golden/ppo/golden.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A node that must exist: a mistyped name is an error, not an empty test. */
  public static JsonNode at(String pointer) {
    return ROOT.requiredAt(pointer);
  }

  public static List<JsonNode> list(String pointer) {
    List<JsonNode> nodes = new ArrayList<>();
    at(pointer).forEach(nodes::add);
    if (nodes.isEmpty()) {
      throw new IllegalStateException("no golden numbers at " + pointer);
    }
    return nodes;
  }

  public static double[] doubles(JsonNode node) {
    double[] values = new double[node.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = node.get(i).doubleValue();
    }
    return values;
  }

  public static float[] floats(JsonNode node) {
    float[] values = new float[node.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = node.get(i).floatValue();
    }
    return values;
  }

  public static float[][] rows(JsonNode node) {
    float[][] rows = new float[node.size()][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = floats(node.get(i));
    }
    return rows;
  }

  /** The length of each row of a mask of valid tokens, or of padding. */
  public static int[] lengths(JsonNode mask, boolean valid) {
    int[] lengths = new int[mask.size()];
    for (int row = 0; row < lengths.length; row++) {
      for (JsonNode flag : mask.get(row)) {
        lengths[row] += flag.asBoolean() == valid ? 1 : 0;
      }
    }
    return lengths;
  }

  /** The rows with these numbers. */
  public static float[][] select(float[][] rows, int[] numbers) {
    float[][] selected = new float[numbers.length][];
    for (int i = 0; i < numbers.length; i++) {
      selected[i] = rows[numbers[i]];
    }
    return selected;
  }
}
