package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.io.Serializable;
import java.math.BigInteger;
import java.sql.Timestamp;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * The rows of the simulated crowd's log, each a pure function of the seed and its number. First
 * come the sound votes, five for a pair and scattered over the log as people work in parallel; then
 * the flawed rows, one sort after the other.
 *
 * <p>A prompt has five responses of unequal quality, and the five pairs of neighbours among them
 * are voted on: pairs overlap, and the truth about them has no cycles.
 */
final class SimulatedCrowdRows implements Serializable {
  private static final long serialVersionUID = 1L;

  /** What may be wrong with a row, and as what it ends in quarantine. */
  enum Flaw {
    /** A copy of a sound vote. */
    DUPLICATE("duplicate_feedback_id", 1),
    /** The id of a sound vote with another choice: neither can be used. */
    CONFLICT("conflicting_feedback_id", 2),
    BLANK_PROMPT("blank_prompt", 1),
    NULL_RESPONSE("blank_response", 1),
    BLANK_RESPONSE("blank_response", 1),
    IDENTICAL_RESPONSES("identical_responses", 1),
    /** The responses are one text, written in other bytes. */
    IDENTICAL_BUT_FOR_SPELLING("identical_responses", 1),
    MISSING_CHOICE("missing_choice", 1),
    UNKNOWN_CHOICE("unknown_choice", 1),
    FUTURE_TIME("future_created_at", 1);

    private final String reason;
    private final int unusableRows;

    Flaw(String reason, int unusableRows) {
      this.reason = reason;
      this.unusableRows = unusableRows;
    }

    String reason() {
      return reason;
    }

    /** How many rows of the log one such row makes unusable. */
    int unusableRows() {
      return unusableRows;
    }
  }

  /** How two prompts that belong in one split are planted. */
  enum Leak {
    /** Case, punctuation, white space, or invisible characters differ. */
    SPELLING(20),
    /** One word differs. */
    NEAR_DUPLICATE(40),
    /** The prompts differ, but stand in one conversation. */
    CONVERSATION(60);

    private final int place;

    Leak(int place) {
      this.place = place;
    }
  }

  /** Who votes. */
  enum Kind {
    HONEST,
    RANDOM,
    ALWAYS_FIRST,
    POSITION_BIASED,
    ALWAYS_TIE
  }

  /**
   * Somebody of the crowd.
   *
   * @param skill the probability of voting as the truth is, where they decide by what they read
   */
  record Annotator(String id, Kind kind, double skill) {
    /** The probability that a vote is the truth. */
    double accuracy() {
      double firstIsTrue = (1 - TIE_SHARE) / 2;
      return switch (kind) {
        case HONEST -> skill;
        case POSITION_BIASED -> BIAS * firstIsTrue + (1 - BIAS) * skill;
        case RANDOM -> (1 - TIE_SHARE) * (1 - TIE_SHARE) / 2 + TIE_SHARE * TIE_SHARE;
        case ALWAYS_FIRST -> firstIsTrue;
        case ALWAYS_TIE -> TIE_SHARE;
      };
    }
  }

  /**
   * Two responses to a prompt.
   *
   * @param prompt the number of the prompt
   * @param a the number of the first response to it
   * @param b the number of the second response to it
   * @param label which is better: {@code a}, {@code b} or {@code tie}
   */
  record Pair(long prompt, int a, int b, String label) {}

  static final int VOTES_PER_PAIR = 5;
  static final int PAIRS_PER_PROMPT = 5;

  /** Of so many prompts in a row, one is a leak of each kind. */
  static final int PROMPTS_PER_BLOCK = 100;

  private static final int FLAW_EVERY = 1000;
  private static final int DUPLICATES_PER_FLAW = 5;
  private static final double TIE_SHARE = 0.1;

  /** Uniform qualities are closer than this with the probability {@link #TIE_SHARE}. */
  private static final double CLOSE = 1 - StrictMath.sqrt(1 - TIE_SHARE);

