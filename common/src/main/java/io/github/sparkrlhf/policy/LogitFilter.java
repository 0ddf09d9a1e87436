package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.Arrays;

/**
 * What is done to logits before a token is drawn, in the order of transformers: repetition penalty,
 * temperature, top-k, top-p, min-p.
 *
 * @param repetitionPenalty above 1 makes tokens less probable that stand in the prompt or response
 *     already (Keskar et al., 2019); 1 does nothing
 * @param topK only this many most probable tokens can be drawn, and those as probable as the last;
 *     0 does nothing
 * @param topP only the fewest most probable tokens that together have this probability can be drawn
 *     (Holtzman et al., 2020); 1 does nothing
 * @param minP only tokens can be drawn that are at least this share as probable as the most
 *     probable one (Nguyen et al., 2024); 0 does nothing
 */
public record LogitFilter(double repetitionPenalty, int topK, double topP, double minP)
    implements Serializable {
  /** Leaves logits alone. */
  public static final LogitFilter NONE = new LogitFilter(1, 0, 1, 0);

  /** Checks the ranges. */
  public LogitFilter {
    require(repetitionPenalty > 0, "repetition penalty " + repetitionPenalty + " is not > 0");
    require(topK >= 0, "top-k " + topK + " is not >= 0");
    require(topP > 0 && topP <= 1, "top-p " + topP + " is not in (0, 1]");
    require(minP >= 0 && minP < 1, "min-p " + minP + " is not in [0, 1)");
  }

  private static void require(boolean holds, String why) {
    if (!holds) {
      throw JobFailure.usage("Cannot sample: " + why);
    }
  }

  /**
   * The logits after penalty, temperature and filters.
   *
   * @param logits {@code [size]}; not changed
   * @param temperature the logits are divided by it; 0 only penalises
   * @param before token ids of prompt and response so far
   * @return {@code [size]}, negative infinity for what cannot be drawn
   */
  float[] apply(float[] logits, double temperature, int[] before) {
    float[] filtered = logits.clone();
    penalise(filtered, before);
    if (temperature == 0) {
      return filtered;
    }
    for (int i = 0; i < filtered.length; i++) {
      filtered[i] = (float) (filtered[i] / temperature);
    }
    keepTopK(filtered);
    keepTopP(filtered);
    keepMinP(filtered);
    return filtered;
  }

  private void penalise(float[] logits, int[] before) {
    if (repetitionPenalty == 1) {
      return;
    }
    for (int token : Arrays.stream(before).distinct().toArray()) {
      double logit = logits[token];
      logits[token] = (float) (logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty);
    }
  }

  private void keepTopK(float[] logits) {
    if (topK == 0 || topK >= logits.length) {
      return;
    }
    float[] sorted = logits.clone();
    Arrays.sort(sorted);
    removeBelow(logits, sorted[sorted.length - topK]);
  }

  private void keepTopP(float[] logits) {
    if (topP == 1) {
      return;
    }
    float[] sorted = logits.clone();
    Arrays.sort(sorted);
    float largest = sorted[sorted.length - 1];
    double total = 0;
    for (float logit : sorted) {
      total += StrictMath.exp((double) logit - largest);
    }
    // From the least probable on: what they have together can go as long as top-p stays.
    double below = 0;
    int first = 0;
    while (first < sorted.length - 1) {
      below += StrictMath.exp((double) sorted[first] - largest) / total;
      if (below > 1 - topP) {
        break;
      }
      first++;
    }
    removeBelow(logits, sorted[first]);
  }

  private void keepMinP(float[] logits) {
    if (minP == 0) {
      return;
    }
    float largest = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      largest = Math.max(largest, logit);
    }
    removeBelow(logits, (float) (largest + StrictMath.log(minP)));
  }

  private static void removeBelow(float[] logits, float least) {
    for (int i = 0; i < logits.length; i++) {
      if (logits[i] < least) {
        logits[i] = Float.NEGATIVE_INFINITY;
      }
    }
  }
}
