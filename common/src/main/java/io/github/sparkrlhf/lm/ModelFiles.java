package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The files of a model directory, which may come from anywhere: a name is never a way out of the
 * directory, and no file is read into memory that is larger than such a file ever is.
 */
public final class ModelFiles {
  /** The longest JSON that is read: four times the largest tokenizer that is published. */
  private static final long MAX_TEXT_BYTES = 128L << 20;

  private static final ObjectMapper JSON = new ObjectMapper();

  private ModelFiles() {}

  /**
   * A file of a model directory.
   *
   * @throws JobFailure if it does not exist, is no regular file, or lies elsewhere behind a
   *     symbolic link
   */
  public static Path require(Path file) {
    if (!Files.isRegularFile(file)) {
      throw JobFailure.failure("Cannot read " + file + ": there is no such file");
    }
    try {
      Path directory = file.toAbsolutePath().getParent().toRealPath();
      if (!file.toRealPath().startsWith(directory)) {
        throw JobFailure.failure(
            "Cannot read "
                + file
                + ": it is a link to a file outside of the model's directory; copy the directory"
                + " with what its links point to (cp -rL)");
      }
      return file;
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read " + file + ": " + e, e);
    }
  }

  /**
   * The text of a file of a model directory.
   *
   * @throws JobFailure as {@link #require}; and if it is not UTF-8 or far too long
   */
  public static String text(Path file) {
    try {
      long size = Files.size(require(file));
      if (size > MAX_TEXT_BYTES) {
        throw JobFailure.failure(
            "Cannot read " + file + ": " + size + " bytes are too many for such a file");
      }
      return Files.readString(file);
    } catch (CharacterCodingException e) {
      throw JobFailure.failure("Cannot read " + file + ": it is not UTF-8", e);
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read " + file + ": " + e, e);
    }
  }

  /**
   * The JSON of a file of a model directory.
   *
   * @throws JobFailure as {@link #text}; and if it is not JSON
   */
  public static JsonNode json(Path file) {
    return json(text(file), file.toString());
  }

  /**
   * A text as JSON.
   *
   * @param name whose text it is
   * @throws JobFailure if it is not JSON
   */
  static JsonNode json(String text, String name) {
    try {
      return JSON.readTree(text);
    } catch (JsonProcessingException e) {
      throw JobFailure.failure(
          "Cannot read " + name + ": it is not JSON (" + e.getOriginalMessage() + ")", e);
    }
  }
}
