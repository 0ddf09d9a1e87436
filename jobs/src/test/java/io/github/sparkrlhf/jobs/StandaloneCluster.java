package io.github.sparkrlhf.jobs;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import org.apache.spark.launcher.JavaModuleOptions;

/**
 * A real standalone cluster on this machine, every part a JVM of its own: a master, workers, and
 * for each submission a driver and its executors, which a test may kill. It needs no Spark
 * distribution, only a folder whose {@code jars} holds Spark's.
 */
final class StandaloneCluster implements AutoCloseable {
  private static final Duration START_TIMEOUT = Duration.ofSeconds(90);
  private static final Duration STOP_TIMEOUT = Duration.ofSeconds(20);
  private static final long POLL_MILLISECONDS = 100;
  private static final String EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend";

  /** The JVMs live for seconds: what they compile thoroughly, or verify, they hardly use. */
  static final List<String> QUICK =
      List.of(
          "-XX:TieredStopAtLevel=1",
          "-XX:+UseSerialGC",
          "-XX:+UnlockDiagnosticVMOptions",
          "-XX:-BytecodeVerificationRemote");

  /** Where {@code prepare-package} of this module puts Spark's jars. */
  static final Path SPARK_HOME = Path.of("target", "spark").toAbsolutePath();

  /**
   * What a submission ended with.
   *
   * @param exitCode of the driver's process
   * @param output what it wrote to both of its streams
   */
  record Result(int exitCode, String output) {}

  private final Path directory;
  private final List<Process> workers = new ArrayList<>();
  private final List<Submission> submissions = new ArrayList<>();
  private final Thread closeAtExit = new Thread(this::killAll);
  private final int port = freePort();
  private final int webPort = freePort();
  private Process master;

  private StandaloneCluster(Path directory) {
    this.directory = directory;
  }

  /**
   * Starts a cluster and waits until all its workers are registered.
   *
   * @param directory for logs and the workers' files
   * @param coresPerWorker task threads that a worker offers
   * @param memoryPerWorker memory that a worker offers, such as {@code 2g}
   */
  static StandaloneCluster start(
      Path directory, int workers, int coresPerWorker, String memoryPerWorker) throws IOException {
    if (!Files.isDirectory(SPARK_HOME.resolve("jars"))) {
      throw new IllegalStateException(SPARK_HOME + "/jars is missing: run mvn package first");
    }
    StandaloneCluster cluster = new StandaloneCluster(directory);
    Runtime.getRuntime().addShutdownHook(cluster.closeAtExit);
    boolean started = false;
    try {
      cluster.startMaster();
      for (int i = 0; i < workers; i++) {
        cluster.startWorker(i, coresPerWorker, memoryPerWorker);
      }
      cluster.await(
          workers + " workers", START_TIMEOUT, () -> cluster.masterSays("aliveworkers", workers));
      started = true;
      return cluster;
    } finally {
      if (!started) {
        cluster.close();
      }
    }
  }

  private void startMaster() throws IOException {
    master =
        launch(
            "master.log",
            List.of("-Xmx512m"),
            "org.apache.spark.deploy.master.Master",
            "--host",
            "127.0.0.1",
            "--port",
            Integer.toString(port),
            "--webui-port",
            Integer.toString(webPort));
  }

  private void startWorker(int number, int cores, String memory) throws IOException {
    workers.add(
        launch(
            "worker-" + number + ".log",
            List.of("-Xmx512m"),
            "org.apache.spark.deploy.worker.Worker",
            "--host",
            "127.0.0.1",
            "--webui-port",
            "0",
            "-c",
            Integer.toString(cores),
            "-m",
            memory,
            "-d",
            directory.resolve("worker-" + number).toString(),
            url()));
  }

  /** The master's URL. */
  String url() {
    return "spark://127.0.0.1:" + port;
  }

  /**
   * Submits in client mode, without waiting.
   *
   * @param conf Spark settings of the form {@code key=value}
   */
  Submission submitInBackground(List<String> conf, String mainClass, Path appJar, String... args)
      throws IOException {
    List<String> command = new ArrayList<>(List.of("--master", url(), "--class", mainClass));
    command.addAll(List.of("--conf", "spark.executor.extraJavaOptions=" + String.join(" ", QUICK)));
    for (String setting : conf) {
      command.addAll(List.of("--conf", setting));
    }
    command.add(appJar.toString());
    command.addAll(Arrays.asList(args));
    String log = "driver-" + submissions.size() + ".log";
    Process driver =
        launch(
            log,
            List.of("-Xmx1g"),
            "org.apache.spark.deploy.SparkSubmit",
            command.toArray(String[]::new));
    Submission submission = new Submission(driver, directory.resolve(log));
    submissions.add(submission);
    return submission;
  }

  /** A driver that may still run. */
  final class Submission {
    private final Process driver;
    private final Path log;

    private Submission(Process driver, Path log) {
      this.driver = driver;
      this.log = log;
    }

