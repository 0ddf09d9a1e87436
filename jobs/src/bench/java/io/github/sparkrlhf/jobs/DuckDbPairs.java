package io.github.sparkrlhf.jobs;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/** The work of the job {@code pairs} in DuckDB; {@code duckdb-pairs.sql} says how. */
final class DuckDbPairs {
  private static final String PHASE = "-- phase: ";

  private DuckDbPairs() {}

  /**
   * Runs on two threads in 4 GB.
   *
   * @param log a folder of Parquet files
   * @param output an empty folder
   */
  static BenchmarkRun run(Path log, Path output) throws SQLException {
    long start = System.nanoTime();
    try (Connection connection = DriverManager.getConnection("jdbc:duckdb:");
        Statement statement = connection.createStatement()) {
      statement.execute("SET threads = 2");
      statement.execute("SET memory_limit = '4GB'");
      statement.execute("SET temp_directory = '" + output.resolve("spilled") + "'");
      statement.execute("SET preserve_insertion_order = false");
      Map<String, Double> phases = new LinkedHashMap<>();
      String phase = "setup";
      String sql =
          script().replace("${log}", log.toString()).replace("${output}", output.toString());
      for (String part : sql.split(";\n")) {
        int name = part.indexOf(PHASE);
        if (name >= 0) {
          phase = part.substring(name + PHASE.length(), part.indexOf('\n', name));
        }
        if (part.isBlank()) {
          continue;
        }
        long before = System.nanoTime();
        statement.execute(part);
        phases.merge(phase, seconds(before), Double::sum);
      }
      double total = seconds(start);
      return new BenchmarkRun(total, total, phases, counts(statement, output));
    }
  }

  private static double seconds(long since) {
    return (System.nanoTime() - since) / 1e9;
  }

  private static String script() {
    try (InputStream script = DuckDbPairs.class.getResourceAsStream("duckdb-pairs.sql")) {
      return new String(script.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<String, Long> counts(Statement statement, Path output) throws SQLException {
    Map<String, Long> counts = new TreeMap<>();
    String sql =
        """
        SELECT 'comparisons', count(*) FROM '%1$s/comparisons.parquet'
        UNION ALL SELECT 'pairs', count(*) FROM '%1$s/pairs.parquet'
        UNION ALL
        SELECT 'quarantine ' || reason, count(*) FROM '%1$s/quarantine.parquet' GROUP BY reason
        """
            .formatted(output);
    try (ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        counts.put(rows.getString(1), rows.getLong(2));
      }
    }
    return counts;
  }
}
