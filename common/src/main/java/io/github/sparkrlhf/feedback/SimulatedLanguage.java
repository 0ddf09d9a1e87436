package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * The small language of the simulated log: questions to a shop's support, and answers put together
 * from clauses, some good and some bad.
 */
final class SimulatedLanguage {
  /** What a clause does in an answer. */
  enum Role {
    POLITE,
    HEDGE,
    ANSWER,
    VAGUE,
    FILLER,
    RUDE
  }

  /**
   * A piece of an answer.
   *
   * @param topic the index of the topic that it answers, −1 if it is no answer
   * @param words its words in lower case
   */
  record Clause(Role role, int topic, String text, List<String> words) {
    static Clause of(Role role, int topic, String text) {
      return new Clause(role, topic, text, SimulatedLanguage.words(text));
    }
  }

  /**
   * What a question is about.
   *
   * @param cue the word by which a prompt shows its topic
   * @param need what the customer wants to do; the product follows
   */
  private record Topic(String cue, String need, List<String> answers) {}

  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{N}']+");

  private static final List<Topic> TOPICS =
      List.of(
          topic(
              "parcel",
              "track the parcel with my",
              "The parcel arrives within two days.",
              "Please follow the tracking link."),
          topic(
              "password",
              "reset the password of my",
              "Use the reset link on the login page.",
              "We sent a new code by email."),
          topic(
              "refund",
              "get a refund for my",
              "The refund takes five working days.",
              "The money goes back to your card."),
          topic(
              "invoice",
              "find the invoice for my",
              "The invoice is in your account.",
              "You can download the bill there."),
          topic(
              "warranty",
              "use the warranty of my",
              "The warranty lasts two years.",
              "Repairs are free in that time."),
          topic(
              "battery",
              "fix the battery of my",
              "Charge it for one full night.",
              "We can send a new battery."),
          topic(
              "screen",
              "fix the screen of my",
              "Clean the screen and restart it.",
              "Turn the brightness up."),
          topic(
              "software",
              "update the software of my",
              "Install the latest version.",
              "Open the settings and tap update."),
          topic(
              "discount",
              "get a discount on my",
              "The discount ends on Sunday.",
              "Enter the coupon at checkout."),
          topic(
              "colour",
              "change the colour of my",
              "It comes in black and silver.",
              "Choose the colour on the product page."),
          topic(
              "cancel",
              "cancel the order of my",
              "Press cancel in the order list.",
              "We can stop it before shipping."),
          topic(
              "manual",
              "find the manual for my",
              "The manual is on our website.",
              "Scan the code on the box."));

  private static final List<String> FRAMES =
      List.of(
          "How do I %s %s?",
          "How can I %s %s?",
          "Can you help me %s %s?",
          "I want to %s %s.",
          "Please tell me how to %s %s.",
          "I do not know how to %s %s.");

  private static final List<String> PRODUCTS =
      List.of("phone", "laptop", "camera", "printer", "tablet", "headset", "watch", "router");

  private static final List<Clause> GREETINGS =
      clauses(Role.POLITE, "Hello!", "Good morning.", "Thank you for asking.");
  private static final List<Clause> APOLOGIES =
      clauses(Role.POLITE, "Sorry about that.", "We are sorry.");
  private static final List<Clause> HEDGES = clauses(Role.HEDGE, "Maybe", "I guess");
  private static final List<Clause> VAGUE =
      clauses(Role.VAGUE, "It depends.", "I am not sure.", "Look it up somewhere.");
  private static final List<Clause> FILLERS =
      clauses(Role.FILLER, "Well, you know.", "It is what it is.", "As I said before.");
  private static final List<Clause> POLITE_CLOSINGS =
      clauses(Role.POLITE, "Have a nice day.", "We are happy to help.");
  private static final List<Clause> RUDE_CLOSINGS =
      clauses(Role.RUDE, "That is your own fault.", "Stop asking me.", "Do not bother us.");

  private SimulatedLanguage() {}

  /** How many different prompts there are. */
  static int prompts() {
    return TOPICS.size() * FRAMES.size() * PRODUCTS.size();
  }

