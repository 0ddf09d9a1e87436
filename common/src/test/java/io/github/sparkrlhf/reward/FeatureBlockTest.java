package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FeatureBlockTest {
  @Test
  void readsKindsRangesAndWeights() {
    assertThat(FeatureBlock.parse("style*0.3, words:1-3*2,characters:4,crossings,curves"))
        .containsExactly(
            new FeatureBlock(FeatureBlock.Kind.STYLE, 0, 0, 0.3),
            new FeatureBlock(FeatureBlock.Kind.WORDS, 1, 3, 2),
            new FeatureBlock(FeatureBlock.Kind.CHARACTERS, 4, 4, 1),
            new FeatureBlock(FeatureBlock.Kind.CROSSINGS, 16, 16, 1),
            new FeatureBlock(FeatureBlock.Kind.CURVES, 0, 0, 1));
  }

  @Test
  void writesWhatItReads() {
    for (String list :
        List.of(
            FeatureBlock.DEFAULT,
            "readability*0.25,discourse",
            "words:2-2*5.5,curves*2.0",
            "states:64*0.5")) {
      List<FeatureBlock> blocks = FeatureBlock.parse(list);
      String written = String.join(",", blocks.stream().map(FeatureBlock::toString).toList());

      assertThat(FeatureBlock.parse(written)).isEqualTo(blocks);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "smell",
        "words:0-2",
        "words:3-2",
        "words:1-9",
        "style:1-2",
        "states:1-2",
        "crossings:1-2",
        "crossings:2000",
        "style*0",
        "style*-1",
        "style,style*2",
        "words:1-2,"
      })
  void refusesAnythingElse(String list) {
    assertThatThrownBy(() -> FeatureBlock.parse(list))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot use features '");
  }

  @Test
  void statesHaveAsManyNumbersAsTheirModelAndNoOther() {
    FeatureBlock open = FeatureBlock.parse("states*0.5").get(0).withStateSize(16);

    assertThat(open).hasToString("states:16*0.5");
    assertThat(open.names()).hasSize(16);
    assertThatThrownBy(() -> FeatureBlock.parse("states:15").get(0).withStateSize(16))
        .isInstanceOf(JobFailure.class)
        .hasMessage("Cannot use features 'states:15': the states of the model have 16 numbers");
  }
}
