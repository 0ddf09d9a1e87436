package io.github.sparkrlhf.jobs;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Chromium without a window, if this machine has it. */
final class HeadlessBrowser {
  private static final List<String> NAMES =
      List.of("chromium", "chromium-browser", "google-chrome", "chrome");
  private static final Pattern CONSOLE = Pattern.compile(".*:CONSOLE[:(].*");
  private static final Pattern URL = Pattern.compile("\"url\":\"(?:https?|wss?)://([^/\"]+)");
  private static final Pattern TITLE = Pattern.compile("(?s)<title>(.*?)</title>");
  private static final int TIMEOUT_SECONDS = 60;

  private final Path program;

  /**
   * What a page did.
   *
   * @param console lines that it wrote to the console, errors among them
   * @param hosts that were asked for anything, the browser's own among them
   * @param screenshot a PNG file
   */
  record Visit(List<String> console, TreeSet<String> hosts, Path screenshot) {}

  private HeadlessBrowser(Path program) {
    this.program = program;
  }

  static Optional<HeadlessBrowser> find() {
    return Stream.of(System.getenv("PATH").split(File.pathSeparator))
        .flatMap(folder -> NAMES.stream().map(name -> Path.of(folder, name)))
        .filter(Files::isExecutable)
        .findFirst()
        .map(HeadlessBrowser::new);
  }

  /** Opens a file, and looks at it in a window of a width in CSS pixels. */
  Visit visit(Path page, Path folder, int width) throws IOException, InterruptedException {
    Path log = folder.resolve("browser.log");
    Path network = folder.resolve("network.json");
    Path screenshot = folder.resolve("page-" + width + ".png");
    start(
        page,
        folder,
        log,
        log,
        "--log-net-log=" + network,
        "--enable-logging=stderr",
        "--window-size=" + width + ",900",
        "--screenshot=" + screenshot);
    TreeSet<String> hosts = new TreeSet<>();
    Matcher url = URL.matcher(Files.readString(network));
    while (url.find()) {
      hosts.add(url.group(1));
    }
    List<String> console =
        Files.readAllLines(log).stream().filter(line -> CONSOLE.matcher(line).matches()).toList();
    return new Visit(console, hosts, screenshot);
  }

  /**
   * Runs a script in a page until it is idle.
   *
   * @param page that allows scripts
   * @param script may be asynchronous; its last act is to set {@code document.title}
   * @param dark whether the system prefers dark colours
   * @return that title
   */
  String run(Path page, String script, Path folder, int width, boolean dark)
      throws IOException, InterruptedException {
    Path with = folder.resolve("scripted.html");
    Files.writeString(
        with, Files.readString(page).replace("</body>", "<script>" + script + "</script></body>"));
    Path dom = folder.resolve("dom.html");
    start(
        with,
        folder,
        dom,
        folder.resolve("browser.log"),
        "--blink-settings=preferredColorScheme=" + (dark ? 0 : 1),
        "--window-size=" + width + ",900",
        "--virtual-time-budget=60000",
        "--dump-dom");
    Matcher title = TITLE.matcher(Files.readString(dom));
    if (!title.find()) {
      throw new IOException("the page has no title: " + Files.readString(dom));
    }
    return title.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
  }

  private void start(Path page, Path folder, Path out, Path err, String... options)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                program.toString(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                "--user-data-dir=" + folder.resolve("profile")));
    command.addAll(Arrays.asList(options));
    command.add(page.toUri().toString());
    ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(out.toFile());
    if (err.equals(out)) {
      builder.redirectErrorStream(true);
    } else {
      builder.redirectError(err.toFile());
    }
    Process process = builder.start();
    if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IOException("the browser did not end: " + Files.readString(err));
    }
  }
}
