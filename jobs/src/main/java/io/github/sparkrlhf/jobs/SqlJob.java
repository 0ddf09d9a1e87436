package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
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
    json,
    typed
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
      description =
          "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}). json is one line per row, typed one line of JSON per"
              + " statement: columns with their types, rows as texts, and whether there are more.")
  private Format format;

  @Option(
      names = "--stdin",
      description =
          "Then run the statements that come on standard input, each when a line ends with its semicolon. A wrong"
              + " one is reported, and the next one runs.")
  private boolean stdin;

  @Mixin private SessionOptions session;
  @ParentCommand private Main main;
  private final StringBuilder read = new StringBuilder();

  @Override
  public Integer call() {
    List<String> statements = statements();
    SparkSession spark = session.openSession();
    session.openTables(spark).registerViews();
    for (String each : statements) {
      print(result(spark, each));
    }
    if (stdin) {
      new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))
          .lines()
          .forEach(line -> line(spark, line));
      answer(spark);
    }
    return 0;
  }

  private void line(SparkSession spark, String line) {
    read.append(line).append('\n');
    if (line.stripTrailing().endsWith(";")) {
      answer(spark);
    }
  }

  /** Runs what has been read; a statement that fails does not end the session. */
  private void answer(SparkSession spark) {
    List<String> statements = statements(read.toString());
    read.setLength(0);
    for (String each : statements) {
      try {
        print(result(spark, each));
      } catch (Exception e) {
        String message =
            Failures.known(e)
                .map(Throwable::getMessage)
                .orElseGet(() -> "Cannot run the statement: " + Failures.rootMessage(e));
        if (format == Format.typed) {
          main.out().println(Json.sorted(Map.of("error", message)));
        } else {
          main.err().println(message);
        }
      }
    }
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
    if (statements.isEmpty() && !stdin) {
      throw JobFailure.usage("There is nothing to run: give a statement, --file or --stdin");
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
    if (format != Format.typed && result.columns().length == 0) {
      return;
    }
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
    if (format == Format.typed) {
      out.println(
          Json.sorted(Map.of("columns", columns(result.schema()), "rows", shown, "more", more)));
      return;
    }
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

  /** Name and type of each column, as Spark SQL writes the type. */
  static List<List<String>> columns(StructType schema) {
    return Arrays.stream(schema.fields())
        .map(field -> List.of(field.name(), field.dataType().catalogString()))
        .toList();
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
