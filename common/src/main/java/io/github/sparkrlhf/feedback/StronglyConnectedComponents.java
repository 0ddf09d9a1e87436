package io.github.sparkrlhf.feedback;

import java.util.Arrays;

/**
 * The strongly connected components of a directed graph (Tarjan, 1972), without recursion: a graph
 * may be a chain of any length.
 */
final class StronglyConnectedComponents {
  private static final int NONE = -1;

  /** The edges of node v lead to {@code target[start[v]]} to {@code target[start[v + 1] - 1]}. */
  private final int[] start;

  private final int[] target;
  private final int[] component;

  /** When a node was reached. */
  private final int[] reached;

  /** The earliest node on the stack that a node leads back to. */
  private final int[] low;

  private final int[] stack;
  private int stacked;
  private int components;
  private int clock;

  private StronglyConnectedComponents(int nodes, int[] from, int[] to) {
    this.start = new int[nodes + 1];
    this.target = new int[to.length];
    this.component = filled(nodes);
    this.reached = filled(nodes);
    this.low = new int[nodes];
    this.stack = new int[nodes];
    for (int node : from) {
      start[node + 1]++;
    }
    for (int node = 0; node < nodes; node++) {
      start[node + 1] += start[node];
    }
    int[] next = Arrays.copyOf(start, nodes);
    for (int edge = 0; edge < from.length; edge++) {
      target[next[from[edge]]++] = to[edge];
    }
  }

  /**
   * The sizes of the components.
   *
   * @param nodes the number of nodes
   * @param from {@code [edges]}, where each edge starts, from 0 to nodes − 1
   * @param to {@code [edges]}, where it ends
   * @return one size for each component, in no particular order; they sum to {@code nodes}
   */
  static int[] sizes(int nodes, int[] from, int[] to) {
    StronglyConnectedComponents graph = new StronglyConnectedComponents(nodes, from, to);
    int[] path = new int[nodes];
    int[] next = Arrays.copyOf(graph.start, nodes);
    for (int root = 0; root < nodes; root++) {
      if (graph.reached[root] == NONE) {
        graph.visit(root, path, next);
      }
    }
    int[] sizes = new int[graph.components];
    for (int component : graph.component) {
      sizes[component]++;
    }
    return sizes;
  }

  /**
   * Visits all that the root leads to.
   *
   * @param path where the nodes between root and current node are kept
   * @param next the next edge of each node to follow
   */
  private void visit(int root, int[] path, int[] next) {
    int depth = 0;
    path[0] = root;
    reach(root);
    while (depth >= 0) {
      int node = path[depth];
      if (next[node] < start[node + 1]) {
        int neighbour = target[next[node]++];
        if (reached[neighbour] == NONE) {
          reach(neighbour);
          path[++depth] = neighbour;
        } else if (component[neighbour] == NONE) {
          low[node] = Math.min(low[node], reached[neighbour]);
        }
      } else {
        if (low[node] == reached[node]) {
          close(node);
        }
        depth--;
        if (depth >= 0) {
          low[path[depth]] = Math.min(low[path[depth]], low[node]);
        }
      }
    }
  }

  private void reach(int node) {
    reached[node] = clock;
    low[node] = clock;
    clock++;
    stack[stacked++] = node;
  }

  /** Takes the component whose first node it is from the stack. */
  private void close(int node) {
    int member;
    do {
      member = stack[--stacked];
      component[member] = components;
    } while (member != node);
    components++;
  }

  private static int[] filled(int size) {
    int[] array = new int[size];
    Arrays.fill(array, NONE);
    return array;
  }
}
