package io.github.sparkrlhf.lm;

import java.util.Deque;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;

/**
 * The replicas of this JVM: one per configuration and concurrent task thread, made once and reused
 * from step to step.
 */
public final class ReplicaPool {
  private static final Map<TransformerConfig, Deque<Replica>> IDLE = new ConcurrentHashMap<>();

  private ReplicaPool() {}

  /** A replica for the exclusive use of one thread until it is closed. */
  public static final class Lease implements AutoCloseable {
    private final Replica replica;

    private Lease(Replica replica) {
      this.replica = replica;
    }

    /** The replica. */
    public Replica replica() {
      return replica;
    }

    @Override
    public void close() {
      if (replica.holdsGradients()) {
        replica.close();
      } else {
        idle(replica.config()).push(replica);
      }
    }
  }

  /**
   * Lends a replica that holds the given weights.
   *
   * @param weights a flat array that holds the model's weights from {@code offset} on; never
   *     changed afterwards, because a replica that has loaded this array before is not loaded again
   */
  public static Lease lease(TransformerConfig config, float[] weights, int offset) {
    Replica replica = idle(config).poll();
    if (replica == null) {
      replica = new Replica(config);
    }
    replica.loadOnce(weights, offset);
    return new Lease(replica);
  }

  private static Deque<Replica> idle(TransformerConfig config) {
    return IDLE.computeIfAbsent(config, key -> new ConcurrentLinkedDeque<>());
  }
}
