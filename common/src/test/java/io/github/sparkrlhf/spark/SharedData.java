package io.github.sparkrlhf.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Files of the folder {@code shared} beside the project's root, which holds real data that is no
 * part of the project. Another place is given by the system property {@code sparkrlhf.shared}.
 */
public final class SharedData {
  private static final Path FOLDER =
      Path.of(System.getProperty("sparkrlhf.shared", "../../shared")).toAbsolutePath().normalize();

  private SharedData() {}

  /**
   * A file of the folder. Without the folder the test is skipped; with the folder but without the
   * file it fails, so that a renamed file does not silently turn tests off.
   */
  public static Path file(String path) {
    assumeTrue(Files.isDirectory(FOLDER), () -> "Skipped: there is no folder " + FOLDER);
    Path file = FOLDER.resolve(path);
    assertThat(file).exists();
    return file;
  }
}
