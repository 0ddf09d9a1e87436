package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.ndarray.NDManager;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReplicaPoolTest {
  /** A shape that no other test has: the pool is one for the whole process. */
  private static final TransformerConfig CONFIG = TransformerConfig.llama(53, 16, 24, 1, 2, 16);

  private static final List<int[]> SEQUENCES = List.of(new int[] {1, 2, 3}, new int[] {4, 50});

  @Test
  void aReusedReplicaHasTheWeightsOfItsLatestLease() {
    float[] first = weights(1);
    float[] second = weights(2);
    float[] firstOutputs = ownReplica(first);
    float[] secondOutputs = ownReplica(second);
    assertThat(firstOutputs).isNotEqualTo(secondOutputs);
    Replica before = null;
    for (int i = 0; i < 3; i++) {
      try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, first, 0)) {
        assertThat(outputs(lease.replica())).isEqualTo(firstOutputs);
        assertThat(before == null || before == lease.replica()).isTrue();
        before = lease.replica();
      }
      try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, second, 0)) {
        assertThat(lease.replica()).isSameAs(before);
        assertThat(outputs(lease.replica())).isEqualTo(secondOutputs);
      }
    }
  }

  @Test
  void anEqualArrayOfAnotherIdentityIsLoadedAndTheSameOneIsNot() {
    float[] weights = weights(3);
    float[] expected = ownReplica(weights);
    try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, weights, 0)) {
      assertThat(outputs(lease.replica())).isEqualTo(expected);
    }
    float[] other = weights.clone();
    other[0] += 1;
    Arrays.fill(weights, 0);
    try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, weights, 0)) {
      // The very array was loaded before: it counts as unchanged.
      assertThat(outputs(lease.replica())).isEqualTo(expected);
    }
    try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, other, 0)) {
      assertThat(outputs(lease.replica())).isEqualTo(ownReplica(other));
    }
  }

  @Test
  void anotherPlaceInTheSameArrayIsOtherWeights() {
    float[] first = weights(4);
    float[] second = weights(5);
    float[] both = Arrays.copyOf(first, 2 * first.length);
    System.arraycopy(second, 0, both, first.length, second.length);
    try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, both, 0)) {
      assertThat(outputs(lease.replica())).isEqualTo(ownReplica(first));
    }
    try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, both, first.length)) {
      assertThat(outputs(lease.replica())).isEqualTo(ownReplica(second));
    }
  }

  @Test
  void leasesAtTheSameTimeHaveReplicasOfTheirOwn() {
    float[] first = weights(6);
    float[] second = weights(7);
    try (ReplicaPool.Lease one = ReplicaPool.lease(CONFIG, first, 0);
        ReplicaPool.Lease other = ReplicaPool.lease(CONFIG, second, 0)) {
      assertThat(one.replica()).isNotSameAs(other.replica());
      assertThat(outputs(one.replica())).isEqualTo(ownReplica(first));
      assertThat(outputs(other.replica())).isEqualTo(ownReplica(second));
    }
  }

  private static float[] weights(long seed) {
    return CONFIG.layout().initialWeights(seed);
  }

  private static float[] ownReplica(float[] weights) {
    try (Replica replica = new Replica(CONFIG)) {
      replica.load(weights, 0);
      return outputs(replica);
    }
  }

  private static float[] outputs(Replica replica) {
    try (GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      return SequenceBatch.atLastTokens(SEQUENCES).outputs(replica, manager, false).toFloatArray();
    }
  }
}
