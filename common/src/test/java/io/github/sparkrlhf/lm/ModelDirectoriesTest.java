package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelDirectoriesTest {
  @TempDir Path parent;
  private Path model;

  @BeforeEach
  void name() {
    model = parent.resolve("model");
  }

  @Test
  void publishesTheFilesAndTheirProvenance() {
    ModelDirectories.publish(
        model, Map.of("run_id", "r1", "steps", 3), at -> Files.writeString(at.resolve("a"), "1"));
    assertThat(model.resolve("a")).hasContent("1");
    assertThat(model.resolve("rlhf.json"))
        .hasContent("{\n  \"run_id\" : \"r1\",\n  \"steps\" : 3\n}");
    assertThat(parent).isDirectoryContaining(path -> path.equals(model));
    assertThat(parent.toFile().list()).containsExactly("model");
  }

  @Test
  void aFailureLeavesNothingBehind() {
    assertThatThrownBy(
            () ->
                ModelDirectories.publish(
                    model,
                    Map.of("run_id", "r1"),
                    at -> {
                      Files.writeString(at.resolve("half"), "written");
                      throw new IOException("disk full");
                    }))
        .isInstanceOf(JobFailure.class)
        .hasMessage("Cannot write model " + model + ": java.io.IOException: disk full");
    assertThatThrownBy(
            () ->
                ModelDirectories.publish(
                    model,
                    Map.of("run_id", "r1"),
                    at -> {
                      Files.createDirectories(at.resolve("below/deep"));
                      throw new IllegalStateException("a bug");
                    }))
        .hasMessage("a bug");
    assertThat(parent).isEmptyDirectory();
  }

  @Test
  void aFailureLeavesTheOlderModelOfTheRun() {
    write("r1", "old");
    assertThatThrownBy(
            () ->
                ModelDirectories.publish(
                    model,
                    Map.of("run_id", "r1"),
                    at -> {
                      throw new IOException("disk full");
                    }))
        .isInstanceOf(JobFailure.class);
    assertThat(model.resolve("old")).hasContent("old");
    assertThat(parent.toFile().list()).containsExactly("model");
  }

  @Test
  void theSameRunReplacesItsDirectoryAsAWhole() {
    write("r1", "old");
    write("r1", "new");
    assertThat(model.toFile().list()).containsExactlyInAnyOrder("new", "rlhf.json");
    assertThat(parent.toFile().list()).containsExactly("model");
  }

  @Test
  void whatAnotherRunOrAPersonWroteIsNotReplaced() throws IOException {
    write("r1", "old");
    assertRefused(Map.of("run_id", "r2"));
    assertRefused(Map.of());
    Map<String, Object> nameless = new HashMap<>();
    nameless.put("run_id", null);
    assertRefused(nameless);
    assertThat(model.resolve("old")).hasContent("old");

    for (String provenance : new String[] {"", "{", "{}", "[]", "{\"run_id\": null}"}) {
      Files.writeString(model.resolve("rlhf.json"), provenance);
      assertRefused(Map.of("run_id", "r1"));
      assertRefused(Map.of());
      assertRefused(nameless);
    }
    Files.delete(model.resolve("rlhf.json"));
    assertRefused(Map.of("run_id", "r1"));
    assertThat(model.resolve("old")).hasContent("old");
  }

  @Test
  void aFileOfThatNameIsNotReplaced() throws IOException {
    Files.writeString(model, "a file");
    assertRefused(Map.of("run_id", "r1"));
    assertThat(model).hasContent("a file");
  }

  @Test
  void theDigestTellsContentsAndNamesApart() throws IOException {
    write("r1", "one");
    String digest = ModelDirectories.digest(model);
    assertThat(digest).hasSize(64).isEqualTo(ModelDirectories.digest(model));
    Files.writeString(model.resolve("one"), "changed");
    assertThat(ModelDirectories.digest(model)).isNotEqualTo(digest);
    Files.writeString(model.resolve("one"), "one");
    assertThat(ModelDirectories.digest(model)).isEqualTo(digest);
    Files.move(model.resolve("one"), model.resolve("two"));
    assertThat(ModelDirectories.digest(model)).isNotEqualTo(digest);
  }

  @Test
  void theDigestIsThatOfTheModelNotOfWhoMadeIt() throws IOException {
    write("r1", "one");
    String digest = ModelDirectories.digest(model);
    ModelDirectories.deleteTree(model);
    write("r2", "one");
    assertThat(ModelDirectories.digest(model)).isEqualTo(digest);
    Files.delete(model.resolve("rlhf.json"));
    assertThat(ModelDirectories.digest(model)).isEqualTo(digest);
  }

  @Test
  void aDirectoryBelongsToTheRunThatWroteIt() throws IOException {
    assertThat(ModelDirectories.isOf(model, "r1")).isFalse();
    write("r1", "one");
    assertThat(ModelDirectories.isOf(model, "r1")).isTrue();
    assertThat(ModelDirectories.isOf(model, "r2")).isFalse();
    Files.delete(model.resolve("rlhf.json"));
    assertThat(ModelDirectories.isOf(model, "r1")).isFalse();
  }

  private void assertRefused(Map<String, Object> provenance) {
    assertThatThrownBy(
            () ->
                ModelDirectories.publish(
                    model, provenance, at -> Files.writeString(at.resolve("b"), "2")))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessageEndingWith("it exists already; remove it or choose another");
    assertThat(parent.toFile().list()).containsExactly("model");
  }

  private void write(String run, String file) {
    ModelDirectories.publish(
        model, Map.of("run_id", run), at -> Files.writeString(at.resolve(file), file));
  }
}
