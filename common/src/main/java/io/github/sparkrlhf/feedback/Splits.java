package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;

/**
 * Train, validation and test: a whole group lies in one split, decided by its hash alone. Hence
 * what other rows there are never moves a row from one split to another.
 *
 * @param train share of the groups in {@code [0, 1]}
 * @param validation share of the groups in {@code [0, 1]}
 * @param test share of the groups in {@code [0, 1]}
 * @param seed another seed deals the groups anew
 */
public record Splits(double train, double validation, double test, long seed)
    implements Serializable {
  /** The names of the splits in their order. */
  public static final List<String> NAMES = List.of("train", "validation", "test");

  private static final double TOLERANCE = 1e-9;

  /**
   * Reads shares such as {@code 0.8,0.1,0.1}.
   *
   * @throws JobFailure if they are not three shares that sum to 1
   */
  public static Splits parse(String shares, long seed) {
    double[] values;
    try {
      values = Arrays.stream(shares.split(",", -1)).mapToDouble(Double::parseDouble).toArray();
    } catch (NumberFormatException e) {
      throw invalid(shares);
    }
    boolean valid =
        values.length == 3
            && Arrays.stream(values).allMatch(v -> v >= 0 && v <= 1)
            && Math.abs(Arrays.stream(values).sum() - 1) <= TOLERANCE;
    if (!valid) {
      throw invalid(shares);
    }
    return new Splits(values[0], values[1], values[2], seed);
  }

  /** The split of a group. */
  public String of(String group) {
    double position = new CounterRandom(seed, "split").uniform(StableHash.of(group));
    if (position < train) {
      return NAMES.get(0);
    }
    // What rounding leaves above the sum of the shares falls to the last split that has a share.
    return position < train + validation || test == 0 ? middle() : NAMES.get(2);
  }

  private String middle() {
    return validation > 0 ? NAMES.get(1) : NAMES.get(0);
  }

  /** {@link #of} for a column of groups. */
  public Column column(Column group) {
    UDF1<String, String> split = key -> key == null ? null : of(key);
    return functions.udf(split, DataTypes.StringType).apply(group);
  }

  /** The share of a split by its name. */
  public double share(String name) {
    return switch (name) {
      case "train" -> train;
      case "validation" -> validation;
      case "test" -> test;
      default -> throw new IllegalArgumentException("There is no split " + name);
    };
  }

  private static JobFailure invalid(String shares) {
    return JobFailure.usage(
        "Cannot split by --split-shares "
            + shares
            + ": give the shares of train, validation and test, which sum to 1, as in 0.8,0.1,0.1");
  }
}
