package io.github.sparkrlhf.spark;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.AnalysisException;

/** Finds in an exception of Spark what a user can act on. */
public final class Failures {
  private static final Pattern UNREADABLE_FILE =
      Pattern.compile("(?:reading file|footer for file:?)\\s+(\\S+?)[.,]?(?:\\s|$)");

  private Failures() {}

  /**
   * The failure behind an exception: a {@link JobFailure} anywhere among its causes (Spark wraps
   * what a task throws), or a file that Spark could not read. Empty if it is neither.
   */
  public static Optional<JobFailure> known(Throwable thrown) {
    List<Throwable> causes = causes(thrown);
    for (Throwable cause : causes) {
      if (cause instanceof JobFailure failure) {
        return Optional.of(failure);
      }
    }
    for (Throwable cause : causes) {
      Matcher matcher = UNREADABLE_FILE.matcher(String.valueOf(cause.getMessage()));
      if (matcher.find()) {
        return Optional.of(unreadable(matcher.group(1), thrown));
      }
    }
    return Optional.empty();
  }

  /** The failure {@code Cannot read <path>: not a readable Parquet file (<reason>)}. */
  public static JobFailure unreadable(String path, Throwable thrown) {
    return JobFailure.failure(
        "Cannot read "
            + path.replaceFirst("^file:(?://(?=/))?", "")
            + ": not a readable Parquet file ("
            + rootMessage(thrown)
            + ")",
        thrown);
  }

  /** The message of the innermost cause, on one line; its class name if it has none. */
  public static String rootMessage(Throwable thrown) {
    List<Throwable> causes = causes(thrown);
    Throwable root = causes.get(causes.size() - 1);
    return root.getMessage() == null ? root.getClass().getSimpleName() : oneLine(root);
  }

  /** Spark's message about an expression or a statement it does not accept, on one line. */
  public static String sqlMessage(Throwable thrown) {
    if (thrown instanceof AnalysisException analysis
        && String.valueOf(analysis.getErrorClass()).startsWith("UNRESOLVED_COLUMN")) {
      return "there is no column "
          + analysis.getMessageParameters().get("objectName").replace('`', '\'');
    }
    return oneLine(thrown);
  }

  private static String oneLine(Throwable thrown) {
    String message = String.valueOf(thrown.getMessage());
    if (thrown instanceof AnalysisException analysis) {
      // The full message of an analysis ends with the query plan, that of a parser with the text.
      message = analysis.getSimpleMessage();
    }
    return message.replaceFirst("(?s)\\s*== SQL.*", "").strip().replaceAll("\\s+", " ");
  }

  private static List<Throwable> causes(Throwable thrown) {
    List<Throwable> causes = new ArrayList<>();
    for (Throwable t = thrown; t != null && !causes.contains(t); t = t.getCause()) {
      causes.add(t);
    }
    return causes;
  }
}