    /** What the driver has written so far. */
    String output() {
      try {
        return Files.readString(log);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    boolean isRunning() {
      return driver.isAlive();
    }

    /** Kills the driver as the kernel would. */
    void kill() {
      driver.destroyForcibly();
      StandaloneCluster.this.await("the end of " + log, STOP_TIMEOUT, () -> !driver.isAlive());
    }

    /** Waits until the driver has written the text; fails at once when it ends without it. */
    void awaitOutput(Pattern text, Duration timeout) {
      StandaloneCluster.this.await(
          "'" + text + "' in " + log,
          timeout,
          () -> {
            boolean running = driver.isAlive();
            if (text.matcher(output()).find()) {
              return true;
            }
            if (!running) {
              throw new IllegalStateException("the driver ended without '" + text + "': " + tail());
            }
            return false;
          });
    }

    /** Waits for the end; a driver that takes longer is killed, and the wait fails. */
    Result await(Duration timeout) {
      try {
        StandaloneCluster.this.await("the end of " + log, timeout, () -> !driver.isAlive());
      } finally {
        driver.destroyForcibly();
      }
      return new Result(driver.exitValue(), output());
    }

    private String tail() {
      String output = output();
      return output.substring(Math.max(0, output.length() - 4000));
    }
  }

  /** The executors that run now, of all submissions. */
  List<ProcessHandle> executors() {
    return workers.stream()
        .flatMap(Process::descendants)
        .filter(StandaloneCluster::isExecutor)
        .toList();
  }

  /** Waits until that many executors run. */
  List<ProcessHandle> awaitExecutors(int count, Duration timeout) {
    await(count + " executors", timeout, () -> executors().size() >= count);
    return executors();
  }

  /** Kills an executor as the kernel would, without a chance to say goodbye. */
  void kill(ProcessHandle executor) {
    executor.destroyForcibly();
    await("the end of executor " + executor.pid(), STOP_TIMEOUT, () -> !executor.isAlive());
  }

  /** From /proc, because ProcessHandle gives up on command lines as long as Spark's. */
  private static boolean isExecutor(ProcessHandle process) {
    try {
      byte[] commandLine =
          Files.readAllBytes(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
      return Arrays.asList(new String(commandLine, StandardCharsets.UTF_8).split("\0"))
          .contains(EXECUTOR);
    } catch (IOException e) {
      // It ended in between.
      return false;
    }
  }

  private Process launch(String log, List<String> options, String mainClass, String... args)
      throws IOException {
    List<String> command = java(options, mainClass);
    command.addAll(Arrays.asList(args));
    Files.createDirectories(directory);
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve(log).toFile());
    builder.environment().putAll(environment());
    return builder.start();
  }

  private static List<String> java(List<String> options, String mainClass) {
    List<String> command = new ArrayList<>();
    command.add(ProcessHandle.current().info().command().orElse("java"));
    command.addAll(QUICK);
    command.addAll(options);
    command.addAll(List.of(JavaModuleOptions.defaultModuleOptions().split(" ")));
    command.addAll(List.of("-cp", SPARK_HOME.resolve("jars") + File.separator + "*", mainClass));
    return command;
  }

  private Map<String, String> environment() {
    return Map.of(
        "SPARK_HOME",
        SPARK_HOME.toString(),
        "SPARK_SCALA_VERSION",
        "2.12",
        "SPARK_LOCAL_IP",
        "127.0.0.1",
        "SPARK_LOCAL_DIRS",
        directory.resolve("local").toString());
  }

  /**
   * Writes the command {@code spark-submit}, for command lines as people and Airflow write them.
   *
   * @return the folder that holds it, to be put on the PATH
   */
  Path commands() throws IOException {
    StringBuilder script = new StringBuilder("#!/bin/sh\n");
    environment().forEach((key, value) -> script.append("export " + key + "='" + value + "'\n"));
    script.append("exec");
    java(List.of("-Xmx1g"), "org.apache.spark.deploy.SparkSubmit")
        .forEach(word -> script.append(" '" + word + "'"));
    script.append(" \"$@\"\n");
    Path folder = Files.createDirectories(directory.resolve("bin"));
    Path file = Files.writeString(folder.resolve("spark-submit"), script);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    return folder;
  }

  private boolean masterSays(String key, int number) {
    if (!master.isAlive()) {
      throw new IllegalStateException("the master ended; see " + directory.resolve("master.log"));
    }
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + webPort + "/json/"))
            .timeout(Duration.ofSeconds(5))
            .build();
    try {
      String status =
          HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
      return status.replaceAll("\\s", "").contains("\"" + key + "\":" + number + ",");
    } catch (IOException e) {
      // Not listening yet.
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }

  private void await(String what, Duration timeout, BooleanSupplier condition) {
    long deadline = System.nanoTime() + timeout.toNanos();
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException(
            "waited " + timeout.toSeconds() + " s in vain for " + what + "; logs: " + directory);
      }
      try {
        TimeUnit.MILLISECONDS.sleep(POLL_MILLISECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException("interrupted", e);
      }
    }
  }

  private static int freePort() {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Children first: the executors of a dead worker would belong to nobody. */
  private List<ProcessHandle> killAll() {
    List<ProcessHandle> processes = new ArrayList<>();
    for (Submission submission : submissions) {
      processes.add(submission.driver.toHandle());
    }
    for (Process worker : workers) {
      worker.descendants().forEach(processes::add);
      processes.add(worker.toHandle());
    }
    if (master != null) {
      processes.add(master.toHandle());
    }
    processes.forEach(ProcessHandle::destroyForcibly);
    return processes;
  }

  @Override
  public void close() {
    Runtime.getRuntime().removeShutdownHook(closeAtExit);
    List<ProcessHandle> processes = killAll();
    await(
        "the end of the cluster",
        STOP_TIMEOUT,
        () -> processes.stream().noneMatch(ProcessHandle::isAlive));
  }
}
