package io.github.sparkrlhf.reward;

import java.io.Serializable;

/**
 * What the loss of a pair is made of, see {@link PairwiseObjective}.
 *
 * @param marginScale what the pairs' margins are multiplied by to give the margin of the loss; 0
 *     for a loss without margin
 * @param centering c in the term c·(s_c + s_r)², which pulls the scores of a pair towards 0
 *     (Eisenstein et al., 2023); 0 for none
 * @param ties how probable ties are; null to take them for half a vote for each response
 */
public record PairwiseSettings(double marginScale, double centering, TieModel ties)
    implements Serializable {
  /** Neither margin nor centering, and ties are half a vote for each response. */
  public static final PairwiseSettings PLAIN = new PairwiseSettings(0, 0, null);
}
