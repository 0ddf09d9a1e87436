package io.github.sparkrlhf.reward;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * How often a response has English words that give reasons, concede, hedge, address somebody and so
 * on: for each group ln(1 + count) and the share of all words.
 */
final class DiscourseWords {
  private static final Map<String, Set<String>> GROUPS = new LinkedHashMap<>();

  static {
    put(
        "cause",
        "because since therefore thus hence so consequently due cause causes caused result results reason reasons why");
    put(
        "contrast",
        "but however although though while whereas despite instead rather yet nevertheless");
    put("example", "example examples instance such like specifically");
    put("addition", "also and moreover furthermore addition additionally another besides");
    put("modality", "if unless would could should might may can must");
    put("self", "i me my mine we us our ours i'm");
    put("reader", "you your yours");
    put("others", "he she they them their his her it its");
    put(
        "negation",
        "not no never none nothing nobody nor don't doesn't isn't aren't can't won't cannot");
    put("quantity", "all every always many most some few more less much several");
    put(
        "evidence",
        "according study studies research evidence fact facts shows show percent statistics proven proof data scientists");
    put("order", "first second third firstly secondly finally lastly conclusion");
    put(
        "function",
        "the a an of to in for on with at by from as that this these those is are was were be been has have had do does did");
    put("emphasis", "very really just totally absolutely too");
    put("relative", "which who whom whose where when what how");
  }

  /** The names of the features, in their order. */
  static final List<String> NAMES =
      GROUPS.keySet().stream()
          .flatMap(group -> List.of("log_" + group + "_words", group + "_word_share").stream())
          .toList();

  private DiscourseWords() {}

  private static void put(String group, String words) {
    GROUPS.put(group, Arrays.stream(words.split(" ")).collect(Collectors.toUnmodifiableSet()));
  }

  /**
   * The features of a response.
   *
   * @param words its words, in lower case
   * @return one number for each of {@link #NAMES}
   */
  static double[] of(List<String> words) {
    List<String> straight = words.stream().map(word -> word.replace('’', '\'')).toList();
    List<Double> numbers = new ArrayList<>();
    for (Set<String> group : GROUPS.values()) {
      double count = straight.stream().filter(group::contains).count();
      numbers.add(Math.log1p(count));
      numbers.add(count / Math.max(1, words.size()));
    }
    return numbers.stream().mapToDouble(Double::doubleValue).toArray();
  }
}