  private static final double WORST_SKILL = 0.35;
  private static final double BEST_SKILL = 0.98;
  private static final double BIAS = 0.5;

  /** Who is wrong says tie with this probability, else the opposite. */
  private static final double TIE_BY_MISTAKE = 0.25;

  /** The standard deviation of the logarithm of how much people work. */
  private static final double ACTIVITY_SPREAD = 1.5;

  private static final int PROMPT = 2;
  private static final int RESPONSE_A = 3;
  private static final int RESPONSE_B = 4;
  private static final int CHOICE = 5;
  private static final int CREATED_AT = 8;

  private static final long FIRST_SECOND = 1_735_689_600L; // 2025-01-01T00:00:00Z
  private static final long LOG_SECONDS = 300L * 24 * 3600;
  private static final long FUTURE_SECOND = 4_102_444_800L; // 2100-01-01T00:00:00Z

  private final SimulatedCrowdTexts texts;
  private final CounterRandom people;
  private final CounterRandom pairs;
  private final CounterRandom votes;
  private final long rows;
  private final long perFlaw;
  private final long duplicates;
  private final long soundVotes;
  private final long stride;
  private final double[] activity;

  SimulatedCrowdRows(long seed, long rows, int annotators) {
    this.texts = new SimulatedCrowdTexts(seed);
    this.people = new CounterRandom(seed, "crowd-annotator");
    this.pairs = new CounterRandom(seed, "crowd-pair");
    this.votes = new CounterRandom(seed, "crowd-vote");
    this.rows = rows;
    this.perFlaw = rows / FLAW_EVERY;
    long others = (Flaw.values().length - 1) * perFlaw;
    long left = rows - others - DUPLICATES_PER_FLAW * perFlaw;
    this.soundVotes = left - left % VOTES_PER_PAIR;
    this.duplicates = rows - others - soundVotes;
    this.stride = coprimeStride(soundVotes);
    this.activity = cumulativeActivity(annotators);
  }

  /** How many rows of the log have which flaw. */
  Map<Flaw, Long> flaws() {
    Map<Flaw, Long> flaws = new LinkedHashMap<>();
    for (Flaw flaw : Flaw.values()) {
      flaws.put(flaw, flaw == Flaw.DUPLICATE ? duplicates : perFlaw);
    }
    return flaws;
  }

  int annotators() {
    return activity.length;
  }

  /** How many pairs have sound votes. */
  long pairs() {
    return soundVotes / VOTES_PER_PAIR;
  }

  /** How many prompts have a leak of each kind. */
  long leaksPerKind() {
    return pairs() / PAIRS_PER_PROMPT / PROMPTS_PER_BLOCK;
  }

  /** The number of the prompt that is a leak of the kind, in the block of prompts. */
  static long leakOf(Leak leak, long block) {
    return block * PROMPTS_PER_BLOCK + leak.place + 1;
  }

  /** The number of the prompt that it leaks: in the next block, which is far away in the log. */
  long originalOf(Leak leak, long block) {
    return (block + 1) % leaksPerKind() * PROMPTS_PER_BLOCK + leak.place;
  }

  /** The prompt with the number. */
  String prompt(long number) {
    long block = number / PROMPTS_PER_BLOCK;
    if (isLeak(Leak.SPELLING, number)) {
      String original = texts.prompt(originalOf(Leak.SPELLING, block));
      return SimulatedCrowdTexts.respelled(original, (int) (block % 4));
    }
    return isLeak(Leak.NEAR_DUPLICATE, number)
        ? texts.nearPrompt(originalOf(Leak.NEAR_DUPLICATE, block))
        : texts.prompt(number);
  }

  /** The conversation that the prompt with the number stands in. */
  String conversation(long number) {
    boolean leak = isLeak(Leak.CONVERSATION, number);
    long block = number / PROMPTS_PER_BLOCK;
    return "conversation-%07d".formatted(leak ? originalOf(Leak.CONVERSATION, block) : number);
  }

