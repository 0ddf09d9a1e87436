package io.github.sparkrlhf.feedback;

import static java.util.stream.Collectors.toMap;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class PromptGroupsTest {
  private static final StructType SCHEMA = StructType.fromDDL("prompt STRING, group_key STRING");
  private static final String LONG =
      "Please explain to me in simple words how the central bank of a country decides whether"
          + " interest rates should go up or down";

  @Test
  void editsOfAPromptAreTheSameGroup() {
    List<String> prompts =
        List.of(
            LONG,
            LONG.toUpperCase(Locale.ROOT) + "?!",
            LONG.replace("simple", "sim\u200bple"),
            LONG.replace("simple", "plain"),
            "How do I fix the screen of my phone?",
            "How do I fix the screen of my laptop?",
            "Why?");
    Result result = result(rows(prompts, prompts), 0.8);
    assertThat(result.renamed.values()).containsOnly(LONG.toUpperCase(Locale.ROOT) + "?!");
    assertThat(result.renamed.keySet())
        .containsExactlyInAnyOrder(LONG, prompts.get(2), prompts.get(3));
    double similarity =
        Shingles.jaccard(NormalizedText.loose(LONG), NormalizedText.loose(prompts.get(3)));
    assertThat(similarity).isBetween(0.8, 1.0);
    String name = prompts.get(1);
    assertThat(result.duplicates)
        .containsExactlyInAnyOrder(
            "exact|" + name + "|" + LONG + "|1.0|" + name,
            "exact|" + name + "|" + prompts.get(2) + "|1.0|" + name,
            "near|" + name + "|" + prompts.get(3) + "|" + similarity + "|" + name);
  }

  @Test
  void withoutAThresholdOnlySpellingsCount() {
    List<String> prompts = List.of(LONG, LONG.replace("simple", "plain"), LONG + ".");
    Result result = result(rows(prompts, List.of("c", "b", "a")), 0);
    assertThat(result.renamed).isEqualTo(Map.of("c", "a"));
    assertThat(result.duplicates).containsExactly("exact|" + LONG + "|" + LONG + ".|1.0|a");
  }

  @Test
  void aGroupNamedLikeAPromptIsNotThatPrompt() {
    Result result = result(rows(List.of("one", "two"), List.of("two", "one")), 0.8);
    assertThat(result.renamed).isEmpty();
    assertThat(result.duplicates).isEmpty();
  }

  @Test
  void aChainOfLinksIsOneComponentThatLiesInOneSplit() {
    List<String> prompts = new ArrayList<>();
    List<String> groups = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      // Group i shares a prompt with group i + 1.
      prompts.addAll(List.of("prompt " + i, "Prompt " + (i + 1) + "!"));
      groups.addAll(List.of("group " + i, "group " + i));
    }
    Result result = result(rows(prompts, groups), 0);
    assertThat(result.renamed).hasSize(299).doesNotContainKey("group 0");
    assertThat(result.renamed.values()).containsOnly("group 0");
    Splits splits = Splits.parse("0.4,0.3,0.3", 1);
    assertThat(groups.stream().map(g -> splits.of(result.renamed.getOrDefault(g, g))).distinct())
        .hasSize(1);
    assertThat(groups.stream().map(splits::of).distinct()).hasSize(3);
  }

  @Property(tries = 3, shrinking = ShrinkingMode.OFF)
  void componentsAreThoseOfAPlainSearchWhateverTheOrder(
      @ForAll @Size(min = 10, max = 25) List<@IntRange(max = 399) Integer> cells,
      @ForAll long order,
      @ForAll @IntRange(min = 1, max = 4) int partitions) {
    List<Row> rows = new ArrayList<>();
    for (int cell : cells) {
      String spelling = cell % 2 == 0 ? "Prompt " : "prompt  ";
      rows.add(RowFactory.create(spelling + cell % 20 / 2, "group " + cell / 20));
    }
    Result expected = result(dataset(rows), 0.8);
    assertThat(expected.renamed).isEqualTo(plainSearch(rows));
    List<Row> shuffled = new ArrayList<>(rows);
    shuffled.addAll(rows.subList(0, rows.size() / 2));
    Collections.shuffle(shuffled, new Random(order));
    assertThat(result(dataset(shuffled).repartition(partitions), 0.8)).isEqualTo(expected);
  }

  @Test
  void theColumnsAreThoseOfTheTable() {
    try (PromptGroups groups = PromptGroups.of(rows(List.of("p"), List.of("g")), 0.8)) {
      assertThat(groups.duplicates().columns())
          .isEqualTo(Table.DUPLICATES.schemaWithoutRun().fieldNames());
    }
  }

  @Test
  void aThresholdOutsideZeroToOneIsRefused() {
    Dataset<Row> rows = rows(List.of("p"), List.of("g"));
    for (double threshold : new double[] {-0.1, 1.1, Double.NaN}) {
      assertThatThrownBy(() -> PromptGroups.of(rows, threshold))
          .isInstanceOf(JobFailure.class)
          .hasMessageContaining("between 0 and 1");
    }
  }

  private record Result(Map<String, String> renamed, List<String> duplicates) {}

  private static Result result(Dataset<Row> rows, double threshold) {
    try (PromptGroups groups = PromptGroups.of(rows, threshold)) {
      Map<String, String> renamed =
          groups.renamed().collectAsList().stream()
              .collect(toMap(r -> r.getString(0), r -> r.getString(1)));
      List<String> duplicates =
          groups.duplicates().collectAsList().stream().map(r -> r.mkString("|")).sorted().toList();
      return new Result(renamed, duplicates);
    }
  }

  /** The groups that change their name, by merging sets of groups until none has a common text. */
  private static Map<String, String> plainSearch(List<Row> rows) {
    Map<String, String> names = new TreeMap<>();
    rows.forEach(row -> names.put(row.getString(1), row.getString(1)));
    for (boolean changed = true; changed; ) {
      changed = false;
      for (Row a : rows) {
        for (Row b : rows) {
          String nameOfA = names.get(a.getString(1));
          boolean same =
              NormalizedText.loose(a.getString(0)).equals(NormalizedText.loose(b.getString(0)));
          if (same && nameOfA.compareTo(names.get(b.getString(1))) < 0) {
            names.put(b.getString(1), nameOfA);
            changed = true;
          }
        }
      }
    }
    names.entrySet().removeIf(entry -> entry.getKey().equals(entry.getValue()));
    return names;
  }

  private static Dataset<Row> rows(List<String> prompts, List<String> groups) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      rows.add(RowFactory.create(prompts.get(i), groups.get(i)));
    }
    return dataset(rows);
  }

  private static Dataset<Row> dataset(List<Row> rows) {
    return SparkTestSession.get().createDataFrame(rows, SCHEMA);
  }
}
