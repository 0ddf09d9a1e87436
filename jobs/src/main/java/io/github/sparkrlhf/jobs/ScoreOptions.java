package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.ScoreSettings;
import java.util.HashSet;
import java.util.Set;
import picocli.CommandLine.Option;

/** How scores of reward models become what a response is worth. */
final class ScoreOptions {
  private static final String PENALTY = "missing-stop-penalty";
  private static final String OVERLONG_PENALTY = "overlong-penalty";

  @Option(
      names = "--score-scaling",
      paramLabel = "HOW",
      defaultValue = "STANDARDIZE",
      description =
          "How scores become rewards: ${COMPLETION-CANDIDATES}, by mean and deviation of the first iteration's scores (default: ${DEFAULT-VALUE}).")
  private ScoreSettings.Scaling scoreScaling;

  @Option(
      names = "--score-clip",
      paramLabel = "SCORE",
      description = "Clip scaled scores to [-SCORE, SCORE] (default: no clip).")
  private Double scoreClip;

  @Option(
      names = "--missing-stop-penalty",
      paramLabel = "SCORE",
      defaultValue = "1.0",
      description =
          "Subtracted from the scaled score of a response that does not end by itself (default: ${DEFAULT-VALUE}).")
  private double missingStopPenalty;

  @Option(
      names = "--missing-stop-score",
      paramLabel = "SCORE",
      description =
          "The scaled score of every response that does not end by itself, instead of a penalty (default: none).")
  private Double missingStopScore;

  @Option(
      names = "--overlong-tokens",
      paramLabel = "TOKENS",
      defaultValue = "0",
      description =
          "Over so many tokens before --max-new-tokens a penalty rises from 0 to --overlong-penalty; 0 for none (default: ${DEFAULT-VALUE}).")
  private int overlongTokens;

  @Option(
      names = "--overlong-penalty",
      paramLabel = "SCORE",
      defaultValue = "1.0",
      description =
          "Subtracted from the scaled score of a response of --max-new-tokens (default: ${DEFAULT-VALUE}).")
  private double overlongPenalty;

  /** Checks the ranges, and that every option given has a meaning. */
  void validate(Given given, int maxNewTokens) {
    if (scoreClip != null) {
      Given.requirePositive("score-clip", scoreClip);
    }
    Given.requireNotNegative(PENALTY, missingStopPenalty);
    if (missingStopScore != null) {
      given.refuse(Set.of(PENALTY), "--missing-stop-score replaces the score");
      Given.require(
          Double.isFinite(missingStopScore),
          "missing-stop-score",
          missingStopScore,
          "a finite number");
    }
    Given.require(
        overlongTokens >= 0 && overlongTokens <= maxNewTokens,
        "overlong-tokens",
        overlongTokens,
        "between 0 and the " + maxNewTokens + " of --max-new-tokens");
    Given.requireNotNegative(OVERLONG_PENALTY, overlongPenalty);
    if (overlongTokens == 0) {
      given.refuse(Set.of(OVERLONG_PENALTY), "without --overlong-tokens there is none");
    }
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity() {
    Set<String> names = new HashSet<>();
    if (missingStopScore != null) {
      names.add(PENALTY);
    }
    if (overlongTokens == 0) {
      names.add(OVERLONG_PENALTY);
    }
    return names;
  }

  ScoreSettings settings() {
    boolean replaced = missingStopScore != null;
    return new ScoreSettings(
        scoreScaling,
        scoreClip == null ? Double.POSITIVE_INFINITY : scoreClip,
        replaced ? ScoreSettings.MissingStop.REPLACE : ScoreSettings.MissingStop.SUBTRACT,
        replaced ? missingStopScore : missingStopPenalty,
        overlongTokens,
        overlongPenalty);
  }
}
