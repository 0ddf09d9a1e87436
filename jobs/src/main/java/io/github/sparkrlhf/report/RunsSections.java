package io.github.sparkrlhf.report;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Which run was made from which, and with which options. */
final class RunsSections {
  /** Options that say what a run read besides other runs. */
  private static final List<String> SOURCES = List.of("input", "prompts", "messages");

  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm 'UTC'", Locale.ROOT).withZone(ZoneOffset.UTC);

  private final List<ShownRun> runs;

  RunsSections(List<ShownRun> runs) {
    this.runs = runs;
  }

  /** From what nothing was made back to the votes. */
  Section provenance() {
    Set<String> parents =
        runs.stream().flatMap(run -> run.parents().stream()).collect(Collectors.toSet());
    Set<String> told = new HashSet<>();
    List<Html> roots =
        runs.stream()
            .filter(run -> !parents.contains(run.id()))
            .map(run -> tree(run, told))
            .toList();
    Html body =
        Html.all(
            Html.of(
                "p",
                "Below each run stand those that it was made from, back to the logs of votes and"
                    + " texts."),
            Html.tag("ul").with("class", "tree").holding(roots));
    return new Section("provenance", "Provenance", List.of(), body);
  }

  private Html tree(ShownRun run, Set<String> told) {
    List<Html> line =
        new ArrayList<>(
            List.of(
                Html.tag("a").with("href", "#" + anchor(run)).holding(run.id()),
                Html.text(" by "),
                Html.of("b", run.job())));
    if (run.configuration().get("output") != null) {
      line.add(Html.text(", which wrote "));
      line.add(Html.of("code", String.valueOf(run.configuration().get("output"))));
    }
    boolean first = told.add(run.id());
    List<Html> below = new ArrayList<>();
    if (first) {
      run.parents().stream()
          .map(this::byId)
          .flatMap(Optional::stream)
          .forEach(parent -> below.add(tree(parent, told)));
      sources(run).forEach(source -> below.add(Html.of("li", Html.of("code", source))));
    } else if (!run.parents().isEmpty()) {
      line.add(Html.text(" (see above)"));
    }
    Html head = Html.all(line);
    return below.isEmpty()
        ? Html.of("li", head)
        : Html.of("li", head, Html.tag("ul").holding(below));
  }

  private Optional<ShownRun> byId(String id) {
    return runs.stream().filter(run -> run.id().equals(id)).findFirst();
  }

  private Stream<String> sources(ShownRun run) {
    return SOURCES.stream()
        .map(run.configuration()::get)
        .flatMap(value -> value instanceof List<?> list ? list.stream() : Stream.ofNullable(value))
        .map(String::valueOf);
  }

  /** All options of all runs. */
  Section configuration() {
    List<Html> all = new ArrayList<>();
    for (ShownRun run : runs) {
      all.add(
          Html.tag("details")
              .with("id", anchor(run))
              .holding(
                  Html.of("summary", run.id() + ", " + run.job()),
                  Html.of(
                      "p",
                      "Begun %s, complete after %s, by version %s."
                          .formatted(
                              TIME.format(run.startedAt()),
                              duration(run.startedAt(), run.completedAt()),
                              run.version())),
                  options("Options and inputs of " + run.id(), run.configuration()),
                  options("Summary of " + run.id(), run.summary())));
    }
    return new Section("configuration", "Configuration", List.of(), Html.all(all));
  }

  private static Html options(String caption, Map<String, Object> values) {
    return Html.table(
        caption,
        List.of("name", "value"),
        0,
        values.entrySet().stream()
            .map(entry -> List.of(Html.text(entry.getKey()), value(entry.getValue())))
            .toList());
  }

  private static Html value(Object value) {
    if (value instanceof List<?> list) {
      return Html.tag("ul")
          .holding(list.stream().map(item -> Html.of("li", String.valueOf(item))).toList());
    }
    return Html.text(String.valueOf(value));
  }

  private String anchor(ShownRun run) {
    return "run-" + runs.indexOf(run);
  }

  private static String duration(Instant from, Instant to) {
    long seconds = Duration.between(from, to).toSeconds();
    return seconds < 120 ? seconds + " seconds" : seconds / 60 + " minutes";
  }
}
