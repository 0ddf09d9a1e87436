package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Several reward models as one (Coste et al., 2023). The members' scores have units of their own,
 * so each is standardised first, by the mean and the standard deviation of its scores of the
 * training responses.
 */
public final class EnsembleModel implements RewardModel {
  /** The name of the kind. */
  public static final String KIND = "ensemble";

  private static final String MEMBERS = "members";
  private static final String SCORE_OF = "score_of_member_";
  private static final int MAX_MEMBERS = 1000;

  /** How the members' standardised scores become one. */
  public enum Rule {
    /** Their mean. */
    MEAN,
    /** The least of them: a response is as good as its harshest judge says. */
    MINIMUM,
    /** Their mean minus c times their variance: disagreement costs. */
    MEAN_MINUS_VARIANCE
  }

  /**
   * A member.
   *
   * @param model of any kind, an ensemble among them
   * @param mean of its scores of the training responses
   * @param deviation the standard deviation of these scores, above 0
   */
  record Member(RewardModel model, double mean, double deviation) {}

  private final List<Member> members;
  private final Rule rule;
  private final double coefficient;

  EnsembleModel(List<Member> members, Rule rule, double coefficient) {
    this.members = List.copyOf(members);
    this.rule = rule;
    this.coefficient = coefficient;
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Dataset<Row> score(Dataset<Row> rows) {
    Dataset<Row> scored = rows;
    List<Column> scores = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (int i = 0; i < members.size(); i++) {
      Member member = members.get(i);
      String name = SCORE_OF + i;
      scored = member.model().score(scored).withColumnRenamed(SCORE, name);
      names.add(name);
      scores.add(col(name).minus(lit(member.mean())).divide(lit(member.deviation())));
    }
    return scored.withColumn(SCORE, together(scores)).drop(names.toArray(String[]::new));
  }

  @Override
  public Column truncated() {
    return members.stream()
        .map(member -> member.model().truncated())
        .reduce(Column::or)
        .orElseThrow();
  }

  @Override
  public int rowsPerPart() {
    return members.stream().mapToInt(member -> member.model().rowsPerPart()).min().orElseThrow()
        / members.size();
  }

  @Override
  public TextScorer scorer(JavaSparkContext context) {
    List<TextScorer> scorers =
        members.stream().map(member -> member.model().scorer(context)).toList();
    double[] means = members.stream().mapToDouble(Member::mean).toArray();
    double[] deviations = members.stream().mapToDouble(Member::deviation).toArray();
    Rule sharedRule = rule;
    double sharedCoefficient = coefficient;
    return (prompt, response) -> {
      double[] scores = new double[means.length];
      for (int i = 0; i < scores.length; i++) {
        scores[i] = (scorers.get(i).score(prompt, response) - means[i]) / deviations[i];
      }
      return together(scores, sharedRule, sharedCoefficient);
    };
  }

  /** What {@link #together(List)} is for one row. */
  private static double together(double[] scores, Rule rule, double coefficient) {
    double mean = Arrays.stream(scores).average().orElseThrow();
    return switch (rule) {
      case MEAN -> mean;
      case MINIMUM -> Arrays.stream(scores).min().orElseThrow();
      case MEAN_MINUS_VARIANCE ->
          mean
              - coefficient
                  * Arrays.stream(scores)
                      .map(score -> (score - mean) * (score - mean))
                      .average()
                      .orElseThrow();
    };
  }

  private Column together(List<Column> scores) {
    if (rule == Rule.MINIMUM && scores.size() > 1) {
      return least(scores.toArray(Column[]::new));
    }
    Column mean = mean(scores);
    if (rule != Rule.MEAN_MINUS_VARIANCE) {
      return mean;
    }
    List<Column> squares = new ArrayList<>();
    for (Column score : scores) {
      squares.add(score.minus(mean).multiply(score.minus(mean)));
    }
    return mean.minus(mean(squares).multiply(lit(coefficient)));
  }

  private static Column mean(List<Column> values) {
    return values.stream().reduce(Column::plus).orElseThrow().divide(lit((double) values.size()));
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    ObjectNode json = RewardModels.header(KIND);
    json.put("rule", label(rule));
    json.put("coefficient", coefficient);
    ArrayNode described = json.putArray(MEMBERS);
    for (int i = 0; i < members.size(); i++) {
      described
          .addObject()
          .put("directory", memberDirectory(i))
          .put("mean", members.get(i).mean())
          .put("deviation", members.get(i).deviation());
    }
    RewardModels.write(
        directory,
        provenance,
        json,
        beside -> {
          for (int i = 0; i < members.size(); i++) {
            members.get(i).model().save(beside.resolve(memberDirectory(i)), Map.of());
          }
        });
  }

  private static String memberDirectory(int member) {
    return "member-" + member;
  }

  /** The name of a rule on the command line and in files, such as {@code mean-minus-variance}. */
  public static String label(Rule rule) {
    return rule.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Reads what {@link #save} wrote; members stand in the directory itself. */
  static EnsembleModel load(Path directory, JsonNode json) {
    JsonNode described = json.path(MEMBERS);
    if (described.isEmpty() || described.size() > MAX_MEMBERS) {
      throw unreadable(directory, "it has " + described.size() + " members");
    }
    List<Member> members = new ArrayList<>();
    for (int i = 0; i < described.size(); i++) {
      double mean = described.get(i).path("mean").asDouble(Double.NaN);
      double deviation = described.get(i).path("deviation").asDouble(Double.NaN);
      if (!Double.isFinite(mean) || !Double.isFinite(deviation) || deviation <= 0) {
        throw unreadable(directory, "member " + i + " has no mean and deviation of its scores");
      }
      RewardModel model = RewardModels.load(directory.resolve(memberDirectory(i)));
      members.add(new Member(model, mean, deviation));
    }
    double coefficient = json.path("coefficient").asDouble(Double.NaN);
    for (Rule rule : Rule.values()) {
      if (label(rule).equals(json.path("rule").asText()) && Double.isFinite(coefficient)) {
        return new EnsembleModel(members, rule, coefficient);
      }
    }
    throw unreadable(directory, "its rule is " + json.path("rule"));
  }

  private static JobFailure unreadable(Path directory, String why) {
    return JobFailure.failure("Cannot read reward model in %s: %s".formatted(directory, why));
  }
}
