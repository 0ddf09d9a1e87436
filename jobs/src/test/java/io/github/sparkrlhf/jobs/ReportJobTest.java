package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReportJobTest {
  private static final String HOSTILE =
      "</p><script>alert(1)</script><img src=\"http://evil.example/x\" onerror='alert(2)'> &"
          + " \u0007<|endoftext|>";

  private Path folder;
  private SparkSession spark;
  private Tables tables;
  private String page;
  private Document document;

  @BeforeAll
  void writesTablesAndAReport(@TempDir Path shared) throws Exception {
    folder = shared;
    spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    tables = Tables.open(spark, "rlhf", "rlhf");
    tables.registerViews();
    feedback();
    reward();
    ppo();
    other();
    assertThat(report("--run", "ppo-1").err()).isEmpty();
    page = Files.readString(file());
    document =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new ByteArrayInputStream(page.getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void aBrowserShowsItWithoutErrorsAndAsksNobodyForAnything() throws Exception {
    HeadlessBrowser browser = browser();
    Path visits = Files.createDirectories(folder.resolve("browser"));
    for (int width : new int[] {390, 1280}) {
      HeadlessBrowser.Visit visit = browser.visit(file(), visits, width);
      assertThat(visit.console()).isEmpty();
      // The browser looks for updates of its own; of the texts' addresses it must not know.
      assertThat(visit.hosts()).noneMatch(host -> page.contains(host));
      assertThat(visit.screenshot()).isNotEmptyFile();
    }
    // A page that does ask is noticed.
    Path bad = visits.resolve("bad.html");
    Files.writeString(bad, "<img src='http://evil.example/x'><script>console.error('no')</script>");
    HeadlessBrowser.Visit visit = browser.visit(bad, visits, 390);
    assertThat(visit.hosts()).contains("evil.example");
    assertThat(visit.console()).isNotEmpty();
  }

  @Test
  void axeFindsNothingInLightAndDarkOnAPhoneAndADesktop() throws Exception {
    HeadlessBrowser browser = browser();
    Path visits = Files.createDirectories(folder.resolve("axe"));
    String axe =
        new String(
            ReportJobTest.class.getResourceAsStream("/axe.min.js").readAllBytes(),
            StandardCharsets.UTF_8);
    String script =
        axe
            + """
            ;document.querySelectorAll('details').forEach(each => each.open = true);
            axe.run(document, {resultTypes: ['violations', 'passes']}).then(found =>
              document.title = getComputedStyle(document.body).backgroundColor + ': '
                + found.passes.filter(pass => pass.id == 'color-contrast').length + ' '
                + JSON.stringify(found.violations.map(each =>
                    [each.id, each.nodes.slice(0, 3).map(node => node.html)])));
            """;
    Path open = withoutPolicy(visits, "");
    for (int width : new int[] {390, 1280}) {
      assertThat(browser.run(open, script, visits, width, false))
          .isEqualTo("rgb(255, 255, 255): 1 []");
      assertThat(browser.run(open, script, visits, width, true)).isEqualTo("rgb(20, 23, 27): 1 []");
    }
    // What is hard to read is found.
    assertThat(
            browser.run(
                withoutPolicy(visits, "<p style='color:#eee;background:#fff'>pale</p>"),
                script,
                visits,
                390,
                false))
        .contains("[[\"color-contrast\"")
        .contains("pale");
  }

  @Test
  void theKeyboardReachesEverythingAndShowsWhereItIs() throws Exception {
    String script =
        """
        document.querySelectorAll('details').forEach(each => each.open = true);
        const all = [...document.querySelectorAll('a[href], summary, [tabindex="0"]')];
        const hidden = all.filter(each => {
          each.focus();
          return document.activeElement != each || getComputedStyle(each).outlineStyle == 'none';
        });
        const wide = [...document.querySelectorAll('body *')].filter(each =>
          ['auto', 'scroll'].includes(getComputedStyle(each).overflowX) && each.tabIndex != 0);
        const order = document.querySelectorAll('[tabindex]:not([tabindex="0"], [tabindex="-1"])');
        document.title = [all[0].className, all.length > 20, hidden.length, wide.length,
          order.length, document.documentElement.scrollWidth <= innerWidth].join(' ');
        """;
    Path visits = Files.createDirectories(folder.resolve("keyboard"));
    assertThat(browser().run(withoutPolicy(visits, ""), script, visits, 500, false))
        .isEqualTo("skip true 0 0 0 true");
  }

  private static HeadlessBrowser browser() {
    HeadlessBrowser browser = HeadlessBrowser.find().orElse(null);
    assumeTrue(browser != null, "there is no Chromium on the PATH");
    return browser;
  }

  /** The page as it is, but for the policy that forbids all scripts, and with more in its body. */
  private Path withoutPolicy(Path visits, String more) throws Exception {
    Path copy = visits.resolve("open.html");
    Files.writeString(
        copy,
        page.replaceFirst("<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "")
            .replace("</main>", more + "</main>"));
    return copy;
  }

  private void feedback() {
    Run run = tables.begin("pairs", "votes", "{\"input\":[\"log.parquet\"]}");
    write(run, Table.PAIRS, "SELECT 'p' || id AS pair_id, id < 3 AS decided FROM range(4)");
    write(run, Table.QUARANTINE, "SELECT 'blank_prompt' AS reason FROM range(2)");
    write(run, Table.SPLITS, "SELECT 'train' AS split, 4 AS pairs");
    write(
        run,
        Table.AGREEMENT,
        "SELECT 'all' AS source, 'comparison' AS kind, 'krippendorff_alpha_nominal' AS metric, 0.4"
            + " AS value, 0.3 AS low, 0.5 AS high, 4 AS judgements");
    write(
        run,
        Table.ANNOTATORS,
        "SELECT 'w' || id AS annotator_id, 5 AS votes, id / 10D AS accuracy, id = 0 AS spam, if(id"
            + " = 0, 'random', NULL) AS spam_reason FROM range(9)");
    write(
        run,
        Table.BIAS_AUDIT,
        "SELECT 'all' AS source, 'all' AS split, 'longer' AS rule, 0.6 AS accuracy, 0.5 AS low, 0.7"
            + " AS high, 3 AS n, 1 AS undecided");
    run.complete(Map.of("rows", 12, "quarantine", 2, "comparisons", 10));
  }

  private void reward() {
    Run run =
        tables.begin(
            "reward", "reward-1", "{\"inputs\":[\"pairs of run votes\"],\"output\":\"m/reward\"}");
    write(
        run,
        Table.REWARD_METRICS,
        "SELECT 'test' AS split, slice, '<b>' || slice AS slice_value, 'accuracy' AS metric, 0.7 AS"
            + " value, 0.6 AS low, 0.8 AS high, 50 AS n FROM VALUES ('all'), ('source') AS"
            + " s(slice)");
    write(
        run,
        Table.RELIABILITY,
        "SELECT 'test' AS split, 'none' AS method, id AS bin, 10 AS n, 0.5 + id / 10 AS predicted,"
            + " 0.5 + id / 12 AS observed, 0.4 AS low, 1.0 AS high FROM range(4)");
    run.complete(Map.of());
  }

  private void ppo() {
    Run run = tables.begin("ppo", "ppo-1", "{\"output\":\"m/<i>ppo</i>\",\"reward\":\"m/reward\"}");
    write(
        run,
        Table.PPO_METRICS,
        "SELECT cast(id AS INT) AS iteration, metric, id * 0.5 AS value FROM range(4), VALUES"
            + " ('objective/kl'), ('objective/raw_scores'), ('policy/entropy_avg'),"
            + " ('watchdog/scores') AS m(metric)");
    SampleTables.write(run, Table.ROLLOUTS, rollouts());
    run.complete(
        Map.of(
            "after",
            HOSTILE,
            "alarms",
            List.of("iteration 2: objective/kl is above 20"),
            "kept_iteration",
            1));
  }

  private Dataset<Row> rollouts() {
    return spark
        .range(4)
        .select(
            col("id").cast("int").as("iteration"),
            lit(HOSTILE).as("prompt"),
            concat(lit(HOSTILE), col("id")).as("response"),
            lit(0).as("sample"),
            lit("r").as("rollout_id"),
            lit(true).as("stopped"));
  }

  /** What no policy descends from. */
  private void other() {
    Run run = tables.begin("reward", "unrelated", "{}");
    write(
        run,
        Table.REWARD_METRICS,
        "SELECT 'test' AS split, 'all' AS slice, 'all' AS slice_value, 'accuracy' AS metric, 0.5 AS"
            + " value, 50 AS n");
    run.complete(Map.of());
    Run folds = tables.begin("crossvalidate", "folds", "{}");
    write(
        folds,
        Table.REWARD_FOLDS,
        "SELECT candidate, 'forest' AS kind, fold, 'mean_fold_accuracy' AS metric, 0.731 AS value,"
            + " 0.7 AS low, 0.76 AS high, 9 AS n FROM VALUES ('trees'), ('<i>more</i>') AS"
            + " c(candidate), VALUES ('one'), ('two'), (NULL) AS f(fold)");
    folds.complete(Map.of());
    Run explained = tables.begin("explain", "explained", "{}");
    write(
        explained,
        Table.EXPLANATIONS,
        "SELECT 'reward' AS model, 'bradley-terry' AS kind, explains, 0 AS position, item, 0.4 AS"
            + " value, array('<b>good', 'fine') AS terms FROM VALUES ('weight', 'words:bucket_7'),"
            + " ('word', 'secretword') AS e(explains, item)");
    explained.complete(Map.of());
  }

  @Test
  void tellsOfTheRunAndOfAllThatItWasMadeFrom() {
    assertThat(sections())
        .containsExactly("feedback-0", "reward", "ppo", "samples", "provenance", "configuration");
    String provenance = text("provenance");
    assertThat(provenance.indexOf("ppo-1")).isLessThan(provenance.indexOf("reward-1"));
    assertThat(provenance.indexOf("reward-1")).isLessThan(provenance.indexOf("votes by pairs"));
    assertThat(provenance).contains("log.parquet");
    assertThat(page).doesNotContain("unrelated");
  }

  @Test
  void saysWhatTheTablesSay() {
    assertThat(text("feedback-0"))
        .contains("blank_prompt")
        .contains("krippendorff alpha nominal")
        .contains("random");
    assertThat(text("reward")).contains("0.700").contains("0.600 to 0.800");
    assertThat(text("samples")).contains("before").contains("after");
    assertThat(text("ppo"))
        .contains("Score by the watcher")
        .contains("iteration 2: objective/kl is above 20")
        .contains("iteration 1 were kept");
    assertThat(elements("svg")).hasSizeGreaterThan(5);
  }

  @Test
  void whatPeopleWroteIsTextAndNothingElse() {
    assertThat(elements("script")).isEmpty();
    assertThat(elements("img")).isEmpty();
    assertThat(elements("i")).isEmpty();
    assertThat(attributes()).noneMatch(attribute -> attribute.startsWith("on"));
    // A control character is in no page.
    assertThat(text("samples")).contains(HOSTILE.replace('\u0007', '\uFFFD'));
  }

  @Test
  void nothingIsRequested() {
    assertThat(attributes()).noneMatch(attribute -> attribute.startsWith("src"));
    assertThat(elements("a"))
        .isNotEmpty()
        .allMatch(link -> link.getAttribute("href").startsWith("#"));
    assertThat(elements("link")).isEmpty();
    assertThat(elements("style").get(0).getTextContent())
        .doesNotContain("url(")
        .doesNotContain("@import");
    assertThat(page).contains("default-src &#39;none&#39;");
  }

  @Test
  void everyLinkLeadsSomewhereAndEveryNameIsUnique() {
    List<String> ids =
        elements("*").stream()
            .map(element -> element.getAttribute("id"))
            .filter(id -> !id.isEmpty())
            .toList();
    assertThat(ids).doesNotHaveDuplicates();
    Set<String> known = new HashSet<>(ids);
    assertThat(elements("a"))
        .allMatch(link -> known.contains(link.getAttribute("href").substring(1)));
    assertThat(elements("clipPath")).isNotEmpty();
  }

  @Test
  void aReportIsReplacedAndAnythingElseIsNot() throws Exception {
    CommandLineRun again = report("--run", "ppo-1");
    assertThat(again.out()).contains("already complete");
    assertThat(report("--output", path("all.html")).out()).contains("6 runs in");
    assertThat(Files.readString(folder.resolve("all.html")))
        .contains("unrelated")
        .contains("Candidates on 2 folds")
        .contains("0.731 (0.700 to 0.760)")
        .contains("&lt;i&gt;more")
        .contains("words:bucket_7")
        .contains("&lt;b&gt;good, fine")
        .doesNotContain("secretword");
    assertThat(report("--output", path("all.html"), "--samples", "0").exitCode()).isZero();
    assertThat(Files.readString(folder.resolve("all.html"))).doesNotContain("id=\"samples\"");

    Files.writeString(folder.resolve("letter.html"), "Dear");
    CommandLineRun letter = report("--output", path("letter.html"));
    assertThat(letter.exitCode()).isEqualTo(2);
    assertThat(letter.err()).contains("it exists and is no report");

    CommandLineRun unknown = report("--run", "nothing");
    assertThat(unknown.exitCode()).isEqualTo(2);
    assertThat(unknown.err())
        .startsWith("Cannot tell of run 'nothing': it is not complete; complete runs: ");
  }

  private List<String> sections() {
    return elements("section").stream().map(section -> section.getAttribute("id")).toList();
  }

  private String text(String section) {
    return elements("section").stream()
        .filter(element -> element.getAttribute("id").equals(section))
        .map(Element::getTextContent)
        .findFirst()
        .orElseThrow();
  }

  private List<Element> elements(String tag) {
    NodeList found = document.getElementsByTagName(tag);
    return IntStream.range(0, found.getLength()).mapToObj(i -> (Element) found.item(i)).toList();
  }

  private Set<String> attributes() {
    return elements("*").stream()
        .flatMap(
            element ->
                IntStream.range(0, element.getAttributes().getLength())
                    .mapToObj(i -> element.getAttributes().item(i).getNodeName()))
        .collect(Collectors.toSet());
  }

  private void write(Run run, Table table, String query) {
    SampleTables.write(run, table, spark.sql(query));
  }

  private CommandLineRun report(String... options) {
    List<String> command =
        new ArrayList<>(
            List.of("report", "--output", file().toString(), "--warehouse", path("warehouse")));
    Stream.of(options).forEach(command::add);
    return CommandLineRun.of(command.toArray(String[]::new));
  }

  private Path file() {
    return folder.resolve("out").resolve("report.html");
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
