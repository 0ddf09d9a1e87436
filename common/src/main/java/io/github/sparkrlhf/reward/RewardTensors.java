package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;

/** The tensors of a reward model's directory, none of them believed before it is checked. */
final class RewardTensors implements AutoCloseable {
  private final Path directory;
  private final Safetensors file;

  RewardTensors(Path directory) {
    this.directory = directory;
    this.file = Safetensors.open(directory.resolve(RewardModels.WEIGHTS));
  }

  /** How many numbers a tensor has; 0 if there is none of that name. */
  int size(String name) {
    long elements =
        file.tensors().stream()
            .filter(tensor -> tensor.name().equals(name))
            .mapToLong(Safetensors.Tensor::elements)
            .sum();
    if (elements > Integer.MAX_VALUE) {
      throw unreadable("tensor " + name + " is too large");
    }
    return (int) elements;
  }

  /**
   * The numbers of a tensor.
   *
   * @throws JobFailure if there is none of that name and size, or a number is not finite
   */
  float[] read(String name, int size) {
    if (size(name) != size) {
      throw unreadable("there is no tensor %s of %d numbers".formatted(name, size));
    }
    float[] values = new float[size];
    file.readInto(name, values, 0);
    for (float value : values) {
      if (!Float.isFinite(value)) {
        throw unreadable("tensor " + name + " has a number that is not finite");
      }
    }
    return values;
  }

  /** {@link #read} of whole numbers. */
  int[] readWhole(String name, int size) {
    float[] values = read(name, size);
    int[] whole = new int[size];
    for (int i = 0; i < size; i++) {
      whole[i] = (int) values[i];
      if (whole[i] != values[i]) {
        throw unreadable("tensor " + name + " has a number that is not whole");
      }
    }
    return whole;
  }

  /** Whole numbers as a tensor has them; exact up to 2²⁴. */
  static float[] ofWhole(int[] values) {
    float[] numbers = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      numbers[i] = values[i];
      if ((int) numbers[i] != values[i]) {
        throw JobFailure.failure(
            "Cannot write reward model: it has more nodes than its file format can number");
      }
    }
    return numbers;
  }

  JobFailure unreadable(String why) {
    return JobFailure.failure("Cannot read reward model in %s: %s".formatted(directory, why));
  }

  @Override
  public void close() {
    file.close();
  }
}
