package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.udf;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.types.DataType;

/**
 * The implicit prompt of two texts: what both begin with, as TRL's {@code extract_prompt} finds it.
 * A blank before the first difference belongs to the responses.
 */
final class CommonPrefix {
  private static final DataType SPLIT =
      DataType.fromDDL("STRUCT<prompt: STRING, x: STRING, y: STRING>");

  private CommonPrefix() {}

  /** STRUCT&lt;prompt, x, y&gt;, of which {@code prompt || x} is the first text. */
  static Column split(Column x, Column y) {
    UDF2<String, String, Row> split = CommonPrefix::split;
    return udf(split, SPLIT).apply(x, y);
  }

  private static Row split(String x, String y) {
    if (x == null || y == null) {
      return RowFactory.create("", x, y);
    }
    int shorter = Math.min(x.length(), y.length());
    int end = 0;
    while (end < shorter && x.charAt(end) == y.charAt(end)) {
      end++;
    }
    if (end > 0 && Character.isHighSurrogate(x.charAt(end - 1))) {
      end--;
    }
    if (end > 0 && x.charAt(end - 1) == ' ') {
      end--;
    }
    return RowFactory.create(x.substring(0, end), x.substring(end), y.substring(end));
  }
}
