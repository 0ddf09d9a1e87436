package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.feedback.SimulatedLanguage.Clause;
import io.github.sparkrlhf.feedback.SimulatedLanguage.Role;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;

/**
 * What the simulated annotators really want: a formula over any text, also one that a policy makes
 * up. The text is read as a sequence of known clauses and stray words.
 *
 * <pre>
 *   +2.0  an answer to the question's topic
 *   +0.5  each different polite clause, two at most
 *   -0.3  a hedge
 *   -0.5  a vague answer
 *   -0.4  each different filler, two at most
 *   -1.0  each different answer to another topic, two at most
 *   -1.5  each different rude clause, two at most
 *   -0.5  each repetition of a clause, four at most
 *   -0.15 each word outside all clauses, 20 at most
 *   -0.1  each word beyond 18, 20 at most
 *   -4.0  nothing at all instead of all that
 * </pre>
 *
 * All terms are bounded, so no repetition raises the reward without limit: it lies in [−15, 3].
 */
public final class GoldReward {
  /** The highest reward there is. */
  public static final double MAXIMUM = 3;

  private static final double EMPTY = -4;
  private static final int FREE_WORDS = 18;
  private static final List<Clause> CLAUSES = SimulatedLanguage.clauses();

  private GoldReward() {}

  /** The reward of a response to a prompt. */
  public static double of(String prompt, String response) {
    List<String> words = SimulatedLanguage.words(response);
    if (words.isEmpty()) {
      return EMPTY;
    }
    int topic = SimulatedLanguage.topicOf(prompt);
    Set<Clause> found = new HashSet<>();
    int repetitions = 0;
    int strays = 0;
    int at = 0;
    while (at < words.size()) {
      Clause clause = clauseAt(words, at);
      if (clause == null) {
        strays++;
        at++;
      } else {
        repetitions += found.add(clause) ? 0 : 1;
        at += clause.words().size();
      }
    }
    return content(found, topic)
        - 0.5 * Math.min(4, repetitions)
        - 0.15 * Math.min(20, strays)
        - 0.1 * Math.min(20, Math.max(0, words.size() - FREE_WORDS));
  }

  /** {@link #of} over columns. */
  public static Column column(Column prompt, Column response) {
    UDF2<String, String, Double> gold = GoldReward::of;
    return functions.udf(gold, DataTypes.DoubleType).apply(prompt, response);
  }

  private static double content(Set<Clause> found, int topic) {
    boolean answered = found.stream().anyMatch(c -> c.role() == Role.ANSWER && c.topic() == topic);
    long astray = found.stream().filter(c -> c.role() == Role.ANSWER && c.topic() != topic).count();
    return (answered ? 2 : 0)
        - 1.0 * Math.min(2, astray)
        + 0.5 * Math.min(2, count(found, Role.POLITE))
        - 0.3 * Math.min(1, count(found, Role.HEDGE))
        - 0.5 * Math.min(1, count(found, Role.VAGUE))
        - 0.4 * Math.min(2, count(found, Role.FILLER))
        - 1.5 * Math.min(2, count(found, Role.RUDE));
  }

  private static long count(Set<Clause> found, Role role) {
    return found.stream().filter(clause -> clause.role() == role).count();
  }

  private static Clause clauseAt(List<String> words, int at) {
    for (Clause clause : CLAUSES) {
      int end = at + clause.words().size();
      if (end <= words.size() && words.subList(at, end).equals(clause.words())) {
        return clause;
      }
    }
    return null;
  }
}
