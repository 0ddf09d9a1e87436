package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class StronglyConnectedComponentsTest {
  private static final int NODES = 8;

  @Property(tries = 500)
  void nodesThatReachEachOtherAreOneComponent(
      @ForAll @Size(max = 20) List<@IntRange(max = NODES * NODES - 1) Integer> edges) {
    int[] from = edges.stream().mapToInt(e -> e / NODES).toArray();
    int[] to = edges.stream().mapToInt(e -> e % NODES).toArray();

    assertThat(StronglyConnectedComponents.sizes(NODES, from, to))
        .containsExactlyInAnyOrder(byReachability(from, to));
  }

  @Test
  void aLongCircleIsOneComponentAndALongChainIsMany() {
    int nodes = 200_000;
    int[] from = IntStream.range(0, nodes).toArray();
    int[] to = IntStream.range(0, nodes).map(node -> (node + 1) % nodes).toArray();
    assertThat(StronglyConnectedComponents.sizes(nodes, from, to)).containsExactly(nodes);

    to[nodes - 1] = nodes - 1;
    assertThat(StronglyConnectedComponents.sizes(nodes, from, to)).hasSize(nodes);
  }

  private static int[] byReachability(int[] from, int[] to) {
    boolean[][] reaches = new boolean[NODES][NODES];
    for (int node = 0; node < NODES; node++) {
      reaches[node][node] = true;
    }
    for (int edge = 0; edge < from.length; edge++) {
      reaches[from[edge]][to[edge]] = true;
    }
    for (int via = 0; via < NODES; via++) {
      for (int a = 0; a < NODES; a++) {
        for (int b = 0; b < NODES; b++) {
          reaches[a][b] |= reaches[a][via] && reaches[via][b];
        }
      }
    }
    List<Integer> sizes = new ArrayList<>();
    for (int a = 0; a < NODES; a++) {
      int node = a;
      int[] component =
          IntStream.range(0, NODES).filter(b -> reaches[node][b] && reaches[b][node]).toArray();
      if (component[0] == node) {
        sizes.add(component.length);
      }
    }
    return sizes.stream().mapToInt(size -> size).toArray();
  }
}
