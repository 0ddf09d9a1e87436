package io.github.sparkrlhf.training;

import io.github.sparkrlhf.lm.LoraAdapters;
import java.lang.ref.WeakReference;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.apache.spark.broadcast.Broadcast;

/**
 * Adapters on the weights of a base that stays on the executors. A process merges them once for
 * each array that is broadcast, whatever number of lanes uses it.
 */
final class LoraView implements WeightView {
  private static final long serialVersionUID = 1L;

  /** PPO goes to and fro between two: the policy that samples, and policy with critic. */
  private static final int KEPT = 2;

  private static final Deque<Merged> LATEST = new ArrayDeque<>();

  private final List<LoraAdapters> models;
  private final Broadcast<FloatArray> base;

  private record Merged(long base, WeakReference<float[]> trained, float[] all) {}

  /**
   * A view.
   *
   * @param models adapters of the models whose weights stand one after the other in the base; the
   *     base may hold more behind them
   */
  LoraView(List<LoraAdapters> models, Broadcast<FloatArray> base) {
    this.models = List.copyOf(models);
    this.base = base;
  }

  /** How many weights the models have together. */
  int size() {
    return models.stream().mapToInt(LoraAdapters::modelSize).reduce(0, Math::addExact);
  }

  /** How many numbers are trained. */
  int trainedSize() {
    return models.stream().mapToInt(model -> model.layout().size()).reduce(0, Math::addExact);
  }

  @Override
  public float[] all(float[] trained) {
    synchronized (LATEST) {
      for (Merged merged : LATEST) {
        if (merged.base() == base.id() && merged.trained().refersTo(trained)) {
          return merged.all();
        }
      }
      while (LATEST.size() >= KEPT) {
        LATEST.removeLast();
      }
      float[] all = merge(trained);
      LATEST.addFirst(new Merged(base.id(), new WeakReference<>(trained), all));
      return all;
    }
  }

  private float[] merge(float[] trained) {
    float[] all = Arrays.copyOf(base.value().values(), size());
    int offset = 0;
    int trainedOffset = 0;
    for (LoraAdapters model : models) {
      model.merge(trained, trainedOffset, all, offset);
      offset += model.modelSize();
      trainedOffset += model.layout().size();
    }
    return all;
  }

  /**
   * The gradient of what is trained.
   *
   * @param weightGradient the gradient of all weights
   * @param gradient receives it
   */
  void pullBack(float[] trained, float[] weightGradient, float[] gradient) {
    int offset = 0;
    int trainedOffset = 0;
    for (LoraAdapters model : models) {
      model.pullBack(trained, trainedOffset, weightGradient, offset, gradient);
      offset += model.modelSize();
      trainedOffset += model.layout().size();
    }
  }
}
