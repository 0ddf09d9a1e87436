package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How scores of reward models become what a response is worth: scaled, clipped, held against
 * responses without an end, and shaped by length.
 *
 * @param scaling what is done to scores first
 * @param clip bound of scaled scores, [−clip, clip]; infinite for none
 * @param missingStop what becomes of the score of a response without stop token
 * @param missingStopScore what is subtracted, or what it is replaced by
 * @param overlongTokens tokens before the longest response over which the overlong penalty rises
 *     from 0; 0 for none
 * @param overlongPenalty subtracted from the longest response (DAPO, Yu et al., 2025, equation 13)
 */
public record ScoreSettings(
    Scaling scaling,
    double clip,
    MissingStop missingStop,
    double missingStopScore,
    int overlongTokens,
    double overlongPenalty)
    implements Serializable {

  /** What is done to scores before they become rewards. */
  public enum Scaling {
    /** Nothing. */
    NONE,
    /** The mean score of the first responses, which are the reference policy's, is subtracted. */
    SHIFT,
    /** Shifted, and divided by the standard deviation of the same scores. */
    STANDARDIZE
  }

  /** What becomes of the score of a response without stop token. */
  public enum MissingStop {
    /** A constant is subtracted from it. */
    SUBTRACT,
    /** A constant replaces it. */
    REPLACE
  }

  /** Checks the ranges. */
  public ScoreSettings {
    if (!(clip > 0)) {
      throw JobFailure.usage("Cannot clip scores to ±" + clip);
    }
    if (!Double.isFinite(missingStopScore)) {
      throw JobFailure.usage("Cannot score a response without end by " + missingStopScore);
    }
    if (overlongTokens < 0 || !(overlongPenalty >= 0 && Double.isFinite(overlongPenalty))) {
      throw JobFailure.usage(
          "Cannot subtract " + overlongPenalty + " over the last " + overlongTokens + " tokens");
    }
  }

  /** Scores that are scaled, and lower for responses without an end; nothing else. */
  public static ScoreSettings of(Scaling scaling, double missingStopPenalty) {
    return new ScoreSettings(
        scaling, Double.POSITIVE_INFINITY, MissingStop.SUBTRACT, missingStopPenalty, 0, 0);
  }

  /**
   * What a response is worth.
   *
   * @param scaled its scaled score
   * @param stopped whether it ends with a stop token
   * @param length its tokens, the stop token included
   * @param maxNewTokens the most there can be
   */
  double score(double scaled, boolean stopped, int length, int maxNewTokens) {
    double score = Math.max(-clip, Math.min(clip, scaled));
    if (!stopped) {
      score = missingStop == MissingStop.REPLACE ? missingStopScore : score - missingStopScore;
    }
    int over = length - (maxNewTokens - overlongTokens);
    return over > 0 ? score - overlongPenalty * over / overlongTokens : score;
  }
}
