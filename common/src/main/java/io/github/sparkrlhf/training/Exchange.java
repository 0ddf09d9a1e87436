package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * The arrays of one round between the driver and its tasks: weights out, gradients back. On a
 * cluster they are broadcast and returned. In local mode tasks run in the driver's JVM, and the
 * arrays are handed over as they are: serialising them took a tenth of a training step of a small
 * model.
 */
final class Exchange implements Serializable, AutoCloseable {
  private static final long serialVersionUID = 1L;
  private static final Map<String, Exchange> IN_THIS_JVM = new ConcurrentHashMap<>();

  private final String id = UUID.randomUUID().toString();
  private final Broadcast<FloatArray> broadcast;
  private final transient float[] sent;
  private final transient Map<Integer, float[]> returned = new ConcurrentHashMap<>();

  /**
   * A gradient on its way back.
   *
   * @param lane the first lane of the task that returns it
   * @param array null if the driver holds it already, or there is none
   */
  record Parcel(int lane, FloatArray array) implements Serializable {}

  private Exchange(float[] sent, Broadcast<FloatArray> broadcast) {
    this.sent = sent;
    this.broadcast = broadcast;
  }

  /** Whether the tasks of this context see the static fields of the driver. */
  static boolean isWithinOneJvm(JavaSparkContext context) {
    return context.sc().isLocal()
        && !context.getConf().getBoolean("spark.executor.userClassPathFirst", false);
  }

  /**
   * Opens the exchange of one round.
   *
   * @param withinOneJvm whether to hand arrays over instead of sending them
   * @param weights not changed until the exchange is closed
   */
  static Exchange open(JavaSparkContext context, boolean withinOneJvm, float[] weights) {
    if (!withinOneJvm) {
      return new Exchange(null, context.broadcast(new FloatArray(weights)));
    }
    Exchange exchange = new Exchange(weights, null);
    IN_THIS_JVM.put(exchange.id, exchange);
    return exchange;
  }

  /** In a task: the weights, read only. */
  float[] weights() {
    return broadcast == null ? here().sent : broadcast.value().values();
  }

  /**
   * In a task: sends a gradient to the driver.
   *
   * @param lane the task's first lane
   * @param gradient not changed afterwards; null if there is none
   */
  Parcel pack(int lane, float[] gradient) {
    if (gradient == null) {
      return new Parcel(lane, null);
    }
    if (broadcast != null) {
      return new Parcel(lane, new FloatArray(gradient));
    }
    here().returned.put(lane, gradient);
    return new Parcel(lane, null);
  }

  /** On the driver: what was packed; null if there was none. */
  float[] unpack(Parcel parcel) {
    return parcel.array() == null ? returned.get(parcel.lane()) : parcel.array().values();
  }

  private Exchange here() {
    Exchange open = IN_THIS_JVM.get(id);
    if (open == null) {
      throw new IllegalStateException("the round of this task is over");
    }
    return open;
  }

  @Override
  public void close() {
    IN_THIS_JVM.remove(id);
    if (broadcast != null) {
      broadcast.destroy();
    }
  }
}
