package io.github.sparkrlhf.report;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * A complete run that a report tells of.
 *
 * @param id its id
 * @param job the job that made it
 * @param version of the suite
 * @param startedAt when it began
 * @param completedAt when it was complete
 * @param configuration all that decides its result
 * @param summary what the job counted
 * @param parents ids of the runs that it read directly
 */
public record ShownRun(
    String id,
    String job,
    String version,
    Instant startedAt,
    Instant completedAt,
    Map<String, Object> configuration,
    Map<String, Object> summary,
    List<String> parents) {
  /** What a person calls it: the last part of the directory that it wrote, or else its id. */
  String name() {
    Object output = configuration.get("output");
    return output == null ? id : output.toString().replaceFirst("/+$", "").replaceFirst(".*/", "");
  }

  /** A whole number of the summary; 0 if it has none. */
  long count(String key) {
    return summary.get(key) instanceof Number number ? number.longValue() : 0;
  }
}
