package io.github.sparkrlhf.reward;

import java.util.List;

/**
 * What one feature counts in a model.
 *
 * @param feature its name
 * @param weight its coefficient, or its importance
 * @param terms for a hash bucket the terms of texts that fall into it, the most frequent first;
 *     otherwise empty
 */
public record FeatureWeight(String feature, double weight, List<String> terms) {}
