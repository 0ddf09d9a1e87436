package io.github.sparkrlhf.reward;

/**
 * A pair as people judged it and as a model sees it, with {@code chosen} the response that people
 * prefer; where they do not, either.
 *
 * @param pairId the pair's id
 * @param split where the pair lies
 * @param difference score of chosen minus score of rejected
 * @param probability that people prefer chosen, in [½, 1]
 * @param decided whether the pair counts in accuracies
 * @param chosenLength characters of chosen
 * @param rejectedLength characters of rejected
 * @param lists by how many list items chosen exceeds rejected
 * @param marks by how many markdown marks chosen exceeds rejected
 * @param votesFor votes for chosen; 0 if votes are not known
 * @param votesAgainst votes for rejected; 0 if votes are not known
 * @param firstShownFor votes for the response that was shown first, where somebody was shown two
 * @param firstShownAgainst votes for the other one
 * @param source the log; null if not known
 * @param group the group of prompts; null if not known
 * @param feedbackKind what people were asked for; null if not known
 */
record PairOutcome(
    String pairId,
    String split,
    double difference,
    double probability,
    boolean decided,
    int chosenLength,
    int rejectedLength,
    int lists,
    int marks,
    long votesFor,
    long votesAgainst,
    long firstShownFor,
    long firstShownAgainst,
    String source,
    String group,
    String feedbackKind) {

  /** By how many characters chosen exceeds rejected. */
  int length() {
    return chosenLength - rejectedLength;
  }

  /** Whether there are votes of people for one or the other. */
  boolean hasVotes() {
    return votesFor + votesAgainst > 0;
  }

  /** 1, ½ or 0 for a rule that puts chosen ahead of rejected by so much. */
  static double credit(double ahead) {
    return ahead > 0 ? 1 : ahead == 0 ? 0.5 : 0;
  }

  /** How many of the votes for one or the other a rule agrees with. */
  double votesAgreed(double ahead) {
    double credit = credit(ahead);
    return credit * votesFor + (1 - credit) * votesAgainst;
  }

  /**
   * How many of the votes are for the majority of the others: what a further annotator reaches. A
   * vote without others, or among others that are level, counts one half.
   */
  double votesAgreedByOthers() {
    return votesFor * credit(votesFor - 1.0 - votesAgainst)
        + votesAgainst * credit(votesAgainst - 1.0 - votesFor);
  }
}
