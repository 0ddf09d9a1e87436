package io.github.sparkrlhf.evaluation;

/**
 * A response of a policy, with what is known of it.
 *
 * @param prompt the prompt
 * @param response the response
 * @param tokens its length, the stop token included
 * @param stopped whether the policy ended it
 * @param score its reward; null without a reward model
 * @param nats log π(response | prompt) of the policy; null if it is not known
 * @param referenceNats the same of the reference policy; null without one
 */
public record Answer(
    String prompt,
    String response,
    int tokens,
    boolean stopped,
    Double score,
    Double nats,
    Double referenceNats) {}
