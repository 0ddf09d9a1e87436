package io.github.sparkrlhf.training;

import io.github.sparkrlhf.lm.Safetensors.Tensor;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The checkpoints of one training below a parent directory. A checkpoint is written beside under a
 * hidden name and renamed: a directory named {@code step-…} is complete.
 */
public final class Checkpoints {
  /** How many checkpoints stay unless the caller wants another number. */
  public static final int DEFAULT_KEPT = 2;

  private static final Pattern NAME = Pattern.compile("step-\\d{8,}");
  private static final String TEMPORARY_PREFIX = ".step-";

  private final Path parent;
  private final String configurationDigest;
  private final List<Tensor> layout;
  private final int kept;

  /**
   * Checkpoints of a training; nothing is created before the first is saved.
   *
   * @param parent used by no other training at the same time
   * @param configurationDigest tells this training's configuration from others
   * @param layout names and shapes of the parameters, in the order of the flat weights
   * @param kept how many of the newest checkpoints stay, at least 1
   */
  public Checkpoints(Path parent, String configurationDigest, List<Tensor> layout, int kept) {
    if (kept < 1) {
      throw JobFailure.usage("Cannot keep " + kept + " checkpoints: at least 1 must stay");
    }
    this.parent = parent;
    this.configurationDigest = configurationDigest;
    this.layout = List.copyOf(layout);
    this.kept = kept;
  }

  /**
   * Writes a checkpoint, replacing one of the same step, and removes those beyond the newest.
   *
   * @return the directory
   */
  public Path save(Checkpoint checkpoint) {
    Path target = parent.resolve("step-%08d".formatted(checkpoint.step()));
    try {
      Files.createDirectories(parent);
      removeLeftovers();
      Path temporary = Files.createDirectory(temporaryName());
      checkpoint.write(temporary, layout, configurationDigest);
      if (Files.exists(target)) {
        remove(target);
      }
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      List<Path> complete = complete();
      for (Path old : complete.subList(0, Math.max(0, complete.size() - kept))) {
        remove(old);
      }
      return target;
    } catch (IOException e) {
      throw JobFailure.failure("Cannot write checkpoint " + target + ": " + e, e);
    }
  }

  /**
   * The newest checkpoint, if there is one.
   *
   * @throws JobFailure of kind usage if it is of another configuration; of kind failure if it is
   *     damaged
   */
  public Optional<Checkpoint> latest() {
    List<Path> complete = listed();
    return complete.isEmpty()
        ? Optional.empty()
        : Optional.of(read(complete.get(complete.size() - 1)));
  }

  /** The checkpoint after so many steps, if it is still there; errors are those of the newest. */
  public Optional<Checkpoint> at(long step) {
    return listed().stream().filter(each -> step(each) == step).findFirst().map(this::read);
  }

  private List<Path> listed() {
    try {
      return complete();
    } catch (IOException e) {
      throw JobFailure.failure("Cannot list checkpoints in " + parent + ": " + e, e);
    }
  }

  private Checkpoint read(Path directory) {
    String found = Checkpoint.configuration(directory);
    if (!found.equals(configurationDigest)) {
      throw JobFailure.usage(
          "Cannot resume from "
              + directory
              + ": it belongs to another configuration (digest "
              + found
              + ", this run has "
              + configurationDigest
              + "); name another directory or remove it");
    }
    return Checkpoint.read(directory, layout);
  }

  /** Complete checkpoints, oldest first. */
  private List<Path> complete() throws IOException {
    try (Stream<Path> children = Files.list(parent)) {
      return children
          .filter(child -> NAME.matcher(child.getFileName().toString()).matches())
          .sorted(Comparator.comparingLong(Checkpoints::step))
          .toList();
    } catch (NoSuchFileException e) {
      return List.of();
    }
  }

  private static long step(Path directory) {
    return Long.parseLong(directory.getFileName().toString().substring("step-".length()));
  }

  private Path temporaryName() {
    return parent.resolve(TEMPORARY_PREFIX + UUID.randomUUID());
  }

  /** What a process that was killed while writing or removing has left behind. */
  private void removeLeftovers() throws IOException {
    List<Path> leftovers;
    try (Stream<Path> children = Files.list(parent)) {
      leftovers =
          children
              .filter(child -> child.getFileName().toString().startsWith(TEMPORARY_PREFIX))
              .toList();
    }
    for (Path leftover : leftovers) {
      deleteTree(leftover);
    }
  }

  /** Renames first, so that a directory that is half gone never looks complete. */
  private void remove(Path directory) throws IOException {
    Path hidden = temporaryName();
    Files.move(directory, hidden, StandardCopyOption.ATOMIC_MOVE);
    deleteTree(hidden);
  }

  private static void deleteTree(Path root) throws IOException {
    List<Path> deepestFirst;
    try (Stream<Path> tree = Files.walk(root)) {
      deepestFirst = tree.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path path : deepestFirst) {
      Files.delete(path);
    }
  }
}