  /** The prompt with the number. */
  static String prompt(int number) {
    int rest = number / TOPICS.size();
    return FRAMES
        .get(rest % FRAMES.size())
        .formatted(topic(number).need(), PRODUCTS.get(rest / FRAMES.size()));
  }

  /** The index of the topic of a prompt, −1 if it has none. */
  static int topicOf(String prompt) {
    List<String> words = words(prompt);
    for (int topic = 0; topic < TOPICS.size(); topic++) {
      if (words.contains(TOPICS.get(topic).cue())) {
        return topic;
      }
    }
    return -1;
  }

  /** All clauses, the longest first. */
  static List<Clause> clauses() {
    List<Clause> all = new ArrayList<>();
    for (List<Clause> group :
        List.of(GREETINGS, APOLOGIES, HEDGES, VAGUE, FILLERS, POLITE_CLOSINGS, RUDE_CLOSINGS)) {
      all.addAll(group);
    }
    for (int topic = 0; topic < TOPICS.size(); topic++) {
      for (String answer : TOPICS.get(topic).answers()) {
        all.add(Clause.of(Role.ANSWER, topic, answer));
      }
    }
    all.sort((a, b) -> Integer.compare(b.words().size(), a.words().size()));
    return List.copyOf(all);
  }

  /**
   * An answer of a mediocre assistant: on topic half of the time, polite or rude by chance.
   *
   * @param key what the answer is a function of, with the random numbers
   */
  static String response(CounterRandom random, int promptNumber, long key, long attempt) {
    Draws draws = new Draws(random, key, attempt);
    List<String> parts = new ArrayList<>();
    if (draws.chance(0.35)) {
      parts.add(draws.oneOf(GREETINGS).text());
    }
    if (draws.chance(0.2)) {
      parts.add(draws.oneOf(APOLOGIES).text());
    }
    parts.add(body(draws, promptNumber));
    if (draws.chance(0.3)) {
      parts.add(draws.oneOf(FILLERS).text());
    }
    double closing = draws.uniform();
    if (closing < 0.3) {
      parts.add(draws.oneOf(POLITE_CLOSINGS).text());
    } else if (closing < 0.6) {
      parts.add(draws.oneOf(RUDE_CLOSINGS).text());
    }
    return String.join(" ", parts);
  }

  private static String body(Draws draws, int promptNumber) {
    double choice = draws.uniform();
    if (choice < 0.2) {
      return draws.oneOf(VAGUE).text();
    }
    int shift = choice < 0.5 ? 1 + draws.integer(TOPICS.size() - 1) : 0;
    String answer = draws.oneOf(topic(promptNumber + shift).answers());
    return draws.chance(0.25)
        ? draws.oneOf(HEDGES).text()
            + " "
            + answer.substring(0, 1).toLowerCase(Locale.ROOT)
            + answer.substring(1)
        : answer;
  }

  /** The words of a text in lower case. */
  static List<String> words(String text) {
    return WORD.matcher(text.toLowerCase(Locale.ROOT)).results().map(MatchResult::group).toList();
  }

  private static Topic topic(int promptNumber) {
    return TOPICS.get(promptNumber % TOPICS.size());
  }

  private static Topic topic(String cue, String need, String... answers) {
    return new Topic(cue, need, List.of(answers));
  }

  private static List<Clause> clauses(Role role, String... texts) {
    List<Clause> clauses = new ArrayList<>();
    for (String text : texts) {
      clauses.add(Clause.of(role, -1, text));
    }
    return List.copyOf(clauses);
  }

  /** Random numbers of one answer, numbered as they are drawn. */
  private static final class Draws {
    private final CounterRandom random;
    private final long key;
    private final long attempt;
    private long drawn;

    Draws(CounterRandom random, long key, long attempt) {
      this.random = random;
      this.key = key;
      this.attempt = attempt;
    }

    double uniform() {
      return random.uniform(key, attempt, drawn++);
    }

    boolean chance(double probability) {
      return uniform() < probability;
    }

    int integer(int bound) {
      return random.integer(bound, key, attempt, drawn++);
    }

    <T> T oneOf(List<T> items) {
      return items.get(integer(items.size()));
    }
  }
}
