package io.github.sparkrlhf.lm;

import java.io.Serializable;

/**
 * One message of a conversation.
 *
 * @param role who speaks, as a rule {@code system}, {@code user} or {@code assistant}
 * @param content what is said, plain text
 */
public record ChatMessage(String role, String content) implements Serializable {
  /** The role whose messages the model writes. */
  public static final String ASSISTANT = "assistant";

  /** The role of who asks. */
  public static final String USER = "user";

  /** Whether the model wrote, or is to write, this message. */
  public boolean isAssistant() {
    return role.equals(ASSISTANT);
  }
}
