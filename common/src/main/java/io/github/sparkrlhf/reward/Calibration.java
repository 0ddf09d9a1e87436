package io.github.sparkrlhf.reward;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.ModelFiles;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.StreamSupport;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * How the scores of one reward model become probabilities, fitted on pairs that it was not trained
 * on. Scores themselves stay as they are.
 *
 * @param pairs how many pairs it was fitted on
 * @param temperature one number for all differences
 * @param isotonic any non-decreasing function of the difference
 */
public record Calibration(
    long pairs, TemperatureScaling temperature, IsotonicCalibration isotonic) {
  /** The file beside the model. */
  public static final String FILE = "calibration.json";

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /**
   * Fits both methods. Neither the order of the pairs nor that of the responses in a pair changes a
   * bit of them. The driver holds 16 bytes for each pair.
   *
   * @param differences score of the first response minus score of the second, finite
   * @param probabilities that people prefer the first response: votes as soft labels
   * @throws JobFailure if there is no pair
   */
  public static Calibration fit(SparkSession spark, double[] differences, double[] probabilities) {
    if (differences.length == 0) {
      throw JobFailure.dataQuality("Cannot calibrate a reward model: there is no pair");
    }
    JudgedDifferences judged = new JudgedDifferences(differences, probabilities);
    IsotonicCalibration isotonic =
        JobDescriptions.described(
            spark.sparkContext(),
            "reward: isotonic calibration",
            () ->
                IsotonicCalibration.fit(
                    JavaSparkContext.fromSparkContext(spark.sparkContext()), judged));
    return new Calibration(judged.size(), TemperatureScaling.fit(judged), isotonic);
  }

  /** The ways from differences to probabilities: as they stand, by temperature, isotonic. */
  public List<PairProbability> methods() {
    return List.of(PairProbability.UNCALIBRATED, temperature, isotonic);
  }

  /** Writes {@value #FILE} into a model's directory. */
  void write(Path directory) throws IOException {
    ObjectNode json = JSON.createObjectNode();
    json.put("pairs", pairs).put("temperature", temperature.temperature());
    ObjectNode steps = json.putObject("isotonic");
    put(steps.putArray("differences"), isotonic.boundaries());
    put(steps.putArray("probabilities"), isotonic.probabilities());
    Files.writeString(directory.resolve(FILE), JSON.writeValueAsString(json) + "\n");
  }

  /**
   * Reads the calibration of a model; none if it has none.
   *
   * @throws JobFailure if the file is not what {@link #write} writes
   */
  public static Optional<Calibration> load(Path directory) {
    Path file = directory.resolve(FILE);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    JsonNode json = ModelFiles.json(file);
    try {
      return Optional.of(
          new Calibration(
              json.path("pairs").asLong(),
              new TemperatureScaling(
                  TemperatureScaling.METHOD, json.path("temperature").asDouble(Double.NaN)),
              new IsotonicCalibration(
                  numbers(json.path("isotonic").path("differences")),
                  numbers(json.path("isotonic").path("probabilities")))));
    } catch (IllegalArgumentException e) {
      throw JobFailure.failure("Cannot read " + file + ": " + e.getMessage(), e);
    }
  }

  private static void put(ArrayNode array, double[] numbers) {
    for (double number : numbers) {
      array.add(number);
    }
  }

  private static double[] numbers(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false)
        .mapToDouble(number -> number.asDouble(Double.NaN))
        .toArray();
  }
}
