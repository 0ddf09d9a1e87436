package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class LanguageModelObjectiveTest {
  private static final LanguageModelObjective OBJECTIVE =
      new LanguageModelObjective(SyntheticRows.CONFIG);
  private static final float[] WEIGHTS = SyntheticRows.CONFIG.layout().initialWeights(3);
  private static final int[] TOKENS = {1, 5, 9, 13, 17, 21, 25, 29};

  @Test
  void theLossIsTheSumOverTheLearnedTokensWhereverTheyStand() {
    TextExample conversation =
        new TextExample(
            "conversation",
            TOKENS,
            new boolean[] {false, false, true, true, false, false, true, true});
    float[] gradient = new float[WEIGHTS.length];
    double[] found =
        OBJECTIVE.compute(WEIGHTS, List.of(conversation, SyntheticRows.of(1, 1).get(0)), gradient);

    // A token is predicted from those before it: the sum of the losses of each one alone.
    double loss = 0;
    float[] sum = new float[WEIGHTS.length];
    List<TextExample> single = new ArrayList<>(List.of(SyntheticRows.of(1, 1).get(0)));
    for (int learned : new int[] {2, 3, 6, 7}) {
      single.add(upTo(learned));
    }
    for (TextExample example : single) {
      float[] part = new float[WEIGHTS.length];
      loss += OBJECTIVE.compute(WEIGHTS, List.of(example), part)[Objective.LOSS];
      for (int i = 0; i < sum.length; i++) {
        sum[i] += part[i];
      }
    }
    int count = 4 + learned(SyntheticRows.of(1, 1).get(0));
    assertThat(found[Objective.COUNT]).isEqualTo(count);
    assertThat(found[Objective.LOSS]).isCloseTo(loss, within(1e-4));
    assertThat(gradient).containsExactly(sum, within(1e-4f));
  }

  @Test
  void anExampleLearnsItsLastTokenAndNotItsFirst() {
    int[] tokens = {1, 2};
    assertThatThrownBy(() -> new TextExample("row", tokens, new boolean[] {true, true}))
        .hasMessage("row must learn its last token, and not its first");
    assertThatThrownBy(() -> new TextExample("row", tokens, new boolean[] {false, false}))
        .hasMessage("row must learn its last token, and not its first");
    assertThatThrownBy(() -> new TextExample("row", tokens, new boolean[] {true}))
        .hasMessage("row has 2 tokens and 1 marks");
  }

  private static TextExample upTo(int learned) {
    int[] tokens = Arrays.copyOf(TOKENS, learned + 1);
    boolean[] marks = new boolean[tokens.length];
    marks[learned] = true;
    return new TextExample("up to " + learned, tokens, marks);
  }

  private static int learned(TextExample example) {
    int learned = 0;
    for (boolean mark : example.learned()) {
      learned += mark ? 1 : 0;
    }
    return learned;
  }
}
