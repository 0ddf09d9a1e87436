package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.octet_length;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.udf;

import io.github.sparkrlhf.spark.StableHash;
import java.util.Arrays;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF3;
import org.apache.spark.sql.types.DataTypes;

/** The hash that makes ids: 24 hexadecimal digits, 96 bits, of a SHA-256. */
final class RowHash {
  private static final int DIGITS = 24;

  private RowHash() {}

  /**
   * The hash of texts, equal to the first digits of {@code StableHash.sha256(texts)}: each text is
   * preceded by its length, so that ("ab","c") and ("a","bc") differ. A null counts as empty.
   */
  static Column of(Column... texts) {
    return substring(sha2(text(texts).cast("binary"), 256), 1, DIGITS);
  }

  /** {@link #of(Column...)} of three long texts, which are not put together before. */
  static Column of(Column first, Column second, Column third) {
    UDF3<byte[], byte[], byte[], String> hash =
        (a, b, c) -> StableHash.sha256(bytes(a), bytes(b), bytes(c)).substring(0, DIGITS);
    return udf(hash, DataTypes.StringType)
        .apply(first.cast("binary"), second.cast("binary"), third.cast("binary"));
  }

  private static byte[] bytes(byte[] text) {
    return text == null ? new byte[0] : text;
  }

  /** The one text that is hashed. */
  static Column text(Column... texts) {
    Column[] parts =
        Arrays.stream(texts)
            .map(text -> coalesce(text, lit("")))
            .map(text -> concat(octet_length(text).cast("string"), lit(":"), text))
            .toArray(Column[]::new);
    return concat(parts);
  }
}
