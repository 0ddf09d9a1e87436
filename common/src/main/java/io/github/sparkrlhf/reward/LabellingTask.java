package io.github.sparkrlhf.reward;

import java.io.Serializable;

/**
 * Two responses to a prompt that somebody should compare.
 *
 * @param id the id of the pair
 * @param probability that the first is better, the mean over reward models
 * @param disagreement of the reward models, nats: see {@link TaskChoice}
 */
public record LabellingTask(
    String id,
    String prompt,
    String responseA,
    String responseB,
    double probability,
    double disagreement)
    implements Serializable {}
