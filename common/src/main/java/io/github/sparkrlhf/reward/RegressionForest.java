package io.github.sparkrlhf.reward;

import java.io.Serializable;
import java.util.List;
import org.apache.spark.ml.regression.DecisionTreeRegressionModel;
import org.apache.spark.ml.tree.ContinuousSplit;
import org.apache.spark.ml.tree.InternalNode;
import org.apache.spark.ml.tree.Node;

/**
 * Regression trees in arrays; a prediction is the sum of the values of the leaves that the features
 * reach. A node stands before its left child, and that before the right one.
 *
 * @param roots the root of each tree
 * @param feature the feature that each node looks at; −1 for a leaf
 * @param threshold a feature not above it goes left
 * @param skip how far behind the node its right child stands
 * @param value of a leaf, already weighted with its tree
 */
record RegressionForest(int[] roots, int[] feature, float[] threshold, int[] skip, float[] value)
    implements Serializable {
  private static final int LEAF = -1;

  /**
   * What MLlib fitted on features in single precision, as arrays.
   *
   * @param weights what the prediction of each tree counts
   */
  static RegressionForest of(List<DecisionTreeRegressionModel> trees, double[] weights) {
    int nodes = trees.stream().mapToInt(DecisionTreeRegressionModel::numNodes).sum();
    RegressionForest forest =
        new RegressionForest(
            new int[trees.size()],
            new int[nodes],
            new float[nodes],
            new int[nodes],
            new float[nodes]);
    int next = 0;
    for (int tree = 0; tree < trees.size(); tree++) {
      forest.roots[tree] = next;
      next = forest.put(trees.get(tree).rootNode(), next, weights[tree]);
    }
    return forest;
  }

  /** Writes a node and all below it; returns where the next one goes. */
  private int put(Node node, int place, double weight) {
    if (node instanceof InternalNode inner && inner.split() instanceof ContinuousSplit split) {
      feature[place] = split.featureIndex();
      threshold[place] = notAbove(split.threshold());
      int right = put(inner.leftChild(), place + 1, weight);
      skip[place] = right - place;
      return put(inner.rightChild(), right, weight);
    }
    feature[place] = LEAF;
    value[place] = (float) (weight * node.prediction());
    return place + 1;
  }

  /**
   * The greatest number in single precision that is not above: for a feature in single precision,
   * being at most the one or the other is the same.
   */
  static float notAbove(double threshold) {
    float nearest = (float) threshold;
    return nearest > threshold ? Math.nextDown(nearest) : nearest;
  }

  double predict(float[] features) {
    double sum = 0;
    for (int root : roots) {
      int node = root;
      while (feature[node] != LEAF) {
        node += features[feature[node]] <= threshold[node] ? 1 : skip[node];
      }
      sum += value[node];
    }
    return sum;
  }

  /**
   * Whether every walk ends in a leaf and within the arrays, for vectors of {@code size} features:
   * whoever wrote the arrays.
   */
  boolean isSound(int size) {
    int nodes = feature.length;
    for (int root : roots) {
      if (root < 0 || root >= nodes) {
        return false;
      }
    }
    for (int node = 0; node < nodes; node++) {
      boolean leaf = feature[node] == LEAF;
      boolean inner =
          feature[node] >= 0 && feature[node] < size && skip[node] > 1 && skip[node] < nodes - node;
      if (!Float.isFinite(value[node]) || !(leaf || inner)) {
        return false;
      }
    }
    return true;
  }
}
