package io.github.sparkrlhf.spark;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.spark.sql.catalyst.expressions.XXH64;
import org.apache.spark.unsafe.Platform;

/**
 * The one hash of the project: XXH64 with Spark's seed, so that {@link #of(String)} equals the SQL
 * function {@code xxhash64(text)}. It decides lanes and splits, hence it never changes.
 */
public final class StableHash {
  private static final long SPARK_SEED = 42L;

  private StableHash() {}

  /** The 64-bit hash of a text; equal to {@code xxhash64(text)} in Spark SQL. */
  public static long of(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return XXH64.hashUnsafeBytes(bytes, Platform.BYTE_ARRAY_OFFSET, bytes.length, SPARK_SEED);
  }

  /** The 64-bit hash of numbers, on machines of the byte order of x86 and ARM. */
  public static long of(int[] numbers) {
    return XXH64.hashUnsafeBytes(
        numbers, Platform.INT_ARRAY_OFFSET, numbers.length * Integer.BYTES, SPARK_SEED);
  }

  /**
   * The lane of a row among {@code lanes}.
   *
   * @param rowId the stable id of the row
   * @param lanes a power of two
   * @return a number in {@code [0, lanes)}
   */
  public static int lane(String rowId, int lanes) {
    return (int) (CounterRandom.mix(of(rowId)) & (lanes - 1));
  }

  /** The SHA-256 of the parts in hexadecimal; a separator keeps ("ab","c") and ("a","bc") apart. */
  public static String sha256(String... parts) {
    return sha256(
        Arrays.stream(parts)
            .map(part -> part.getBytes(StandardCharsets.UTF_8))
            .toArray(byte[][]::new));
  }

  /** {@link #sha256(String...)} of texts in UTF-8. */
  public static String sha256(byte[]... parts) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (byte[] part : parts) {
        digest.update(Integer.toString(part.length).getBytes(StandardCharsets.UTF_8));
        digest.update((byte) ':');
        digest.update(part);
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("SHA-256 is part of every Java platform", e);
    }
  }
}
