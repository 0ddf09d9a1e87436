package io.github.sparkrlhf.feedback;

import java.io.Serializable;
import java.util.Arrays;

/**
 * The connected components of a graph of links between nodes that are numbers (union–find with path
 * halving; Tarjan and van Leeuwen, 1984). Takes 12 bytes per node and, while it is built, 16 per
 * link: tens of millions of links fit in a heap of a few GiB.
 */
final class LinkedComponents implements Serializable {
  private static final long serialVersionUID = 1L;

  private final long[] nodes;
  private final int[] parents;

  private LinkedComponents(long[] nodes) {
    this.nodes = nodes;
    this.parents = new int[nodes.length];
    Arrays.setAll(parents, i -> i);
  }

  /** Collects links, in any order and with repetitions. */
  static final class Builder {
    private long[] ends = new long[1024];
    private int size;

    void link(long a, long b) {
      if (size == ends.length) {
        ends = Arrays.copyOf(ends, Math.multiplyExact(size, 2));
      }
      ends[size++] = a;
      ends[size++] = b;
    }

    LinkedComponents build() {
      LinkedComponents components = new LinkedComponents(distinct(Arrays.copyOf(ends, size)));
      for (int i = 0; i < size; i += 2) {
        components.union(components.index(ends[i]), components.index(ends[i + 1]));
      }
      return components;
    }

    private static long[] distinct(long[] values) {
      Arrays.sort(values);
      int distinct = 0;
      for (int i = 0; i < values.length; i++) {
        if (i == 0 || values[i] != values[i - 1]) {
          values[distinct++] = values[i];
        }
      }
      return Arrays.copyOf(values, distinct);
    }
  }

  /** The least node of the component in which a node lies; null for a node without a link. */
  Long of(long node) {
    int index = index(node);
    return index < 0 ? null : nodes[root(index)];
  }

  private int index(long node) {
    return Arrays.binarySearch(nodes, node);
  }

  /** The root of a component is its least node. */
  private void union(int a, int b) {
    int rootOfA = halvedRoot(a);
    int rootOfB = halvedRoot(b);
    parents[Math.max(rootOfA, rootOfB)] = Math.min(rootOfA, rootOfB);
  }

  private int halvedRoot(int index) {
    int node = index;
    while (parents[node] != node) {
      parents[node] = parents[parents[node]];
      node = parents[node];
    }
    return node;
  }

  // Tasks of an executor ask at the same time: nothing may be written.
  private int root(int index) {
    int node = index;
    while (parents[node] != node) {
      node = parents[node];
    }
    return node;
  }
}
