package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;

/**
 * A (prompt, response) as a short dense vector: {@link TextStyle}, then for each hash bucket ln(1 +
 * words of the response in it). What trees and small networks read.
 */
final class DenseFeatures implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int buckets;

  /**
   * Features with so many buckets of words.
   *
   * @param buckets 0 for style alone
   */
  DenseFeatures(int buckets) {
    if (buckets < 0) {
      throw new IllegalArgumentException("buckets must not be negative");
    }
    this.buckets = buckets;
  }

  int buckets() {
    return buckets;
  }

  int size() {
    return TextStyle.NAMES.size() + buckets;
  }

  /** What each number is. */
  List<String> names() {
    List<String> names = new ArrayList<>(TextStyle.NAMES);
    for (int bucket = 0; bucket < buckets; bucket++) {
      names.add("bucket_" + bucket);
    }
    return Collections.unmodifiableList(names);
  }

  /** The features; in single precision, which is what saved thresholds and weights have. */
  float[] of(String prompt, String response) {
    List<String> words = TextFeatures.words(response);
    double[] style = TextStyle.of(response, TextFeatures.words(prompt), words);
    float[] features = new float[size()];
    for (int i = 0; i < style.length; i++) {
      features[i] = (float) style[i];
    }
    if (buckets > 0) {
      int[] counts = new int[buckets];
      words.forEach(word -> counts[bucket(word, buckets)]++);
      for (int i = 0; i < buckets; i++) {
        features[style.length + i] = (float) Math.log1p(counts[i]);
      }
    }
    return features;
  }

  private static int bucket(String word, int buckets) {
    return (int) Math.floorMod(StableHash.of(word), (long) buckets);
  }

  /** The words of the response. */
  record Hashing(int buckets) implements BucketTerms.Hashing {
    private static final long serialVersionUID = 1L;

    @Override
    public Stream<BucketTerms.Term> terms(String prompt, String response) {
      return TextFeatures.words(response).stream()
          .map(word -> new BucketTerms.Term(bucket(word, buckets), word));
    }
  }
}
