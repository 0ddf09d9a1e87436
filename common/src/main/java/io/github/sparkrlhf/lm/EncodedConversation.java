package io.github.sparkrlhf.lm;

/**
 * A conversation as tokens.
 *
 * @param ids the token ids
 * @param assistant for each token, whether it belongs to a turn of the assistant, the token that
 *     ends the turn included
 */
public record EncodedConversation(int[] ids, boolean[] assistant) {}
