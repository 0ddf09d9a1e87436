package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.jar.JarOutputStream;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StandaloneClusterIT {
  private static final Duration TIMEOUT = Duration.ofMinutes(2);
  private static final List<String> CONF =
      List.of("spark.executor.memory=512m", "spark.executor.cores=1", "spark.ui.enabled=false");

  @TempDir static Path directory;
  private static StandaloneCluster cluster;
  private static Path jar;

  @BeforeAll
  static void start() throws IOException {
    jar = jarOf(ClusterProbe.class);
    cluster = StandaloneCluster.start(directory.resolve("cluster"), 2, 1, "1g");
  }

  @AfterAll
  static void stop() {
    if (cluster != null) {
      cluster.close();
    }
  }

  @Test
  void runsTasksInOtherProcessesAndPassesTheExitCodeOn() throws IOException {
    Path open = Files.createFile(directory.resolve("open"));
    StandaloneCluster.Result result =
        cluster.submit(TIMEOUT, CONF, ClusterProbe.class.getName(), jar, open.toString(), "3");
    assertThat(result.output()).contains("probe: 4 tasks, outside the driver: true");
    assertThat(result.exitCode()).isEqualTo(3);
  }

  @Test
  void aKilledExecutorCostsOnlyItsTasksTime() throws IOException {
    Path gate = directory.resolve("gate");
    StandaloneCluster.Submission submission =
        cluster.submitInBackground(CONF, ClusterProbe.class.getName(), jar, gate.toString(), "0");
    ProcessHandle victim = cluster.awaitExecutors(2, TIMEOUT).get(0);
    cluster.kill(victim);
    assertThat(submission.isRunning()).isTrue();
    Files.createFile(gate);
    StandaloneCluster.Result result = submission.await(TIMEOUT);
    assertThat(result.output()).contains("probe: 4 tasks, outside the driver: true");
    assertThat(result.exitCode()).isZero();
  }

  private static Path jarOf(Class<?> type) throws IOException {
    String entry = type.getName().replace('.', '/') + ".class";
    Path file = directory.resolve("probe.jar");
    try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(file));
        InputStream bytes = type.getClassLoader().getResourceAsStream(entry)) {
      out.putNextEntry(new ZipEntry(entry));
      bytes.transferTo(out);
    }
    return file;
  }
}
