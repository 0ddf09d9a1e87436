package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Option;

/** What is known about prompts besides their text: reference responses, and slices. */
final class EvaluationPrompts {
  private static final String ALL = "all";

  /** Upper ends, in words, of the ranges of lengths. */
  private static final int[] WORDS = {8, 32, 128};

  @Option(
      names = "--prompts",
      paramLabel = "PATH|TABLE",
      description =
          "A Parquet path (file, folder, glob) or a table name with what is known about prompts;"
              + " prompts that are not in it do not count (default: nothing is known).")
  private String input;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      defaultValue = "prompt",
      description = "The prompt there (default: column ${DEFAULT-VALUE}).")
  private String prompt;

  @Option(
      names = "--reference",
      paramLabel = "EXPRESSION",
      description =
          "A reference response to it, such as a demonstration: an opponent in win rates, and what"
              + " BLEU and ROUGE compare with (default: none).")
  private String reference;

  @Option(
      names = "--slice",
      paramLabel = "NAME=EXPRESSION",
      description =
          "A property of prompts, such as topic=topic, by which everything is also measured; may be"
              + " repeated (default: only by length).")
  private List<String> slices = List.of();

  /**
   * What is known.
   *
   * @param prompts those there are; empty if nothing is known
   * @param references by prompt
   * @param values by slice and prompt
   */
  record Known(
      Optional<Set<String>> prompts,
      Map<String, String> references,
      Map<String, Map<String, String>> values) {
    /** The prompts by slice and value: all, those with enough prompts. */
    Map<String, Map<String, Set<String>>> slices(Set<String> evaluated, int fewest) {
      Map<String, Map<String, Set<String>>> slices = new LinkedHashMap<>();
      slices.put(ALL, Map.of(ALL, evaluated));
      add(slices, "prompt_length", evaluated, EvaluationPrompts::length, fewest);
      values.forEach((name, of) -> add(slices, name, evaluated, of::get, fewest));
      return slices;
    }

    private static void add(
        Map<String, Map<String, Set<String>>> slices,
        String name,
        Set<String> evaluated,
        UnaryOperator<String> value,
        int fewest) {
      Map<String, Set<String>> byValue = new TreeMap<>();
      for (String each : evaluated) {
        String of = value.apply(each);
        if (of != null) {
          byValue.computeIfAbsent(of, key -> new TreeSet<>()).add(each);
        }
      }
      byValue.values().removeIf(members -> members.size() < fewest);
      slices.put(name, byValue);
    }
  }

  private static String length(String prompt) {
    int words = prompt.strip().split("\\s+", -1).length;
    for (int i = 0; i < WORDS.length; i++) {
      if (words < WORDS[i]) {
        return (i == 0 ? "1" : WORDS[i - 1]) + " to " + (WORDS[i] - 1) + " words";
      }
    }
    return WORDS[WORDS.length - 1] + " words and more";
  }

  void validate(Given given) {
    if (input == null) {
      given.refuse(List.of("prompt", "reference", "slice"), "only --prompts has columns");
    }
    for (String slice : slices) {
      Given.require(
          slice.matches("(?s)\\w+=.+") && !Set.of(ALL, "prompt_length").contains(name(slice)),
          "slice",
          slice,
          "NAME=EXPRESSION with another name than all and prompt_length");
    }
  }

  List<String> fingerprints(JobContext context) {
    return input == null ? List.of() : List.of(Inputs.fingerprint(context.spark(), input));
  }

  private static String name(String slice) {
    return slice.split("=", 2)[0];
  }

  /**
   * Reads what is known; of a prompt that stands there several times the least of each value.
   *
   * @throws JobFailure usage, if an expression cannot be evaluated
   */
  Known read(JobContext context) {
    if (input == null) {
      return new Known(Optional.empty(), Map.of(), Map.of());
    }
    Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
    List<Column> columns = new ArrayList<>();
    columns.add(Inputs.expression(rows, "--prompt", prompt).cast("string").as("prompt"));
    if (reference != null) {
      columns.add(Inputs.expression(rows, "--reference", reference).cast("string").as("reference"));
    }
    for (String slice : slices) {
      columns.add(
          Inputs.expression(rows, "--slice", slice.split("=", 2)[1])
              .cast("string")
              .as("slice " + name(slice)));
    }
    Map<String, String> references = new HashMap<>();
    Map<String, Map<String, String>> values = new LinkedHashMap<>();
    slices.forEach(slice -> values.put(name(slice), new HashMap<>()));
    Set<String> prompts = new TreeSet<>();
    for (Row row : rows.select(columns.toArray(Column[]::new)).collectAsList()) {
      String text = row.getAs("prompt");
      if (text == null) {
        continue;
      }
      prompts.add(text);
      if (reference != null) {
        least(references, text, row.getAs("reference"));
      }
      values.forEach((name, of) -> least(of, text, row.getAs("slice " + name)));
    }
    return new Known(Optional.of(prompts), references, values);
  }

  private static void least(Map<String, String> values, String key, String value) {
    if (value != null) {
      values.merge(key, value, (a, b) -> a.compareTo(b) <= 0 ? a : b);
    }
  }
}
