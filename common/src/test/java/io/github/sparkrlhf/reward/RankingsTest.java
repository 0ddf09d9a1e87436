package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class RankingsTest {
  @Test
  void orderResponsesByWhatTheyBeatWithEqualsTogether() {
    List<Row> comparisons =
        List.of(
            comparison("ranking", "best", "worst", "a"),
            comparison("ranking", "middle", "best", "b"),
            comparison("ranking", "worst", "middle", "b"),
            comparison("ranking", "second", "best", "b"),
            comparison("ranking", "second", "middle", "tie"),
            comparison("ranking", "second", "worst", "a"),
            comparison("comparison", "best", "other", "b"));

    List<Row> rankings =
        Rankings.of(
                SparkTestSession.get()
                    .createDataFrame(
                        comparisons,
                        StructType.fromDDL(
                            "source STRING, original_id STRING, kind STRING, prompt STRING,"
                                + " response_a STRING, response_b STRING, choice STRING,"
                                + " split STRING")))
            .collectAsList();

    assertThat(rankings).hasSize(1);
    List<Row> ranked = rankings.get(0).getList(3);
    assertThat(ranked).extracting(row -> row.getDouble(0)).containsExactly(3.0, 1.5, 1.5, 0.0);
    assertThat(ranked)
        .extracting(row -> row.getString(1))
        .containsExactly("best", "second", "middle", "worst");
  }

  private static Row comparison(String kind, String a, String b, String choice) {
    return RowFactory.create("log", "7", kind, "q", a, b, choice, "train");
  }
}