  private boolean isLeak(Leak leak, long prompt) {
    long block = prompt / PROMPTS_PER_BLOCK;
    return block < leaksPerKind() && prompt == leakOf(leak, block);
  }

  /** Somebody of the crowd by their number. */
  Annotator annotator(int number) {
    double kind = people.uniform(number, 0);
    // The root: most people are rather good.
    double skill =
        WORST_SKILL + (BEST_SKILL - WORST_SKILL) * StrictMath.sqrt(people.uniform(number, 1));
    return new Annotator("annotator-%05d".formatted(number), kindOf(kind), skill);
  }

  private static Kind kindOf(double position) {
    if (position < 0.03) {
      return Kind.RANDOM;
    }
    if (position < 0.05) {
      return Kind.ALWAYS_FIRST;
    }
    if (position < 0.08) {
      return Kind.POSITION_BIASED;
    }
    return position < 0.085 ? Kind.ALWAYS_TIE : Kind.HONEST;
  }

  /** The pair with the number. */
  Pair pair(long number) {
    long prompt = number / PAIRS_PER_PROMPT;
    int a = (int) (number % PAIRS_PER_PROMPT);
    int b = (a + 1) % PAIRS_PER_PROMPT;
    double ahead = pairs.uniform(prompt, a) - pairs.uniform(prompt, b);
    String label = Math.abs(ahead) < CLOSE ? "tie" : ahead > 0 ? "a" : "b";
    return new Pair(prompt, a, b, label);
  }

  /** A response to the prompt with the number. */
  String response(long prompt, int number) {
    return texts.response(prompt, number);
  }

  /** Row {@code number} of the log. */
  Row row(long number) {
    return RowFactory.create(cells(number));
  }

  private Object[] cells(long number) {
    if (number < soundVotes) {
      return soundVote(number);
    }
    long place = number - soundVotes;
    if (place < duplicates) {
      return soundVote(original(place, duplicates, 0));
    }
    long other = place - duplicates;
    Flaw flaw = Flaw.values()[1 + (int) (other / perFlaw)];
    // A pair of its own: a broken row must not look like one more vote on a sound pair.
    Object[] cells =
        flaw == Flaw.CONFLICT
            ? soundVote(original(other, perFlaw, 1))
            : vote(number, pairs() + PAIRS_PER_PROMPT * (1 + other), 0);
    spoil(cells, flaw);
    return cells;
  }

  /** The sound vote that the flawed row repeats: one with an even number, or the one after it. */
  private long original(long place, long count, int offset) {
    return place * (soundVotes / (2 * count)) * 2 + offset;
  }

  private Object[] soundVote(long number) {
    long scattered = number * stride % soundVotes;
    return vote(number, scattered / VOTES_PER_PAIR, (int) (scattered % VOTES_PER_PAIR));
  }

  private static void spoil(Object[] cells, Flaw flaw) {
    switch (flaw) {
      case CONFLICT -> cells[CHOICE] = cells[CHOICE].equals("tie") ? "a" : "tie";
      case BLANK_PROMPT -> cells[PROMPT] = " \n";
      case NULL_RESPONSE -> cells[RESPONSE_B] = null;
      case BLANK_RESPONSE -> cells[RESPONSE_A] = "\u00A0\t";
      case IDENTICAL_RESPONSES -> cells[RESPONSE_B] = cells[RESPONSE_A];
      case IDENTICAL_BUT_FOR_SPELLING -> {
        cells[RESPONSE_A] = cells[RESPONSE_A] + " Voil\u00E0!";
        cells[RESPONSE_B] = SimulatedCrowdTexts.decomposed((String) cells[RESPONSE_A]);
      }
      case MISSING_CHOICE -> cells[CHOICE] = null;
      case UNKNOWN_CHOICE -> cells[CHOICE] = "both";
      case FUTURE_TIME -> cells[CREATED_AT] = new Timestamp(FUTURE_SECOND * 1000);
      case DUPLICATE -> throw new IllegalArgumentException("a duplicate is not broken");
    }
  }

