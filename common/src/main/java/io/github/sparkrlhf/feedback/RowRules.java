package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.sql.Column;

/** Conditions under which a row cannot be used. Of several that hold, the first reason counts. */
final class RowRules {
  private record Rule(QuarantineReason reason, Column problem) {}

  private final List<Rule> rules = new ArrayList<>();

  /**
   * Adds a condition.
   *
   * @param condition does not hold if it is null
   * @param detail what a person needs to know beside the reason; may be null
   */
  RowRules add(QuarantineReason reason, Column condition, Column detail) {
    Column problem = struct(lit(reason.code()).as("reason"), detail.cast("string").as("detail"));
    rules.add(new Rule(reason, when(condition, problem)));
    return this;
  }

  /** Adds a condition that needs no detail. */
  RowRules add(QuarantineReason reason, Column condition) {
    return add(reason, condition, lit(null));
  }

  /** Adds all rules of another collection. */
  RowRules addAll(RowRules others) {
    rules.addAll(others.rules);
    return this;
  }

  /** STRUCT&lt;reason, detail&gt;; null where no condition holds. */
  Column problem() {
    return coalesce(
        rules.stream()
            .sorted(Comparator.comparing(Rule::reason))
            .map(Rule::problem)
            .toArray(Column[]::new));
  }
}
