package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.lm.Safetensors.Tensor;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointsTest {
  // Not in alphabetical order, as files have it: the order of the weights is that of the layout.
  private static final List<Tensor> LAYOUT =
      List.of(new Tensor("z", new long[] {2}, "F32"), new Tensor("a", new long[] {1, 1}, "F32"));

  @TempDir Path directory;

  @Test
  void givesBackWhatWasSaved() {
    AdamW optimizer = optimizer();
    float[] weights = {1, 2, 3};
    optimizer.step(weights, new float[] {0.1f, -0.2f, 0.3f}, 0.01);
    checkpoints("digest").save(Checkpoint.of(12, weights, optimizer, Map.of("kl_coef", "0.05")));
    assertThat(directory.resolve("runs/step-00000012")).isDirectory();

    Checkpoint found = checkpoints("digest").latest().orElseThrow();
    assertThat(found.step()).isEqualTo(12);
    assertThat(found.weights()).isEqualTo(weights);
    assertThat(found.extras()).containsExactly(Map.entry("kl_coef", "0.05"));
    AdamW restored = optimizer();
    found.restore(restored);
    assertThat(restored.steps()).isEqualTo(1);
    assertThat(restored.moments().keySet()).isEqualTo(optimizer.moments().keySet());
    optimizer
        .moments()
        .forEach((name, values) -> assertThat(restored.moments().get(name)).isEqualTo(values));
  }

  @Test
  void theBestWeightsAreKeptIfThereAreAny() throws IOException {
    checkpoints("digest").save(checkpoint(1));
    assertThat(checkpoints("digest").latest().orElseThrow().bestWeights()).isNull();
    Path saved =
        checkpoints("digest")
            .save(
                Checkpoint.of(
                    2, new float[] {1, 2, 3}, optimizer(), new float[] {7, 8, 9}, Map.of()));
    Checkpoint found = checkpoints("digest").latest().orElseThrow();
    assertThat(found.bestWeights()).containsExactly(7, 8, 9);
    assertThat(found.weights()).containsExactly(1, 2, 3);
    Files.delete(saved.resolve("best.safetensors"));
    assertThatThrownBy(() -> checkpoints("digest").latest())
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot resume from " + saved + ": best.safetensors is not read");
  }

  @Test
  void keepsTheNewestByNumber() throws IOException {
    Checkpoints checkpoints = checkpoints("digest");
    for (long step : new long[] {99_999_999, 100_000_000, 100_000_001}) {
      checkpoints.save(checkpoint(step));
    }
    assertThat(names()).containsExactlyInAnyOrder("step-100000000", "step-100000001");
    assertThat(checkpoints.latest().orElseThrow().step()).isEqualTo(100_000_001);
  }

  @Test
  void savingAStepAgainReplacesIt() throws IOException {
    Checkpoints checkpoints = checkpoints("digest");
    checkpoints.save(checkpoint(1));
    checkpoints.save(new Checkpoint(1, new float[] {7, 8, 9}, Map.of(), 1, null, Map.of()));
    assertThat(checkpoints.latest().orElseThrow().weights()).containsExactly(7, 8, 9);
    assertThat(names()).containsExactly("step-00000001");
  }

  @Test
  void ignoresAndThenRemovesWhatAKilledProcessLeft() throws IOException {
    Path leftover = directory.resolve("runs/.step-killed");
    Files.createDirectories(leftover);
    Files.writeString(leftover.resolve("weights.safetensors"), "half");
    assertThat(checkpoints("digest").latest()).isEmpty();
    checkpoints("digest").save(checkpoint(1));
    assertThat(names()).containsExactly("step-00000001");
  }

  @Test
  void nothingThereIsNoCheckpoint() {
    assertThat(checkpoints("digest").latest()).isEmpty();
  }

  @Test
  void refusesTheCheckpointOfAnotherConfiguration() {
    checkpoints("one").save(checkpoint(1));
    assertThatThrownBy(() -> checkpoints("two").latest())
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessageContaining("another configuration (digest one, this run has two)");
  }

  @ParameterizedTest
  @ValueSource(strings = {"weights.safetensors", "optimizer.safetensors", "state.json"})
  void aMissingFileIsAClearFailure(String file) throws IOException {
    Path saved = checkpoints("digest").save(checkpoint(1));
    Files.delete(saved.resolve(file));
    assertThatThrownBy(() -> checkpoints("digest").latest())
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot resume from " + saved + ": " + file + " is not readable");
  }

  @ParameterizedTest
  @ValueSource(strings = {"weights.safetensors", "optimizer.safetensors"})
  void aFlippedBitIsAClearFailure(String file) throws IOException {
    Path saved = checkpoints("digest").save(checkpoint(1));
    byte[] bytes = Files.readAllBytes(saved.resolve(file));
    bytes[bytes.length - 1] ^= 1;
    Files.write(saved.resolve(file), bytes);
    assertThatThrownBy(() -> checkpoints("digest").latest())
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot resume from " + saved + ": " + file + " is damaged");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "{}", "[]", "{\"configuration\":\"digest\",\"step\":1}"})
  void aDamagedStateIsAClearFailure(String state) throws IOException {
    Path saved = checkpoints("digest").save(checkpoint(1));
    Files.writeString(saved.resolve("state.json"), state);
    assertThatThrownBy(() -> checkpoints("digest").latest())
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot resume from " + saved + ": state.json is damaged");
  }

  @Test
  void refusesWeightsOfAnotherShape() {
    checkpoints("digest").save(checkpoint(1));
    List<Tensor> other =
        List.of(new Tensor("z", new long[] {1}, "F32"), new Tensor("a", new long[] {2}, "F32"));
    Checkpoints reader = new Checkpoints(directory.resolve("runs"), "digest", other, 2);
    assertThatThrownBy(reader::latest)
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("no z of this model's shape");
  }

  private Checkpoints checkpoints(String digest) {
    return new Checkpoints(directory.resolve("runs"), digest, LAYOUT, Checkpoints.DEFAULT_KEPT);
  }

  private static Checkpoint checkpoint(long step) {
    return new Checkpoint(
        step,
        new float[] {1, 2, 3},
        Map.of("first_moment", new float[] {4, 5, 6}, "second_moment", new float[] {7, 8, 9}),
        step,
        null,
        Map.of());
  }

  private static AdamW optimizer() {
    return new AdamW(
        3, List.of(new AdamW.Segment(0, 3, 1, true)), new AdamW.Settings(0.9, 0.999, 1e-8, 0.01));
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(directory.resolve("runs"))) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }
}
