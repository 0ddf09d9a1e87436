package io.github.sparkrlhf.spark;

/**
 * A failure that the user can act on. Its message is written in the user's words, has the form
 * {@code Cannot <do>: <why>}, and is printed without a stack trace.
 */
public final class JobFailure extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What kind of failure it is; decides the exit code of the process. */
  public enum Kind {
    /** The run failed: an unreadable file, a warehouse that is not writable. */
    FAILURE(1),
    /** A loss or a gradient is NaN or infinite. */
    NOT_FINITE(1),
    /** What the user asked for cannot be: an unknown option, a missing column or file. */
    USAGE(2),
    /** The data are not good enough: an empty table, too large a share of quarantined rows. */
    DATA_QUALITY(3);

    private final int exitCode;

    Kind(int exitCode) {
      this.exitCode = exitCode;
    }

    /** The exit code of the process: 1, 2 or 3. */
    public int exitCode() {
      return exitCode;
    }
  }

  private final Kind kind;

  private JobFailure(Kind kind, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  /** A failure with exit code 1. */
  public static JobFailure failure(String message) {
    return new JobFailure(Kind.FAILURE, message, null);
  }

  /** A failure with exit code 1 and its cause. */
  public static JobFailure failure(String message, Throwable cause) {
    return new JobFailure(Kind.FAILURE, message, cause);
  }

  /** A failure with exit code 1: a loss or a gradient is NaN or infinite. */
  public static JobFailure notFinite(String message) {
    return new JobFailure(Kind.NOT_FINITE, message, null);
  }

  /** A failure with exit code 2. */
  public static JobFailure usage(String message) {
    return new JobFailure(Kind.USAGE, message, null);
  }

  /** A failure with exit code 3. */
  public static JobFailure dataQuality(String message) {
    return new JobFailure(Kind.DATA_QUALITY, message, null);
  }

  /** What kind of failure it is. */
  public Kind kind() {
    return kind;
  }
}
