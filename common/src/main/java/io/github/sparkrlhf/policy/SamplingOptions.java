package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;

/**
 * How tokens are drawn, and when a response is over.
 *
 * @param temperature the logits are divided by it; 0 takes the most likely token
 * @param maxNewTokens longest response in tokens, the stop token included
 * @param stop what ends a response before that
 * @param filter what else is done to the logits
 */
public record SamplingOptions(double temperature, int maxNewTokens, Stop stop, LogitFilter filter)
    implements Serializable {

  /**
   * What ends a response: any of the tokens, or any of the strings in the text of the response.
   *
   * @param tokens token ids
   * @param strings none empty
   * @param tokenizer that reads the text; not needed without strings
   */
  public record Stop(List<Integer> tokens, List<String> strings, TokenizerFile tokenizer)
      implements Serializable {
    /** Checks the strings. */
    public Stop {
      if (strings.stream().anyMatch(String::isEmpty)) {
        throw JobFailure.usage("Cannot sample: a stop string is empty");
      }
      tokens = List.copyOf(tokens);
      strings = List.copyOf(strings);
    }

    /** Stops at tokens only. */
    public static Stop at(List<Integer> tokens) {
      return new Stop(tokens, List.of(), null);
    }

    /** The text before the first stop string in it. */
    public String before(String text) {
      int end = text.length();
      for (String string : strings) {
        int place = text.indexOf(string);
        end = place < 0 ? end : Math.min(end, place);
      }
      return text.substring(0, end);
    }

    private boolean isIn(int[] response) {
      String text = Tokenizer.of(tokenizer).decode(response);
      return strings.stream().anyMatch(text::contains);
    }
  }

  /** Options without a filter, as PPO needs them: what is sampled is what it scores. */
  public SamplingOptions(double temperature, int maxNewTokens, Stop stop) {
    this(temperature, maxNewTokens, stop, LogitFilter.NONE);
  }

  /** Checks the ranges. */
  public SamplingOptions {
    if (!(temperature >= 0) || Double.isInfinite(temperature)) {
      throw JobFailure.usage("Cannot sample: temperature " + temperature + " is not >= 0");
    }
    if (maxNewTokens < 1) {
      throw JobFailure.usage("Cannot sample: max new tokens " + maxNewTokens + " is not >= 1");
    }
  }

  /**
   * Whether a response is over.
   *
   * @param response token ids, of which the first {@code length} count
   */
  boolean stops(int[] response, int length) {
    if (stop.tokens().contains(response[length - 1])) {
      return true;
    }
    return !stop.strings().isEmpty() && stop.isIn(Arrays.copyOf(response, length));
  }
}
