package io.github.sparkrlhf.lm;

import ai.djl.engine.Engine;
import com.sun.jna.Library;
import com.sun.jna.Native;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkEnv;

/**
 * Loads PyTorch once per JVM with the settings that the project relies on: as many intra-op threads
 * as {@code spark.task.cpus} (their number decides the last bits of a gradient), no download, and
 * an allocator that keeps its memory (glibc's default costs a quarter of the speed).
 */
public final class TorchRuntime {
  private static final int M_TRIM_THRESHOLD = -1;
  private static final int M_TOP_PAD = -2;
  private static final int M_MMAP_THRESHOLD = -3;

  private static boolean loaded;

  private TorchRuntime() {}

  private interface LibC extends Library {
    int mallopt(int parameter, int value);
  }

  /** Loads the engine if this JVM has not done so yet. */
  public static synchronized void load() {
    if (loaded) {
      return;
    }
    configureLibrary();
    setIfAbsent("ai.djl.pytorch.num_threads", Integer.toString(threadsPerTask()));
    setIfAbsent("ai.djl.pytorch.num_interop_threads", "1");
    // TorchScript as it is written: an optimised graph, from the third call on, may round
    // otherwise.
    setIfAbsent("ai.djl.pytorch.graph_optimizer", "false");
    keepMemory();
    Engine.getInstance();
    loaded = true;
  }

  /** Settings that DJL reads before it unpacks any native library, the tokenizers' too. */
  static void configureLibrary() {
    setIfAbsent("ai.djl.offline", "true");
    useWritableCache();
  }

  private static int threadsPerTask() {
    SparkEnv env = SparkEnv.get();
    return env == null ? 1 : env.conf().getInt("spark.task.cpus", 1);
  }

  /** DJL unpacks its native library below the home directory, which may be read-only. */
  private static void useWritableCache() {
    Path home = Path.of(System.getProperty("user.home", "/"));
    if (System.getenv("DJL_CACHE_DIR") == null && !Files.isWritable(home)) {
      setIfAbsent("DJL_CACHE_DIR", Path.of(System.getProperty("java.io.tmpdir"), "djl").toString());
    }
  }

  private static void keepMemory() {
    if (System.getenv("MALLOC_MMAP_THRESHOLD_") != null) {
      return;
    }
    LibC libc = Native.load("c", LibC.class);
    int unused = libc.mallopt(M_MMAP_THRESHOLD, 1 << 30);
    unused += libc.mallopt(M_TRIM_THRESHOLD, Integer.MAX_VALUE);
    unused += libc.mallopt(M_TOP_PAD, 1 << 28);
    if (unused != 3) {
      // Another C library than glibc: slower, not wrong.
      org.slf4j.LoggerFactory.getLogger(TorchRuntime.class)
          .warn("The C library takes no allocator settings; training will be slower");
    }
  }

  private static void setIfAbsent(String key, String value) {
    if (System.getProperty(key) == null) {
      System.setProperty(key, value);
    }
  }
}
