package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ExpressionInfo;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StringType;
import scala.Tuple3;
import scala.collection.JavaConverters;
import scala.collection.Seq;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * Spark's configuration {@code spark.sql.extensions} names this class to get the SQL function
 * {@code reward(prompt, response)}: the score of a reward model of any kind that scores single
 * rows.
 *
 * <p>The model's directory is the third argument, a constant, or else what the session's {@value
 * #MODEL} says. The model is read on the driver and broadcast.
 */
public final class RewardExtension extends AbstractFunction1<SparkSessionExtensions, BoxedUnit> {
  /** The setting that names the directory of the model. */
  public static final String MODEL = "spark.rlhf.reward.model";

  private static final String NAME = "reward";
  private static final Map<Loaded, TextScorer> SCORERS = new HashMap<>();

  /** A model as it stood in its directory at a time, and the Spark that has it. */
  private record Loaded(String application, Path directory, long modifiedMillis) {}

  @Override
  public BoxedUnit apply(SparkSessionExtensions extensions) {
    extensions.injectFunction(
        new Tuple3<>(
            new FunctionIdentifier(NAME),
            new ExpressionInfo(RewardExtension.class.getName(), NAME),
            new AbstractFunction1<Seq<Expression>, Expression>() {
              @Override
              public Expression apply(Seq<Expression> arguments) {
                return reward(JavaConverters.seqAsJavaList(arguments));
              }
            }));
    return BoxedUnit.UNIT;
  }

  private static Expression reward(List<Expression> arguments) {
    if (arguments.size() != 2 && arguments.size() != 3) {
      throw JobFailure.usage(
          "Cannot evaluate reward: it takes a prompt, a response and, if "
              + MODEL
              + " is not set, the directory of the model");
    }
    SparkSession spark = SparkSession.active();
    TextScorer scorer = scorer(spark, directory(spark, arguments));
    UDF2<String, String, Double> score =
        (prompt, response) ->
            prompt == null || response == null ? null : (Double) scorer.score(prompt, response);
    return functions
        .udf(score, DataTypes.DoubleType)
        .withName(NAME)
        .apply(text(arguments.get(0)), text(arguments.get(1)))
        .expr();
  }

  private static Column text(Expression argument) {
    return new Column(argument).cast(DataTypes.StringType);
  }

  private static Path directory(SparkSession spark, List<Expression> arguments) {
    if (arguments.size() == 2) {
      String set = spark.conf().get(MODEL, null);
      if (set == null) {
        throw JobFailure.usage(
            "Cannot evaluate reward: give the directory of the model as third argument, or SET "
                + MODEL
                + " = DIR");
      }
      return Path.of(set);
    }
    Expression argument = arguments.get(2);
    if (!argument.foldable() || !(argument.dataType() instanceof StringType)) {
      throw JobFailure.usage(
          "Cannot evaluate reward: the directory of the model must be a constant text");
    }
    return Path.of(String.valueOf(argument.eval(null)));
  }

  /** Read once: a statement is analysed several times. */
  private static synchronized TextScorer scorer(SparkSession spark, Path directory) {
    Path absolute = directory.toAbsolutePath().normalize();
    long modified;
    try {
      modified = Files.getLastModifiedTime(absolute).toMillis();
    } catch (IOException e) {
      throw JobFailure.usage("Cannot read model " + directory + ": there is no such directory");
    }
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    return SCORERS.computeIfAbsent(
        new Loaded(context.sc().applicationId(), absolute, modified),
        key -> RewardModels.load(absolute).scorer(context));
  }
}
