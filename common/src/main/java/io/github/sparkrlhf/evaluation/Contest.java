package io.github.sparkrlhf.evaluation;

import io.github.sparkrlhf.feedback.WilsonInterval;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** The responses of one policy against those of another, or against references. */
public final class Contest {
  /**
   * What people said of two responses.
   *
   * @param chosen the one that is more probably the better one
   */
  public record Verdict(String prompt, String chosen, String rejected) {}

  private final Map<String, List<Answer>> ours;
  private final Map<String, List<Answer>> theirs;

  /** Only prompts that both have answered count. */
  public Contest(List<Answer> ours, List<Answer> theirs) {
    this.ours = byPrompt(ours);
    this.theirs = byPrompt(theirs);
    this.ours.keySet().retainAll(this.theirs.keySet());
  }

  private static Map<String, List<Answer>> byPrompt(List<Answer> answers) {
    Map<String, List<Answer>> grouped = new TreeMap<>();
    answers.forEach(
        answer -> grouped.computeIfAbsent(answer.prompt(), each -> new ArrayList<>()).add(answer));
    return grouped;
  }

  /** Win rates by reward; none if there is no prompt or no reward. */
  public List<Measurement> byReward(long seed) {
    List<WinRate.Duel> duels = new ArrayList<>();
    ours.forEach(
        (prompt, answers) -> {
          if (answers.get(0).score() != null && theirs.get(prompt).get(0).score() != null) {
            duels.add(duel(prompt, answers, theirs.get(prompt)));
          }
        });
    if (duels.isEmpty()) {
      return List.of();
    }
    WinRate rates = new WinRate(duels, seed);
    return List.of(
        measurement("win_rate", rates.plain(), duels.size()),
        measurement("length_controlled_win_rate", rates.lengthControlled(), duels.size()));
  }

  private static Measurement measurement(String metric, WinRate.Rate rate, int n) {
    return new Measurement(metric, rate.value(), rate.low(), rate.high(), n);
  }

  private static WinRate.Duel duel(String prompt, List<Answer> ours, List<Answer> theirs) {
    double wins = 0;
    for (Answer our : ours) {
      for (Answer their : theirs) {
        wins += (1 + Math.signum(our.score() - their.score())) / 2;
      }
    }
    return new WinRate.Duel(
        prompt, wins / (ours.size() * theirs.size()), length(ours) - length(theirs));
  }

  private static double length(List<Answer> answers) {
    return answers.stream().mapToInt(answer -> answer.response().length()).average().orElse(0);
  }

  /**
   * What people said where they compared a response of ours with one of theirs: how often they
   * prefer ours, and how often the reward agrees with them.
   */
  public List<Measurement> byPeople(List<Verdict> verdicts) {
    Map<List<String>, Double> our = scores(ours);
    Map<List<String>, Double> their = scores(theirs);
    long n = 0;
    double wins = 0;
    double agreed = 0;
    Set<Verdict> once = new HashSet<>(verdicts);
    for (Verdict verdict : once) {
      List<String> chosen = List.of(verdict.prompt(), verdict.chosen());
      List<String> rejected = List.of(verdict.prompt(), verdict.rejected());
      boolean won = our.containsKey(chosen) && their.containsKey(rejected);
      boolean lost = their.containsKey(chosen) && our.containsKey(rejected);
      if (won != lost) {
        n++;
        wins += won ? 1 : 0;
        Double better = won ? our.get(chosen) : their.get(chosen);
        Double worse = won ? their.get(rejected) : our.get(rejected);
        agreed += (1 + Math.signum(better - worse)) / 2;
      }
    }
    if (n == 0) {
      return List.of();
    }
    List<Measurement> measurements = new ArrayList<>(List.of(share("human_win_rate", wins, n)));
    if (!Double.isNaN(agreed)) {
      measurements.add(share("reward_agrees_with_people", agreed, n));
    }
    return measurements;
  }

  private static Measurement share(String metric, double successes, long n) {
    WilsonInterval interval = WilsonInterval.of(successes, n);
    return new Measurement(metric, successes / n, interval.low(), interval.high(), n);
  }

  /** Of each response its score, NaN without one. */
  private static Map<List<String>, Double> scores(Map<String, List<Answer>> answers) {
    Map<List<String>, Double> scores = new HashMap<>();
    answers.forEach(
        (prompt, each) ->
            each.forEach(
                answer ->
                    scores.put(
                        List.of(prompt, answer.response()),
                        answer.score() == null ? Double.NaN : answer.score())));
    return scores;
  }
}
