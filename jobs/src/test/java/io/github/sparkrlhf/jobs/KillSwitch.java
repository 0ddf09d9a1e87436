package io.github.sparkrlhf.jobs;

import com.sun.jna.NativeLibrary;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;

/**
 * Kills the driver that it listens in, by SIGKILL from within, at a point that a test chooses: when
 * a Spark job starts or ends, or a file appears. So the code that is tested needs no hooks.
 */
public final class KillSwitch extends SparkListener {
  /** The setting that chooses the point. */
  static final String POINT = "spark.rlhf.test.kill";

  /** What a driver that was killed by a signal ends with. */
  static final int EXIT_CODE = 137;

  private static final int SIGKILL = 9;
  private static final long PAUSE_NANOSECONDS = 100_000;
  private static final String SEPARATOR = "\t";
  private static final String DESCRIPTION = "spark.job.description";

  private final String kind;
  private final String wanted;
  private final Set<Integer> awaited = ConcurrentHashMap.newKeySet();

  /** Called by Spark, by reflection, because of {@code spark.extraListeners}. */
  public KillSwitch(SparkConf conf) {
    String[] point = conf.get(POINT).split(SEPARATOR, -1);
    this.kind = point[0];
    this.wanted = point[1];
    if (kind.equals("file")) {
      Path folder = Path.of(wanted);
      Pattern name = Pattern.compile(point[2]);
      Set<String> before = names(folder);
      Thread watcher = new Thread(() -> watch(folder, name, before), "kill-switch");
      watcher.setDaemon(true);
      watcher.start();
    }
  }

  /** The point at which a job starts whose description contains a text. */
  static String atStartOf(String job) {
    return "start" + SEPARATOR + job;
  }

  /** The point at which such a job has ended. */
  static String atEndOf(String job) {
    return "end" + SEPARATOR + job;
  }

  /** The point at which a file appears in a folder that was not there when the driver started. */
  static String whenAppears(Path folder, String name) {
    return "file" + SEPARATOR + folder + SEPARATOR + name;
  }

  @Override
  public void onJobStart(SparkListenerJobStart started) {
    Properties properties = started.properties();
    String description = properties == null ? null : properties.getProperty(DESCRIPTION);
    if (description != null && description.contains(wanted)) {
      if (kind.equals("start")) {
        kill(description);
      }
      awaited.add(started.jobId());
    }
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd ended) {
    if (kind.equals("end") && awaited.contains(ended.jobId())) {
      kill("the end of " + wanted);
    }
  }

  /** Hardly with a pause: some files are there for some milliseconds. */
  private static void watch(Path folder, Pattern name, Set<String> before) {
    while (true) {
      for (String file : names(folder)) {
        if (!before.contains(file) && name.matcher(file).matches()) {
          kill(file);
        }
      }
      LockSupport.parkNanos(PAUSE_NANOSECONDS);
    }
  }

  private static Set<String> names(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).collect(Collectors.toSet());
    } catch (NoSuchFileException e) {
      return Set.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void kill(String what) {
    System.out.println("killed at " + what);
    NativeLibrary.getInstance("c")
        .getFunction("kill")
        .invokeInt(new Object[] {(int) ProcessHandle.current().pid(), SIGKILL});
  }
}
