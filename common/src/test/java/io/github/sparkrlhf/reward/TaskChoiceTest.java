package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.reward.TaskChoice.Chosen;
import io.github.sparkrlhf.reward.TaskChoice.Rule;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class TaskChoiceTest {
  private static final LabellingTask AGREED = task("1", "red", "apple", "pear", 3, 3);
  private static final LabellingTask CLOSE = task("2", "green", "leaf", "grass", 0.01, -0.01);
  private static final LabellingTask DISPUTED = task("3", "blue", "sky", "sea", 4, -4.5);

  @Test
  void disagreementIsWhatALabelTellsAboutTheModels() {
    // Two models that are certain of opposite answers: one bit, which is ln 2 nats.
    assertThat(task("1", "p", "a", "b", 50, -50).disagreement())
        .isCloseTo(Math.log(2), within(1e-9));
    assertThat(AGREED.disagreement()).isCloseTo(0, within(1e-12));
    assertThat(AGREED.probability()).isCloseTo(1 / (1 + Math.exp(-3)), within(1e-12));
  }

  @Test
  void eachRuleLikesSomethingElse() {
    List<LabellingTask> all = List.of(AGREED, CLOSE, DISPUTED);
    assertThat(ids(TaskChoice.choose(all, Rule.DISAGREEMENT, 1, 0))).containsExactly("3");
    assertThat(ids(TaskChoice.choose(all, Rule.MARGIN, 1, 0))).containsExactly("2");
    assertThat(ids(TaskChoice.choose(all, Rule.RANDOM, 3, 0)))
        .containsExactlyInAnyOrder("1", "2", "3");
    assertThat(ids(TaskChoice.choose(all, Rule.DISAGREEMENT, 9, 0))).hasSize(3);
  }

  @Test
  void onePairOfAPromptAndWhatIsLikeAnotherComesLast() {
    LabellingTask same = task("4", "blue", "sky", "sun", 4, -4.4);
    LabellingTask alike = task("5", "blue sky sea", "sky", "sea", 4, -4.4);
    LabellingTask weaker = task("6", "iron", "nail", "rust", 2, -2);
    List<Chosen> chosen =
        TaskChoice.choose(List.of(DISPUTED, same, alike, weaker), Rule.DISAGREEMENT, 3, 0);
    assertThat(ids(chosen)).containsExactly("3", "6", "5");
    assertThat(chosen.get(0).similarity()).isZero();
    assertThat(chosen.get(2).similarity()).isEqualTo(1);
  }

  @Property
  void theOrderOfTheCandidatesChangesNothing(
      @ForAll @Size(min = 1, max = 12) List<@DoubleRange(min = -5, max = 5) Double> margins,
      @ForAll Rule rule) {
    List<LabellingTask> tasks = new ArrayList<>();
    for (int i = 0; i < margins.size(); i++) {
      tasks.add(task("t" + i, "p" + i % 5, "a" + i % 3, "b" + i, margins.get(i), -1));
    }
    List<LabellingTask> turned = new ArrayList<>(tasks);
    Collections.reverse(turned);
    assertThat(TaskChoice.choose(turned, rule, 3, 7))
        .isEqualTo(TaskChoice.choose(tasks, rule, 3, 7));
  }

  @Test
  void nothingToChooseFromIsAFailure() {
    assertThatThrownBy(() -> TaskChoice.choose(List.of(), Rule.MARGIN, 1, 0))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("Cannot choose what to label");
  }

  private static LabellingTask task(
      String id, String prompt, String a, String b, double... margins) {
    return TaskChoice.task(id, prompt, a, b, margins);
  }

  private static List<String> ids(List<Chosen> chosen) {
    return chosen.stream().map(each -> each.task().id()).toList();
  }
}
