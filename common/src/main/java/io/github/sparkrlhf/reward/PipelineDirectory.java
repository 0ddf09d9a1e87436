package io.github.sparkrlhf.reward;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.ml.Transformer;
import org.apache.spark.sql.SparkSession;

/**
 * A directory that Spark ML saved. Its metadata name classes that Spark then loads and runs, so all
 * of them are looked at before Spark sees the directory: those of Spark ML are allowed, others only
 * if the user names them.
 */
final class PipelineDirectory {
  /**
   * Spark's configuration that allows more classes: comma-separated beginnings of their names. It
   * is the user's word; nothing in the directory can say it.
   */
  static final String ALLOWED_CLASSES = "spark.rlhf.pipeline.allowedClasses";

  private static final String SPARK_ML = "org.apache.spark.ml.";

  /** Runs any SQL, and with it any static method of Java. */
  private static final String SQL_TRANSFORMER = "org.apache.spark.ml.feature.SQLTransformer";

  /** A name that stands twice could mean one class here and another to Spark. */
  private static final ObjectMapper JSON =
      new ObjectMapper(
          JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build());

  private static final String METADATA = "metadata";
  private static final String PART = "part-00000";
  private static final Pattern METADATA_FILE =
      Pattern.compile("part-00000|_SUCCESS|\\.(?:part-00000|_SUCCESS)\\.crc");

  /** Where stages lie is made from their names. */
  private static final Pattern UID = Pattern.compile("[A-Za-z0-9_-]{1,200}");

  private PipelineDirectory() {}

  /**
   * Reads a transformer.
   *
   * @throws JobFailure if the directory is not a saved transformer, or names a class that is not
   *     allowed
   */
  static Transformer load(Path directory) throws IOException {
    if (!Files.isDirectory(directory.resolve(METADATA))) {
      throw unreadable(directory, "Spark ML has saved nothing there");
    }
    List<String> allowed = allowedClasses();
    try (Stream<Path> below = Files.walk(directory)) {
      for (Path path : (Iterable<Path>) below::iterator) {
        if (Files.isSymbolicLink(path)) {
          throw unreadable(directory, path + " is a link");
        }
        if (Files.isDirectory(path) && path.getFileName().toString().equals(METADATA)) {
          check(directory, path, allowed);
        }
      }
    }
    return transformer(
        directory, metadata(directory, directory.resolve(METADATA)).path("class").asText());
  }

  private static List<String> allowedClasses() {
    List<String> prefixes = new ArrayList<>();
    String named = SparkSession.active().conf().get(ALLOWED_CLASSES, "");
    Arrays.stream(named.split(","))
        .map(String::strip)
        .filter(prefix -> !prefix.isEmpty())
        .forEach(prefixes::add);
    return prefixes;
  }

  /** Checks the metadata of one stage. */
  private static void check(Path directory, Path metadata, List<String> named) throws IOException {
    JsonNode json = metadata(directory, metadata);
    String name = json.path("class").asText();
    boolean allowed =
        (name.startsWith(SPARK_ML) && !name.equals(SQL_TRANSFORMER))
            || named.stream().anyMatch(name::startsWith);
    if (!allowed) {
      throw JobFailure.usage(
          "Cannot read pipeline %s: it runs the class '%s'; if you trust it, name it: %s=%s"
              .formatted(directory, name, ALLOWED_CLASSES, name));
    }
    for (JsonNode uids : json.findValues("stageUids")) {
      for (JsonNode uid : uids) {
        if (!UID.matcher(uid.asText()).matches()) {
          throw unreadable(directory, "a stage is named '" + uid.asText() + "'");
        }
      }
    }
  }

  /** The JSON of a metadata folder, which must hold what Spark writes there and nothing else. */
  private static JsonNode metadata(Path directory, Path metadata) throws IOException {
    try (Stream<Path> files = Files.list(metadata)) {
      Set<Path> others =
          files
              .filter(file -> !METADATA_FILE.matcher(file.getFileName().toString()).matches())
              .collect(Collectors.toSet());
      if (!others.isEmpty()) {
        throw unreadable(directory, "its metadata hold " + others);
      }
    }
    String text = Files.readString(metadata.resolve(PART)).strip();
    if (text.lines().count() != 1) {
      throw unreadable(directory, metadata + " is not one line of JSON");
    }
    try {
      return JSON.readTree(text);
    } catch (JsonProcessingException e) {
      throw unreadable(directory, metadata + " is not JSON (" + e.getOriginalMessage() + ")");
    }
  }

  private static JobFailure unreadable(Path directory, String why) {
    return JobFailure.failure("Cannot read pipeline " + directory + ": " + why);
  }

  private static Transformer transformer(Path directory, String name) {
    try {
      Object loaded =
          Class.forName(name, true, Thread.currentThread().getContextClassLoader())
              .getMethod("load", String.class)
              .invoke(null, directory.toUri().toString());
      if (loaded instanceof Transformer transformer) {
        return transformer;
      }
      throw unreadable(directory, name + " is no transformer");
    } catch (ReflectiveOperationException e) {
      Throwable cause = e instanceof InvocationTargetException ? e.getCause() : e;
      throw JobFailure.failure("Cannot read pipeline " + directory + ": " + cause, cause);
    }
  }
}
