package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SplitsTest {
  @Test
  void sharesAreKeptOverManyGroups() {
    Splits splits = Splits.parse("0.7,0.2,0.1", 3);
    Map<String, Long> counts =
        IntStream.range(0, 20_000)
            .mapToObj(i -> splits.of("group " + i))
            .collect(Collectors.groupingBy(s -> s, Collectors.counting()));
    assertThat(counts.get("train") / 20_000.0).isCloseTo(0.7, Offset.offset(0.01));
    assertThat(counts.get("validation") / 20_000.0).isCloseTo(0.2, Offset.offset(0.01));
    assertThat(counts.get("test") / 20_000.0).isCloseTo(0.1, Offset.offset(0.01));
  }

  @Test
  void aGroupStaysWhereItIsForASeedAndMovesWithAnother() {
    Splits first = Splits.parse("0.5,0.25,0.25", 1);
    Splits second = Splits.parse("0.5,0.25,0.25", 2);
    assertThat(IntStream.range(0, 100).mapToObj(i -> first.of("g" + i)))
        .containsExactlyElementsOf(
            IntStream.range(0, 100).mapToObj(i -> first.of("g" + i)).toList())
        .isNotEqualTo(IntStream.range(0, 100).mapToObj(i -> second.of("g" + i)).toList());
  }

  @Test
  void aSplitWithoutShareStaysEmpty() {
    assertThat(IntStream.range(0, 1000).mapToObj(i -> Splits.parse("1,0,0", 0).of("g" + i)))
        .containsOnly("train");
    assertThat(IntStream.range(0, 1000).mapToObj(i -> Splits.parse("0.5,0,0.5", 0).of("g" + i)))
        .containsOnly("train", "test");
    assertThat(IntStream.range(0, 1000).mapToObj(i -> Splits.parse("0,1,0", 0).of("g" + i)))
        .containsOnly("validation");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "0.8", "0.8,0.2", "0.8,0.1,0.2", "1.2,-0.1,-0.1", "a,b,c", "NaN,0,1"})
  void sharesThatAreNoneAreRefused(String shares) {
    assertThatThrownBy(() -> Splits.parse(shares, 0))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot split by --split-shares " + shares + ": ");
  }
}
