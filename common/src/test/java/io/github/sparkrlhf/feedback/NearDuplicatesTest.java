package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class NearDuplicatesTest {
  private static final StructType SCHEMA = StructType.fromDDL("key BIGINT, text STRING");
  private static final String WORDS =
      "river stone garden window letter music winter bridge candle forest market doctor orange"
          + " pencil silver animal coffee planet button kitchen";

  @Test
  void allPairsAtTheThresholdAreFoundAndNoOthers() {
    List<String> texts = texts();
    Set<String> expected = new TreeSet<>();
    for (int a = 0; a < texts.size(); a++) {
      for (int b = a + 1; b < texts.size(); b++) {
        double similarity = Shingles.jaccard(texts.get(a), texts.get(b));
        if (similarity >= 0.8) {
          expected.add(a + " " + b + " " + similarity);
        }
      }
    }
    assertThat(expected.size()).isBetween(200, 5000);
    assertThat(pairs(rows(texts), 3)).isEqualTo(expected);
  }

  @Test
  void orderPartitionsAndRepetitionsChangeNothing() {
    List<Row> rows = rows(texts());
    Set<String> expected = pairs(rows, 1);
    List<Row> shuffled = new ArrayList<>(rows);
    shuffled.addAll(rows.subList(10, 40));
    Collections.shuffle(shuffled, new Random(3));
    assertThat(pairs(shuffled, 5)).isEqualTo(expected);
  }

  @Test
  void aLargeBucketGivesAStarAndAChainBeyondItsFirstKeys() {
    List<Row> rows = new ArrayList<>();
    IntStream.range(0, 50).forEach(key -> rows.add(RowFactory.create(7L, (long) key)));
    rows.add(RowFactory.create(7L, 49L));
    rows.add(RowFactory.create(8L, 49L));
    rows.add(RowFactory.create(9L, 1L));
    rows.add(RowFactory.create(9L, 3L));
    Set<String> candidates = new HashSet<>();
    new BandBuckets(rows.iterator()).forEachRemaining(row -> candidates.add(row.mkString(" ")));
    assertThat(candidates).hasSize(16 * 15 / 2 + 2 * 34);
    assertThat(candidates).contains("14 15", "0 30", "29 30", "1 3").doesNotContain("28 30");
  }

  /** Sentences of random words, and copies of them with up to four words changed. */
  private static List<String> texts() {
    Random random = new Random(5);
    String[] words = WORDS.split(" ");
    Set<String> texts = new TreeSet<>();
    for (int i = 0; i < 60; i++) {
      List<String> sentence =
          new ArrayList<>(random.ints(24, 0, words.length).mapToObj(w -> words[w]).toList());
      for (int copy = 0; copy < 8; copy++) {
        texts.add(String.join(" ", sentence));
        if (copy % 2 == 0) {
          sentence.set(random.nextInt(24), words[random.nextInt(words.length)]);
        }
        sentence.set(random.nextInt(24), "word" + random.nextInt(1000));
      }
    }
    return List.copyOf(texts);
  }

  private static List<Row> rows(List<String> texts) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < texts.size(); i++) {
      rows.add(RowFactory.create((long) i, texts.get(i)));
    }
    return rows;
  }

  private static Set<String> pairs(List<Row> rows, int partitions) {
    Dataset<Row> texts =
        SparkTestSession.get().createDataFrame(rows, SCHEMA).repartition(partitions);
    try (NearDuplicates near = NearDuplicates.of(texts, 0.8)) {
      List<String> pairs =
          near.pairs().collectAsList().stream().map(row -> row.mkString(" ")).toList();
      assertThat(pairs).doesNotHaveDuplicates();
      return new TreeSet<>(pairs);
    }
  }
}
