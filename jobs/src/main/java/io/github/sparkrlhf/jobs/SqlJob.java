package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

/** Runs a query in which all tables are known by name, and prints its result. */
@Command(
    name = "sql",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    usageHelpAutoWidth = true,
    sortOptions = false,
    description = {
      "Prints the result of a Spark SQL statement, or of those in files.",
      "The tables of the suite are known by name (runs, comparisons, pairs, …) and show the rows of"
          + " complete runs. A Parquet file is parquet.`PATH`."
    })
final class SqlJob implements Callable<Integer> {
  /** How a result is printed. */
  enum Format {
    table,
    csv,
    json
  }

  @Parameters(
      arity = "0..1",
      paramLabel = "STATEMENT",
      description = "The statement, as one argument.")
  private String statement;

  @Option(
      names = "--file",
      paramLabel = "FILE",
      description =
          "A file of statements, each with a semicolon at the end of a line, to run before; may be"
              + " repeated. Views that it creates are known to what follows.")
  private List<Path> files = List.of();

  @Option(
      names = "--limit",
      paramLabel = "ROWS",
      defaultValue = "50",
      description = "Print at most so many rows (default: ${DEFAULT-VALUE}).")
  private int limit;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "table",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Format format;

  @Mixin private SessionOptions session;
  @ParentCommand private Main main;

  @Override
  public Integer call() {
    List<String> statements = statements();
    SparkSession spark = session.openSession();
    session.openTables(spark).registerViews();
    for (String each : statements) {
      Dataset<Row> result = result(spark, each);
      if (result.columns().length > 0) {
        print(result);
      }
    }
    return 0;
  }

  private List<String> statements() {
    List<String> statements = new ArrayList<>();
    for (Path file : files) {
      try {
        statements.addAll(statements(Files.readString(file)));
      } catch (IOException e) {
        throw JobFailure.usage("Cannot read " + file + ": " + e);
      }
    }
    if (statement != null) {
      statements.add(statement);
    }
    if (statements.isEmpty()) {
      throw JobFailure.usage("There is nothing to run: give a statement or --file");
    }
    return statements;
  }

  /** The statements of a script; what is a comment to its end is none. */
  static List<String> statements(String script) {
    return Arrays.stream(script.split(";[ \\t]*(\\r?\\n|$)", -1))
        .filter(each -> !each.replaceAll("(?m)^\\s*--.*$", "").isBlank())
        .toList();
  }

  private static Dataset<Row> result(SparkSession spark, String statement) {
    try {
      return spark.sql(statement);
    } catch (Exception e) {
      Optional<JobFailure> known = Failures.known(e);
      if (known.isPresent()) {
        throw known.get();
      }
      // Spark's checked exceptions, parse errors among them, reach Java undeclared.
      if (e instanceof AnalysisException) {
        throw JobFailure.usage("Cannot run the statement: " + Failures.sqlMessage(e));
      }
      throw e;
    }
  }

  private void print(Dataset<Row> result) {
    PrintStream out = main.out();
    Dataset<Row> first = result.limit(limit + 1);
    if (format == Format.json) {
      first.limit(limit).toJSON().collectAsList().forEach(out::println);
      return;
    }
    List<String> header = Arrays.asList(result.columns());
    List<List<String>> rows = texts(first);
    boolean more = rows.size() > limit;
    List<List<String>> shown = more ? rows.subList(0, limit) : rows;
    if (format == Format.csv) {
      out.println(csv(header));
      shown.forEach(row -> out.println(csv(row)));
      return;
    }
    TextTable.lines(header, shown, numeric(result.schema())).forEach(out::println);
    if (more) {
      out.println("Only the first " + limit + " rows; --limit shows more");
    }
  }

  private static List<List<String>> texts(Dataset<Row> rows) {
    // Positions instead of names: a query may give two columns the same name.
    String[] positions =
        IntStream.range(0, rows.columns().length).mapToObj(i -> "c" + i).toArray(String[]::new);
    Column[] texts =
        Arrays.stream(positions)
            .map(name -> functions.col(name).cast("string"))
            .toArray(Column[]::new);
    List<List<String>> lines = new ArrayList<>();
    for (Row row : rows.toDF(positions).select(texts).collectAsList()) {
      lines.add(
          IntStream.range(0, row.size()).mapToObj(row::getString).collect(Collectors.toList()));
    }
    return lines;
  }

  private static List<Boolean> numeric(StructType schema) {
    return Arrays.stream(schema.fields()).map(f -> f.dataType() instanceof NumericType).toList();
  }

  private static String csv(List<String> cells) {
    return cells.stream().map(SqlJob::csvCell).collect(Collectors.joining(","));
  }

  private static String csvCell(String cell) {
    if (cell == null) {
      return "";
    }
    return cell.matches("[^\",\r\n]*") ? cell : '"' + cell.replace("\"", "\"\"") + '"';
  }
}