  private Object[] vote(long number, long pairNumber, int vote) {
    Pair pair = pair(pairNumber);
    Annotator annotator = annotator(annotatorOf(pairNumber, vote));
    boolean swapped = votes.uniform(number, 0) < 0.5;
    String truth = swapped ? opposite(pair.label()) : pair.label();
    long createdAt =
        1000 * (FIRST_SECOND + number * LOG_SECONDS / rows) + votes.integer(1000, number, 1);
    return new Object[] {
      "vote-%09d".formatted(number),
      conversation(pair.prompt()),
      prompt(pair.prompt()),
      response(pair.prompt(), swapped ? pair.b() : pair.a()),
      response(pair.prompt(), swapped ? pair.a() : pair.b()),
      choice(number, annotator, truth),
      annotator.id(),
      new Timestamp(createdAt - milliseconds(number, annotator.kind())),
      new Timestamp(createdAt)
    };
  }

  private String choice(long number, Annotator annotator, String truth) {
    double mood = votes.uniform(number, 2);
    return switch (annotator.kind()) {
      case RANDOM -> mood < TIE_SHARE ? "tie" : mood < (1 + TIE_SHARE) / 2 ? "a" : "b";
      case ALWAYS_FIRST -> "a";
      case ALWAYS_TIE -> "tie";
      case POSITION_BIASED -> mood < BIAS ? "a" : read(number, annotator.skill(), truth);
      case HONEST -> read(number, annotator.skill(), truth);
    };
  }

  private String read(long number, double skill, String truth) {
    if (votes.uniform(number, 3) < skill) {
      return truth;
    }
    double mistake = votes.uniform(number, 4);
    if (truth.equals("tie")) {
      return mistake < 0.5 ? "a" : "b";
    }
    return mistake < TIE_BY_MISTAKE ? "tie" : opposite(truth);
  }

  private static String opposite(String label) {
    return switch (label) {
      case "a" -> "b";
      case "b" -> "a";
      default -> label;
    };
  }

  /** How long the vote took: who does not read is quick. */
  private long milliseconds(long number, Kind kind) {
    boolean reads = kind == Kind.HONEST || kind == Kind.POSITION_BIASED;
    double logSeconds = (reads ? 3.7 : 1.2) + 0.6 * votes.gaussian(number, 5);
    return Math.round(1000 * StrictMath.exp(logSeconds));
  }

  /** Who casts a vote on a pair; nobody casts two. */
  private int annotatorOf(long pair, int vote) {
    int[] drawn = new int[vote + 1];
    long attempt = 0;
    for (int i = 0; i <= vote; i++) {
      do {
        drawn[i] = drawnAnnotator(pair, attempt++);
      } while (contains(drawn, i, drawn[i]));
    }
    return drawn[vote];
  }

  private static boolean contains(int[] drawn, int length, int annotator) {
    for (int i = 0; i < length; i++) {
      if (drawn[i] == annotator) {
        return true;
      }
    }
    return false;
  }

  private int drawnAnnotator(long pair, long attempt) {
    double position = pairs.uniform(pair, -1, attempt) * activity[activity.length - 1];
    int place = Arrays.binarySearch(activity, position);
    return Math.min(place < 0 ? -place - 1 : place + 1, activity.length - 1);
  }

  private double[] cumulativeActivity(int annotators) {
    double[] cumulative = new double[annotators];
    double sum = 0;
    for (int i = 0; i < annotators; i++) {
      sum += StrictMath.exp(ACTIVITY_SPREAD * people.gaussian(i, 2));
      cumulative[i] = sum;
    }
    return cumulative;
  }

  /** Near the golden section of the count, so that neighbours end far apart. */
  private static long coprimeStride(long count) {
    long stride = (long) (count * 0.618) + 1;
    while (!BigInteger.valueOf(stride).gcd(BigInteger.valueOf(count)).equals(BigInteger.ONE)) {
      stride++;
    }
    return stride;
  }
}
