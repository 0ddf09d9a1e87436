package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;

/**
 * Trains a byte-level BPE tokenizer as in GPT-2: Spark counts the pre-tokens, the driver learns the
 * merges from the counts. All 256 bytes are tokens, so any text can be encoded.
 *
 * <p>The result is a function of the multiset of texts: partitioning and row order do not matter.
 * The driver holds one entry per distinct pre-token.
 */
public final class BpeTrainer {
  /** The three special tokens and the 256 bytes. */
  public static final int MINIMUM_VOCABULARY_SIZE =
      TokenizerJson.SPECIAL_TOKENS + ByteAlphabet.SIZE;

  /**
   * The pattern of GPT-2, as the ByteLevel pre-tokenizer of Hugging Face has it. White space is
   * spelled out as a Unicode property because Java's {@code \s} means ASCII.
   */
  private static final Pattern PRE_TOKEN =
      Pattern.compile(
          "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{IsWhite_Space}\\p{L}\\p{N}]+"
              + "|\\p{IsWhite_Space}+(?!\\P{IsWhite_Space})|\\p{IsWhite_Space}+");

  private final int vocabularySize;

  /**
   * @param vocabularySize how many tokens there shall be, at least {@link
   *     #MINIMUM_VOCABULARY_SIZE}; there will be fewer if the texts run out of pairs that occur
   *     twice
   * @throws JobFailure if the size is too small
   */
  public BpeTrainer(int vocabularySize) {
    if (vocabularySize < MINIMUM_VOCABULARY_SIZE) {
      throw JobFailure.usage(
          "Cannot train a tokenizer of %d tokens: the special tokens and the bytes alone are %d"
              .formatted(vocabularySize, MINIMUM_VOCABULARY_SIZE));
    }
    this.vocabularySize = vocabularySize;
  }

  /**
   * Trains on the texts; null texts are skipped.
   *
   * @throws JobFailure if there is no text
   */
  public TokenizerFile train(Dataset<String> texts) {
    Map<String, Long> counts =
        JobDescriptions.described(
            texts.sparkSession().sparkContext(),
            "tokenizer: count pre-tokens",
            () -> preTokenCounts(texts));
    if (counts.isEmpty()) {
      throw JobFailure.dataQuality("Cannot train a tokenizer: there is no text to learn from");
    }
    List<BpeMerges.Merge> merges =
        BpeMerges.learn(counts, vocabularySize - MINIMUM_VOCABULARY_SIZE);
    return TokenizerJson.trained(merges);
  }

  private static Map<String, Long> preTokenCounts(Dataset<String> texts) {
    List<Row> rows =
        texts
            .flatMap((FlatMapFunction<String, String>) BpeTrainer::preTokens, Encoders.STRING())
            .groupBy("value")
            .count()
            .collectAsList();
    Map<String, Long> counts = new HashMap<>(2 * rows.size());
    rows.forEach(row -> counts.put(row.getString(0), row.getLong(1)));
    return counts;
  }

  static Iterator<String> preTokens(String text) {
    if (text == null) {
      return List.<String>of().iterator();
    }
    Matcher matcher = PRE_TOKEN.matcher(text);
    return matcher.results().map(result -> result.group()).iterator();
  }
}
