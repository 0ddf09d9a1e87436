package io.github.sparkrlhf.report;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.SparkSession;

/**
 * One page of HTML about some runs that needs nothing else: no script, no network. It has a section
 * only where the runs have its tables.
 */
public final class ReportPage {
  private static final String STYLE = "report.css";

  /** Nothing but what stands in the page itself. */
  private static final String POLICY = "default-src 'none'; style-src 'unsafe-inline'";

  private final SparkSession spark;
  private final List<ShownRun> runs;
  private final String title;
  private final int samples;

  /**
   * @param spark in which the tables are views of complete runs
   * @param runs in the order in which they are shown
   * @param title of the page
   * @param samples how many prompts are shown with their responses
   */
  public ReportPage(SparkSession spark, List<ShownRun> runs, String title, int samples) {
    this.spark = spark;
    this.runs = List.copyOf(runs);
    this.title = title;
    this.samples = samples;
  }

  /**
   * The page.
   *
   * @param generator what made it, for a program that finds it later
   */
  public String html(String generator) {
    List<Section> sections = sections();
    return "<!DOCTYPE html>\n"
        + Html.tag("html").with("lang", "en").holding(head(generator), body(sections)).markup()
        + "\n";
  }

  private List<Section> sections() {
    ReportTables shown = new ReportTables(spark, runs);
    RunsSections ofRuns = new RunsSections(runs);
    List<Section> sections = new ArrayList<>(FeedbackSection.of(shown));
    sections.addAll(RewardSection.of(shown));
    sections.addAll(FoldsSection.of(shown));
    sections.addAll(ExplanationSection.of(shown));
    sections.addAll(TrainingSection.of(shown));
    sections.addAll(PpoSection.of(shown));
    sections.addAll(EvaluationSection.of(shown));
    sections.addAll(SamplesSection.of(shown, samples));
    sections.add(ofRuns.provenance());
    sections.add(ofRuns.configuration());
    return sections;
  }

  private Html head(String generator) {
    return Html.of(
        "head",
        Html.tag("meta").with("charset", "utf-8").holding(),
        meta("viewport", "width=device-width, initial-scale=1"),
        meta("color-scheme", "light dark"),
        meta("generator", generator),
        Html.tag("meta")
            .with("http-equiv", "Content-Security-Policy")
            .with("content", POLICY)
            .holding(),
        Html.of("title", title),
        Html.of("style", Html.trusted(style())));
  }

  private static Html meta(String name, String content) {
    return Html.tag("meta").with("name", name).with("content", content).holding();
  }

  private Html body(List<Section> sections) {
    List<Html> links =
        sections.stream()
            .map(
                section ->
                    Html.of(
                        "li",
                        Html.tag("a")
                            .with("href", "#" + section.anchor())
                            .holding(section.title())))
            .toList();
    List<Html> main = new ArrayList<>(List.of(figures(sections)));
    sections.forEach(section -> main.add(section.html()));
    return Html.of(
        "body",
        Html.tag("a").with("class", "skip").with("href", "#main").holding("Skip to the content"),
        Html.of(
            "header",
            Html.of("h1", title),
            Html.of("p", runs.size() == 1 ? "One run." : runs.size() + " runs."),
            Html.tag("nav").with("aria-label", "Sections").holding(Html.tag("ul").holding(links))),
        Html.tag("main").with("id", "main").with("tabindex", "-1").holding(main));
  }

  private static Html figures(List<Section> sections) {
    List<Html> figures = new ArrayList<>();
    for (Section section : sections) {
      for (Section.Figure figure : section.figures()) {
        figures.add(
            Html.of(
                "div",
                Html.of("dt", figure.label()),
                Html.of("dd", figure.value()),
                Html.tag("dd").with("class", "note").holding(figure.note())));
      }
    }
    return figures.isEmpty()
        ? Html.all()
        : Html.tag("dl").with("class", "figures").holding(figures);
  }

  private static String style() {
    try (InputStream style = ReportPage.class.getResourceAsStream(STYLE)) {
      return new String(style.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
