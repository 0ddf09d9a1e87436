package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobDescriptions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * What each word of a response adds to its score: the score of the text minus that of the text
 * without the word. It needs nothing of a model but its scores, so it means the same for every
 * kind, and a word that a model does not look at adds exactly nothing. Contributions add up to the
 * score only for models that are a sum over words.
 */
public final class LeaveOneOut {
  /** Words of a response that are left out, one at a time; later ones are not. */
  public static final int MOST_WORDS = 512;

  /** Characters without white space, with the white space behind them. */
  private static final Pattern WORD = Pattern.compile("\\S+\\s*");

  /** The place of the whole text among its variants. */
  private static final int WHOLE = -1;

  private static final StructType VARIANTS =
      new StructType()
          .add("row", DataTypes.IntegerType)
          .add("position", DataTypes.IntegerType)
          .add(RewardModel.PROMPT, DataTypes.StringType)
          .add(RewardModel.RESPONSE, DataTypes.StringType);

  /**
   * A response to explain.
   *
   * @param id its name
   * @param prompt the prompt
   * @param response the response
   */
  public record Text(String id, String prompt, String response) {}

  /**
   * What a word adds.
   *
   * @param id the response
   * @param position which of its words, from 0
   * @param word the word, without white space
   * @param value by how much the score is higher because of it
   */
  public record Contribution(String id, int position, String word, double value) {}

  private LeaveOneOut() {}

  /**
   * The contributions of all words, by response in the given order and position. Each word is one
   * more text to score.
   *
   * @param texts a few; the driver holds them
   */
  public static List<Contribution> of(RewardModel model, Dataset<Row> texts) {
    List<Text> chosen =
        texts.select("row_id", RewardModel.PROMPT, RewardModel.RESPONSE).collectAsList().stream()
            .map(row -> new Text(row.getString(0), row.getString(1), row.getString(2)))
            .sorted(
                Comparator.comparing(Text::id)
                    .thenComparing(Text::prompt)
                    .thenComparing(Text::response))
            .toList();
    List<Row> wholes = new ArrayList<>();
    for (int i = 0; i < chosen.size(); i++) {
      wholes.add(RowFactory.create(i, WHOLE, chosen.get(i).prompt(), chosen.get(i).response()));
    }
    Dataset<Row> variants =
        texts
            .sparkSession()
            .createDataFrame(wholes, VARIANTS)
            .flatMap(
                (FlatMapFunction<Row, Row>) row -> variants(row).iterator(),
                ExpressionEncoder.apply(VARIANTS));
    List<Row> scores =
        JobDescriptions.described(
            texts.sparkSession().sparkContext(),
            "explain: leave one word out",
            () ->
                model.score(variants).select("row", "position", RewardModel.SCORE).collectAsList());
    return contributions(chosen, scores);
  }

  private static List<Contribution> contributions(List<Text> texts, List<Row> scores) {
    Map<Integer, Map<Integer, Double>> byText = new HashMap<>();
    scores.forEach(
        row ->
            byText
                .computeIfAbsent(row.getInt(0), text -> new HashMap<>())
                .put(row.getInt(1), row.getDouble(2)));
    List<Contribution> contributions = new ArrayList<>();
    for (int text = 0; text < texts.size(); text++) {
      Map<Integer, Double> score = byText.get(text);
      List<MatchResult> words = words(texts.get(text).response());
      for (int i = 0; i < words.size(); i++) {
        contributions.add(
            new Contribution(
                texts.get(text).id(),
                i,
                words.get(i).group().strip(),
                score.get(WHOLE) - score.get(i)));
      }
    }
    return contributions;
  }

  private static List<Row> variants(Row row) {
    String response = row.getString(3);
    List<Row> variants = new ArrayList<>(List.of(row));
    List<MatchResult> words = words(response);
    for (int i = 0; i < words.size(); i++) {
      String without =
          response.substring(0, words.get(i).start()) + response.substring(words.get(i).end());
      variants.add(RowFactory.create(row.get(0), i, row.get(2), without));
    }
    return variants;
  }

  private static List<MatchResult> words(String response) {
    return WORD.matcher(response).results().limit(MOST_WORDS).toList();
  }
}
