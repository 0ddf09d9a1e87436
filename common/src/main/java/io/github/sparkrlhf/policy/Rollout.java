package io.github.sparkrlhf.policy;

import java.io.Serializable;

/**
 * A sampled response.
 *
 * @param id unique in its iteration
 * @param promptId the prompt's id
 * @param sample number among the samples of the prompt
 * @param prompt prompt token ids
 * @param response response token ids, the stop token included if there is one
 * @param stopped whether it ends with a stop token or at a stop string
 * @param samplerLogProbabilities of each response token when it was drawn, in nats
 */
public record Rollout(
    String id,
    String promptId,
    int sample,
    int[] prompt,
    int[] response,
    boolean stopped,
    float[] samplerLogProbabilities)
    implements Serializable {}
