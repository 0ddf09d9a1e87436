package io.github.sparkrlhf.ppo;

/**
 * How much better an action was than expected, from rewards and values or from the scores of
 * several responses to one prompt. Rows are responses; a row may be padded beyond its length, and
 * what is returned is 0 there.
 */
public final class Advantages {
  /** What {@code trl} adds to a standard deviation before dividing by it. */
  private static final double EPSILON = 1e-4;

  /**
   * Advantages and returns of one batch.
   *
   * @param advantages A_t, [rows][tokens]
   * @param returns R_t = A_t + V_t, what the value function is fitted to, [rows][tokens]
   */
  public record Gae(float[][] advantages, float[][] returns) {}

  /** What GRPO divides the centred score by. */
  public enum Scale {
    /** The standard deviation within the prompt's group (Shao et al., 2024). */
    GROUP,
    /** The standard deviation over all groups of the batch. */
    BATCH,
    /** Nothing, so that easy and hard prompts weigh the same (Dr. GRPO, Liu et al., 2025). */
    NONE
  }

  private Advantages() {}

  /**
   * Generalised advantage estimation (Schulman et al., 2016, equation 16): δ_t = r_t + γV_{t+1} −
   * V_t with V_{T+1} = 0, A_t = δ_t + γλA_{t+1}.
   *
   * @param rewards r_t, [rows][tokens]
   * @param values V_t, the critic before token t, [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @param gamma the discount γ
   * @param lambda the trade-off λ between bias (0) and variance (1)
   */
  public static Gae gae(
      float[][] rewards, float[][] values, int[] lengths, double gamma, double lambda) {
    float[][] advantages = new float[rewards.length][];
    float[][] returns = new float[rewards.length][];
    for (int row = 0; row < rewards.length; row++) {
      advantages[row] = new float[rewards[row].length];
      returns[row] = new float[rewards[row].length];
      double nextValue = 0;
      double advantage = 0;
      for (int t = lengths[row] - 1; t >= 0; t--) {
        double value = values[row][t];
        double delta = rewards[row][t] + gamma * nextValue - value;
        advantage = delta + gamma * lambda * advantage;
        advantages[row][t] = (float) advantage;
        returns[row][t] = (float) (advantage + value);
        nextValue = value;
      }
    }
    return new Gae(advantages, returns);
  }

  /**
   * Discounted sums of the rewards from each token on, the advantages of REINFORCE++ (Hu, 2025)
   * before they are whitened over the batch.
   *
   * @param rewards r_t, [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @return [rows][tokens]
   */
  public static float[][] discountedReturns(float[][] rewards, int[] lengths, double gamma) {
    float[][] returns = new float[rewards.length][];
    for (int row = 0; row < rewards.length; row++) {
      returns[row] = new float[rewards[row].length];
      double sum = 0;
      for (int t = lengths[row] - 1; t >= 0; t--) {
        sum = rewards[row][t] + gamma * sum;
        returns[row][t] = (float) sum;
      }
    }
    return returns;
  }

  /**
   * REINFORCE leave-one-out (Ahmadian et al., 2024): the score minus the mean score of the other
   * responses to the prompt.
   *
   * @param scores [prompts × groupSize], the responses to a prompt side by side
   * @param groupSize responses to a prompt, at least 2
   * @return one advantage for each response
   */
  public static double[] rloo(double[] scores, int groupSize) {
    requireGroups(scores, groupSize);
    double[] advantages = new double[scores.length];
    for (int first = 0; first < scores.length; first += groupSize) {
      double mean = mean(scores, first, groupSize);
      for (int i = first; i < first + groupSize; i++) {
        // s − (sum − s)/(k − 1), written so that equal scores give exactly 0.
        advantages[i] = (scores[i] - mean) * groupSize / (groupSize - 1);
      }
    }
    return advantages;
  }

  /**
   * Group-relative advantages (Shao et al., 2024, section 4.1.2): the score minus the mean of its
   * group, divided by a standard deviation (unbiased) + 1e-4.
   *
   * @param scores [prompts × groupSize], the responses to a prompt side by side
   * @param groupSize responses to a prompt, at least 2
   * @return one advantage for each response
   */
  public static double[] grpo(double[] scores, int groupSize, Scale scale) {
    requireGroups(scores, groupSize);
    double batchDeviation = standardDeviation(scores, 0, scores.length);
    double[] advantages = new double[scores.length];
    for (int first = 0; first < scores.length; first += groupSize) {
      double mean = mean(scores, first, groupSize);
      double divisor =
          switch (scale) {
            case GROUP -> standardDeviation(scores, first, groupSize) + EPSILON;
            case BATCH -> batchDeviation + EPSILON;
            case NONE -> 1;
          };
      for (int i = first; i < first + groupSize; i++) {
        advantages[i] = (scores[i] - mean) / divisor;
      }
    }
    return advantages;
  }

  private static void requireGroups(double[] scores, int groupSize) {
    if (groupSize < 2 || scores.length % groupSize != 0) {
      throw new IllegalArgumentException(
          scores.length + " scores do not form groups of " + groupSize + ", at least 2");
    }
  }

  /** Relative to the first number, so that the mean of equal numbers is that number exactly. */
  private static double mean(double[] numbers, int offset, int length) {
    double sum = 0;
    for (int i = offset; i < offset + length; i++) {
      sum += numbers[i] - numbers[offset];
    }
    return numbers[offset] + sum / length;
  }

  private static double standardDeviation(double[] numbers, int offset, int length) {
    double mean = mean(numbers, offset, length);
    double squares = 0;
    for (int i = offset; i < offset + length; i++) {
      squares += (numbers[i] - mean) * (numbers[i] - mean);
    }
    return Math.sqrt(squares / (length - 1));
  }
}
