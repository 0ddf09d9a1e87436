package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.aggregate;
import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.exists;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.slice;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.transform;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.zip_with;

import java.util.Arrays;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Columns of conversations: ARRAY&lt;STRUCT&lt;role: STRING, content: STRING&gt;&gt;. */
final class Conversation {
  /** The type, as DDL. */
  static final String TYPE = "ARRAY<STRUCT<role: STRING, content: STRING>>";

  private Conversation() {}

  /** Whether a type is a list of turns, which may have more fields than role and content. */
  static boolean is(DataType type) {
    return type instanceof ArrayType list
        && list.elementType() instanceof StructType turn
        && isText(turn, "role")
        && isText(turn, "content");
  }

  private static boolean isText(StructType turn, String field) {
    return Arrays.asList(turn.fieldNames()).contains(field)
        && turn.apply(field).dataType().equals(DataTypes.StringType);
  }

  /** The turns with their role and content only. */
  static Column turns(Column list) {
    return transform(
            list,
            turn ->
                struct(turn.getField("role").as("role"), turn.getField("content").as("content")))
        .cast(TYPE);
  }

  /** A text as the one turn of a user. */
  static Column userTurn(Column text) {
    return array(struct(lit("user").as("role"), text.as("content"))).cast(TYPE);
  }

  /** Whether something is missing in a turn. */
  static Column isBroken(Column turns) {
    return exists(
        turns,
        turn ->
            turn.isNull().or(turn.getField("role").isNull()).or(turn.getField("content").isNull()));
  }

  /** The turns after the prompt, if they begin with it, else all of them. */
  static Column withoutPrompt(Column turns, Column prompt) {
    Column begins = slice(turns, lit(1), size(prompt)).equalTo(prompt);
    Column skipped = when(begins, size(prompt)).otherwise(0);
    return slice(turns, skipped.plus(1), size(turns));
  }

  /** The first {@code count} turns. */
  static Column first(Column turns, Column count) {
    return slice(turns, lit(1), count);
  }

  /** With how many equal turns two conversations begin; each keeps at least one of its own. */
  static Column common(Column a, Column b) {
    Column equal = zip_with(a, b, Column::eqNullSafe);
    // Equal turns so far, or minus one less than them once two turns differed.
    Column count =
        aggregate(
            equal,
            lit(0),
            (n, same) ->
                when(n.geq(0).and(same), n.plus(1))
                    .when(n.geq(0), n.multiply(-1).minus(1))
                    .otherwise(n),
            n -> when(n.lt(0), n.multiply(-1).minus(1)).otherwise(n));
    Column shorter = least(size(a), size(b)).minus(1);
    return greatest(lit(0), least(count, shorter));
  }
}
