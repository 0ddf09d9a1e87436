package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDManager;
import java.util.List;
import org.junit.jupiter.api.Test;

class ListwiseObjectiveTest {
  private static RankingExample ranking(int... groups) {
    return new RankingExample("r", new int[groups.length][1], groups);
  }

  private static double loss(List<RankingExample> rankings, float... scores) {
    try (NDManager manager = NDManager.newBaseManager()) {
      return ListwiseObjective.loss(manager, rankings, manager.create(scores)).getFloat();
    }
  }

  @Test
  void isTheProbabilityOfDrawingTheRankingOneByOne() {
    // exp of the scores: 4, 1, 3; the ranking is 4/8 times 1/4.
    float[] scores = {(float) Math.log(4), 0, (float) Math.log(3)};

    assertThat(loss(List.of(ranking(0, 1, 2)), scores)).isCloseTo(Math.log(8), within(1e-6));
  }

  @Test
  void ofTwoResponsesIsThatOfAPair() {
    assertThat(loss(List.of(ranking(0, 1)), 1.5f, 0.25f))
        .isCloseTo(Math.log1p(Math.exp(-1.25)), within(1e-6));
  }

  @Test
  void drawsEqualsFromAllThatAreNotBetter() {
    // 1/2 for the best, then both of the others from their two: 1/4 and 3/4.
    float[] scores = {(float) Math.log(4), 0, (float) Math.log(3)};

    assertThat(loss(List.of(ranking(0, 1, 1)), scores))
        .isCloseTo(-Math.log(0.5 * 0.25 * 0.75), within(1e-6));
  }

  @Test
  void ofSeveralRankingsIsTheSumWhateverTheirLengths() {
    float[] all = {0.3f, -1, 2, 0.7f, 0.1f, 1};

    double together = loss(List.of(ranking(0, 1), ranking(0, 1, 2, 3)), all);

    assertThat(together)
        .isCloseTo(
            loss(List.of(ranking(0, 1)), 0.3f, -1)
                + loss(List.of(ranking(0, 1, 2, 3)), 2, 0.7f, 0.1f, 1),
            within(1e-5));
  }
}
