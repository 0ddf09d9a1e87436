package io.github.sparkrlhf.ppo;

import static java.util.stream.Collectors.toSet;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.TransformerConfig;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The page about PPO names a test for each detail that makes it right, and the test is there. */
class PpoDetailsTest {
  static final Path PAGE = Path.of("../docs/ppo.md");

  private static final Pattern ROW = Pattern.compile("\\| (\\d+) \\|.*\\|([^|]*)\\|");
  private static final Pattern TEST = Pattern.compile("`(\\w+\\.\\w+)\\.(\\w+)`");

  @Test
  void everyDetailOnThePageHasATestThatExists() throws IOException, ClassNotFoundException {
    Map<Integer, Integer> tests = new TreeMap<>();
    for (String line : Files.readAllLines(PAGE)) {
      Matcher row = ROW.matcher(line);
      if (row.matches()) {
        Matcher named = TEST.matcher(row.group(2));
        while (named.find()) {
          assertThat(isTest(named.group(1), named.group(2))).as(named.group()).isTrue();
          tests.merge(Integer.valueOf(row.group(1)), 1, Integer::sum);
        }
      }
    }
    assertThat(tests.keySet()).isEqualTo(IntStream.rangeClosed(1, 25).boxed().collect(toSet()));
  }

  private static boolean isTest(String type, String name) throws ClassNotFoundException {
    List<Method> methods =
        Arrays.stream(Class.forName("io.github.sparkrlhf." + type).getDeclaredMethods())
            .filter(method -> method.getName().equals(name))
            .toList();
    return methods.stream().anyMatch(method -> method.getAnnotations().length > 0);
  }

  @Test
  void item23TheWeightsOfANewHeadHaveADeviationOfOneOverTheRootOfItsInputsAndOne() {
    TransformerConfig config =
        TransformerConfig.llama(259, 32, 48, 1, 4, 64)
            .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    int offset = config.layout().parameter("score.weight").offset();
    double squares = 0;
    int count = 0;
    for (int seed = 0; seed < 60; seed++) {
      float[] weights = config.layout().initialWeights(seed);
      assertThat(weights).hasSize(offset + 32);
      for (int i = offset; i < weights.length; i++) {
        squares += weights[i] * weights[i];
        count++;
      }
    }
    assertThat(Math.sqrt(squares / count) * Math.sqrt(33)).isCloseTo(1, within(0.05));
  }
}
