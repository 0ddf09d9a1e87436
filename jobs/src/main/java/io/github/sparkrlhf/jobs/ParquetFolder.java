package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Run;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** A folder of Parquet files that a job writes: it is whole or it is not there. */
final class ParquetFolder {
  private final SparkSession spark;
  private final String path;

  /**
   * @param path any path that Hadoop can write
   */
  ParquetFolder(SparkSession spark, String path) {
    this.spark = spark;
    this.path = path;
  }

  /**
   * What a complete run has written and somebody has removed since.
   *
   * @param path of the folder; null if the run was to write none
   */
  static List<String> lost(SparkSession spark, String path) {
    return path == null || new ParquetFolder(spark, path).exists() ? List.of() : List.of(path);
  }

  private boolean exists() {
    try {
      return files().exists(new Path(path));
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  /**
   * Fails early where {@link #write} would fail.
   *
   * @throws JobFailure usage, if there is something already
   */
  void requireFree() {
    if (exists()) {
      throw JobFailure.usage("Cannot write to " + path + ": it exists already");
    }
  }

  /**
   * Writes the rows beside, then renames the folder into place.
   *
   * @throws JobFailure if it exists or cannot be written
   */
  void write(Run run, Dataset<Row> rows) {
    publish(run, partial -> rows.write().mode("overwrite").parquet(partial.toString()));
  }

  /**
   * Writes a folder with the rows in the folder {@code parquet} and text files beside it.
   *
   * @param texts by the names of their files
   * @throws JobFailure if it exists or cannot be written
   */
  void writeWith(Run run, Dataset<Row> rows, Map<String, String> texts) {
    publish(
        run,
        partial -> {
          rows.write().mode("overwrite").parquet(new Path(partial, "parquet").toString());
          for (Map.Entry<String, String> text : texts.entrySet()) {
            try (OutputStream file = files().create(new Path(partial, text.getKey()), true)) {
              file.write(text.getValue().getBytes(StandardCharsets.UTF_8));
            }
          }
        });
  }

  /** What is written to a folder that is not there for others yet. */
  private interface Writer {
    void write(Path partial) throws IOException;
  }

  private void publish(Run run, Writer writer) {
    Path target = new Path(path);
    Path partial = target.suffix(".partial-" + run.id());
    requireFree();
    try {
      writer.write(partial);
      if (target.getParent() != null) {
        files().mkdirs(target.getParent());
      }
      if (!files().rename(partial, target)) {
        throw new IOException("cannot rename " + partial);
      }
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  private FileSystem files() throws IOException {
    return new Path(path).getFileSystem(spark.sessionState().newHadoopConf());
  }

  private JobFailure unwritable(IOException e) {
    return JobFailure.failure("Cannot write to " + path + ": " + Failures.rootMessage(e), e);
  }
}
