package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class SplitProofTest {
  private static final Splits SPLITS = Splits.parse("0.5,0.25,0.25", 0);

  @Test
  void cleanSplitsShareNothingAndEmptyOnesAreCounted() {
    List<String> table =
        table(
            comparisons("p,g,train,1,a", "p,g,train,1,b", "q,g,train,2,c", "r,h,test,3,d"),
            pairs("1,p,train", "2,q,train", "3,r,test"),
            duplicates("near,p,q"));
    assertThat(table)
        .containsExactly(
            "test|0.25|1|1|1|1|0|0|0|0",
            "train|0.5|1|2|2|3|0|0|0|0",
            "validation|0.25|0|0|0|0|0|0|0|0");
  }

  @Test
  void everyPlantedLeakIsCountedInEachSplitThatHasIt() {
    Dataset<Row> comparisons =
        comparisons(
            // Group g, prompt p in another spelling, and pair 1 lie in train and test.
            "p one,g,train,1,a",
            "P one!,g,test,1,b",
            // Group h in all three.
            "q,h,train,2,c",
            "r,h,validation,3,d",
            "s,h,test,4,e");
    // Pair 4 and with it prompt s lie in validation, their comparison in test.
    Dataset<Row> pairs = pairs("1,p one,train", "2,q,train", "3,r,validation", "4,s,validation");
    // q is in train, r in validation; both spellings of p are in train and test.
    Dataset<Row> duplicates =
        duplicates("near,q,r", "near,P one!,q", "exact,P one!,p one", "near,q,unknown");
    assertThat(table(comparisons, pairs, duplicates))
        .containsExactly(
            "test|0.25|2|2|0|2|2|2|1|2",
            "train|0.5|2|2|2|2|2|1|2|1",
            "validation|0.25|1|2|2|1|1|1|1|1");
  }

  @Test
  void theColumnsAreThoseOfTheTable() {
    Dataset<Row> table = SplitProof.table(comparisons(), pairs(), SPLITS, duplicates());
    assertThat(table.columns()).isEqualTo(Table.SPLITS.schemaWithoutRun().fieldNames());
    assertThat(Arrays.stream(table.schema().fields()).map(f -> f.dataType()).toList())
        .isEqualTo(
            Arrays.stream(Table.SPLITS.schemaWithoutRun().fields())
                .map(f -> f.dataType())
                .toList());
  }

  private static List<String> table(
      Dataset<Row> comparisons, Dataset<Row> pairs, Dataset<Row> duplicates) {
    return SplitProof.table(comparisons, pairs, SPLITS, duplicates).collectAsList().stream()
        .map(row -> row.mkString("|"))
        .sorted()
        .toList();
  }

  private static Dataset<Row> comparisons(String... rows) {
    return rows(
        "prompt STRING, group_key STRING, split STRING, pair_id STRING, feedback_id STRING", rows);
  }

  private static Dataset<Row> pairs(String... rows) {
    return rows("pair_id STRING, prompt STRING, split STRING", rows);
  }

  private static Dataset<Row> duplicates(String... rows) {
    return rows("kind STRING, prompt_a STRING, prompt_b STRING", rows);
  }

  private static Dataset<Row> rows(String schema, String... rows) {
    List<Row> values =
        Arrays.stream(rows).map(row -> RowFactory.create((Object[]) row.split(","))).toList();
    return SparkTestSession.get().createDataFrame(values, StructType.fromDDL(schema));
  }
}
