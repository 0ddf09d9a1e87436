package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.NumericType;
import scala.collection.JavaConverters;

/** The rows of a log with the parts that its layout has, each in a column of its own. */
final class LogParts {
  /** The row of the log as it was, a struct of its columns sorted by name. */
  static final String RAW = "raw";

  /** When the file was written that the row comes from; null if that is not known. */
  static final String WRITTEN_AT = "written_at";

  private static final String METADATA = "_metadata";
  private static final Set<DataType> TIMES =
      Set.of(
          DataTypes.TimestampType,
          DataTypes.TimestampNTZType,
          DataTypes.DateType,
          DataTypes.StringType,
          DataTypes.NullType);

  private final LogFormat format;
  private final Map<LogPart, DataType> types = new EnumMap<>(LogPart.class);
  private Dataset<Row> rows;

  /**
   * Evaluates the parts.
   *
   * @throws JobFailure usage, if an expression does not resolve, naming its option and the columns
   *     there are
   */
  LogParts(Dataset<Row> log, LogFormat format) {
    this.format = format;
    List<Column> columns = new ArrayList<>();
    columns.add(struct(sortedColumns(log)).as(RAW));
    columns.add(writtenAt(log).as(WRITTEN_AT));
    for (LogPart part : format.layout().parts()) {
      expression(log, part).ifPresent(column -> columns.add(column.as(name(part))));
    }
    this.rows = log.select(columns.toArray(Column[]::new));
    for (LogPart part : LogPart.values()) {
      if (Arrays.asList(rows.columns()).contains(name(part))) {
        types.put(part, rows.schema().apply(name(part)).dataType());
      }
    }
  }

  LogFormat format() {
    return format;
  }

  /** The rows: raw, written_at, the parts, and what was added since. */
  Dataset<Row> rows() {
    return rows;
  }

  /** Adds a column that other columns refer to more often than once. */
  Column added(String name, Column column) {
    rows = rows.withColumn(name, column);
    return col(name);
  }

  boolean has(LogPart part) {
    return types.containsKey(part);
  }

  /** The value of a part. */
  Column column(LogPart part) {
    return col(name(part));
  }

  boolean isText(LogPart part) {
    return DataTypes.StringType.equals(types.get(part));
  }

  boolean isNumber(LogPart part) {
    return types.get(part) instanceof NumericType;
  }

  boolean isConversation(LogPart part) {
    return Conversation.is(types.get(part));
  }

  boolean isBoolean(LogPart part) {
    return DataTypes.BooleanType.equals(types.get(part));
  }

  /** A part that is text. */
  Column text(LogPart part) {
    return require(part, DataTypes.StringType::equals, "is not text (STRING)");
  }

  /** A part that is a number, as DOUBLE. */
  Column number(LogPart part) {
    return require(part, LogParts::isNumber, "is not a number").cast("double");
  }

  /** A part that is a list of texts. */
  Column texts(LogPart part) {
    return require(
        part,
        type -> type instanceof ArrayType a && a.elementType().equals(DataTypes.StringType),
        "is not a list of texts (ARRAY<STRING>)");
  }

  /** A part that is a list of numbers, as ARRAY&lt;DOUBLE&gt;. */
  Column numbers(LogPart part) {
    return require(
            part,
            type -> type instanceof ArrayType a && isNumber(a.elementType()),
            "is not a list of numbers (ARRAY<INT> or ARRAY<DOUBLE>)")
        .cast("array<double>");
  }

  /** A part that a log may lack, as text; null if it does. */
  Column plain(LogPart part) {
    return has(part)
        ? require(part, LogParts::isPlain, "has no plain text form").cast("string")
        : lit(null).cast("string");
  }

  /** A time that a log may lack; null if it does or if a text is none. */
  Column time(LogPart part) {
    if (!has(part)) {
      return lit(null).cast("timestamp");
    }
    return require(part, TIMES::contains, "is not a time").cast("timestamp");
  }

  /** A failure that names a part and its type. */
  JobFailure unusable(LogPart part, String why) {
    String sql = sql(part);
    String words = sql.matches("\\w+") ? "column '" + sql + "'" : part.option() + " '" + sql + "'";
    return JobFailure.usage(
        "Cannot read feedback: " + words + " of type " + types.get(part).sql() + " " + why);
  }

  private Column require(LogPart part, Predicate<DataType> usable, String why) {
    if (!usable.test(types.get(part))) {
      throw unusable(part, why);
    }
    return column(part);
  }

  /** The value of a part; none if a log may lack it and does. */
  private Optional<Column> expression(Dataset<Row> log, LogPart part) {
    try {
      return Optional.of(Inputs.expression(log, part.option(), sql(part)));
    } catch (JobFailure e) {
      if (format.layout().requires(part) || format.given(part).isPresent()) {
        throw e;
      }
      return Optional.empty();
    }
  }

  private String sql(LogPart part) {
    return format.given(part).orElse(format.layout().column(part));
  }

  private static String name(LogPart part) {
    return "given_" + part.name().toLowerCase(Locale.ROOT);
  }

  private static boolean isNumber(DataType type) {
    return type instanceof NumericType || DataTypes.NullType.equals(type);
  }

  private static boolean isPlain(DataType type) {
    return !Set.of("array", "map", "struct", "binary").contains(type.typeName());
  }

  /** Sorted by name: the order of columns in a file changes no id. */
  private static Column[] sortedColumns(Dataset<Row> log) {
    return Arrays.stream(log.columns())
        .sorted()
        .map(name -> col("`" + name.replace("`", "``") + "`"))
        .toArray(Column[]::new);
  }

  private static Column writtenAt(Dataset<Row> log) {
    boolean files =
        JavaConverters.seqAsJavaList(log.queryExecution().analyzed().metadataOutput()).stream()
            .anyMatch(attribute -> attribute.name().equals(METADATA));
    return files
        ? log.metadataColumn(METADATA).getField("file_modification_time")
        : lit(null).cast("timestamp");
  }
}
