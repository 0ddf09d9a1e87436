package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;

/** Which runs were made from which, as their configurations say. */
final class Lineage {
  /**
   * A run that read, at first or second hand, what another one wrote.
   *
   * @param output the model directory or folder that it wrote; null if it wrote to tables only
   */
  record Descendant(String run, String job, String output) {}

  private Lineage() {}

  /** All complete runs that descend from any of these, in the order in which they are found. */
  static List<Descendant> descendants(Tables tables, Collection<String> runs) {
    Set<String> ancestors = new TreeSet<>(runs);
    List<Descendant> found = new ArrayList<>();
    List<Row> candidates = new ArrayList<>(tables.completeRuns());
    candidates.removeIf(run -> ancestors.contains(run.<String>getAs(Table.RUN_ID)));
    boolean grows = true;
    while (grows) {
      grows = false;
      for (Row candidate : List.copyOf(candidates)) {
        Map<String, Object> configuration = Json.parsed(candidate.getAs("configuration"));
        if (texts(configuration).anyMatch(text -> mentions(text, ancestors))) {
          Object output = configuration.get("output");
          String run = candidate.getAs(Table.RUN_ID);
          candidates.remove(candidate);
          ancestors.add(run);
          if (output != null) {
            ancestors.add(normal(output.toString()));
          }
          found.add(
              new Descendant(
                  run, candidate.getAs("job"), output == null ? null : output.toString()));
          grows = true;
        }
      }
    }
    return found;
  }

  /**
   * For each complete run the runs whose rows or directories it read at first hand, both in the
   * order of their ids.
   */
  static Map<String, List<String>> parents(Tables tables) {
    Map<String, Set<String>> names = new TreeMap<>();
    Map<String, Map<String, Object>> configurations = new TreeMap<>();
    for (Row run : tables.completeRuns()) {
      String id = run.getAs(Table.RUN_ID);
      Map<String, Object> configuration = Json.parsed(run.getAs("configuration"));
      configurations.put(id, configuration);
      Object output = configuration.get("output");
      names.put(id, output == null ? Set.of(id) : Set.of(id, normal(output.toString())));
    }
    Map<String, List<String>> parents = new TreeMap<>();
    configurations.forEach(
        (id, configuration) ->
            parents.put(
                id,
                names.keySet().stream()
                    .filter(other -> !other.equals(id))
                    .filter(
                        other ->
                            texts(configuration).anyMatch(text -> mentions(text, names.get(other))))
                    .toList()));
    return parents;
  }

  private static Stream<String> texts(Map<String, Object> configuration) {
    return configuration.entrySet().stream()
        .filter(entry -> !entry.getKey().equals("output"))
        .map(Map.Entry::getValue)
        .flatMap(value -> value instanceof List<?> list ? list.stream() : Stream.of(value))
        .map(String::valueOf);
  }

  /**
   * A run by its name as a word, or a folder, or one in it, by its path; also within {@code
   * DIR=WEIGHT} and {@code NAME=RUN@ITERATION}.
   */
  private static boolean mentions(String text, Set<String> ancestors) {
    return Stream.of(text.split("[\\s:,=@]+")).anyMatch(ancestors::contains)
        || Stream.concat(Stream.of(text), Stream.of(text.split("=")))
            .map(Path::of)
            .map(Path::normalize)
            .flatMap(path -> Stream.iterate(path, Objects::nonNull, Path::getParent))
            .anyMatch(folder -> ancestors.contains(folder.toString()));
  }

  private static String normal(String path) {
    return Path.of(path).normalize().toString();
  }
}
