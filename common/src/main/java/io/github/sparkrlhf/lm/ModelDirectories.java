package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Writes model directories atomically, and tells one's content from another's. */
public final class ModelDirectories {
  /** The key of the provenance that names the run. */
  public static final String RUN_ID = "run_id";

  private static final String PROVENANCE = "rlhf.json";
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS);

  /** What follows the name of a directory while it is written. */
  private static final String TEMPORARY = "\\.[0-9a-f-]{36}\\.tmp";

  private ModelDirectories() {}

  /** Writes the files of a model into an empty directory. */
  public interface Writer {
    /**
     * Writes the files.
     *
     * @param directory exists and is empty
     * @throws IOException if a file cannot be written
     */
    void write(Path directory) throws IOException;
  }

  /**
   * Lets the writer fill a directory beside the target, adds {@code rlhf.json}, and renames it into
   * place. A directory that the same run wrote before is replaced.
   *
   * @param directory must not exist yet, unless the same run wrote it
   * @param provenance what {@code rlhf.json} says; {@value #RUN_ID} names the run
   * @throws JobFailure if it exists or cannot be written; nothing is left behind
   */
  public static void publish(Path directory, Map<String, Object> provenance, Writer writer) {
    Path target = directory.toAbsolutePath();
    requireFree(target, Objects.toString(provenance.get(RUN_ID), null));
    Path beside = temporary(target);
    try {
      removeLeftovers(target);
      Files.createDirectories(beside);
      writer.write(beside);
      Files.writeString(beside.resolve(PROVENANCE), JSON.writeValueAsString(provenance) + "\n");
      deleteTree(target);
      Files.move(beside, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw JobFailure.failure("Cannot write model " + directory + ": " + e, e);
    } finally {
      deleteTree(beside);
    }
  }

  private static Path temporary(Path target) {
    return target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID() + ".tmp");
  }

  /** What a process that was killed while it wrote the same model has left behind. */
  private static void removeLeftovers(Path target) throws IOException {
    Files.createDirectories(target.getParent());
    Pattern name = Pattern.compile("\\." + Pattern.quote("" + target.getFileName()) + TEMPORARY);
    List<Path> leftovers;
    try (Stream<Path> beside = Files.list(target.getParent())) {
      leftovers =
          beside.filter(each -> name.matcher(each.getFileName().toString()).matches()).toList();
    }
    leftovers.forEach(ModelDirectories::deleteTree);
  }

  /**
   * Checks that a run can write a model there, before hours are spent on it.
   *
   * @param runId the run; null for a writer that has none, and hence replaces nothing
   * @throws JobFailure if something stands there already that this run did not write
   */
  public static void requireFree(Path directory, String runId) {
    if (Files.exists(directory) && (runId == null || !runId.equals(runOf(directory)))) {
      throw JobFailure.usage(
          "Cannot write model " + directory + ": it exists already; remove it or choose another");
    }
  }

  /** Whether a directory is there and was written by the run. */
  public static boolean isOf(Path directory, String runId) {
    return runId.equals(runOf(directory));
  }

  /** The run that wrote a directory; null if it does not say. */
  private static String runOf(Path directory) {
    try {
      return JSON.readTree(Files.readString(directory.resolve(PROVENANCE)))
          .path(RUN_ID)
          .asText(null);
    } catch (IOException e) {
      return null;
    }
  }

  /**
   * The SHA-256 over names and contents of all files below a directory that decide how the model
   * behaves: all but {@code rlhf.json}, which says who made it and when. That of adapters covers
   * their base.
   *
   * @throws JobFailure if it is no directory or a file cannot be read
   */
  public static String digest(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw JobFailure.usage("Cannot read model " + directory + ": there is no such directory");
    }
    try (Stream<Path> below = Files.walk(directory)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      List<Path> files =
          below
              .filter(Files::isRegularFile)
              .filter(file -> !file.getFileName().toString().equals(PROVENANCE))
              .sorted()
              .toList();
      for (Path file : files) {
        digest.update(
            file.getFileName().toString().getBytes(java.nio.charset.StandardCharsets.UTF_8));
        try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
          in.transferTo(java.io.OutputStream.nullOutputStream());
        }
      }
      AdapterDirectory.base(directory)
          .ifPresent(
              base ->
                  digest.update(digest(base).getBytes(java.nio.charset.StandardCharsets.UTF_8)));
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read model " + directory + ": " + e, e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("SHA-256 is part of every Java platform", e);
    }
  }

  /** Deletes a directory and all below it; nothing if it does not exist. */
  public static void deleteTree(Path directory) {
    if (!Files.exists(directory)) {
      return;
    }
    try (Stream<Path> paths = Files.walk(directory)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    } catch (IOException e) {
      throw JobFailure.failure("Cannot delete " + directory + ": " + e, e);
    }
  }
}
