package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.io.Serializable;
import java.text.Normalizer;
import java.util.List;
import java.util.Locale;

/**
 * The texts of the simulated crowd's log. Prompts have about 110 characters and eleven words by
 * chance, so that no two are alike by accident; responses have 150 to 300 characters.
 */
final class SimulatedCrowdTexts implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final List<String> OPENINGS =
      List.of(
          "How do I explain",
          "Please describe",
          "Write a text about",
          "What is known about",
          "Compare",
          "I would like to learn about",
          "Give me reasons for",
          "Why do people discuss");

  private static final List<String> LINKS = List.of("and", "with the", "of a", "in", "or the");

  private static final List<String> WORDS =
      List.of(
          """
          able account action actor advice agency album amount angle animal answer apple archive
          arrow artist author autumn avenue bakery balance banana barrel basket battery beach
          bearing beauty belief bicycle billion blanket blossom border bottle branch bread breeze
          bridge broker brush bucket budget builder bundle butter button cabin cable camera campus
          canal candle canvas capital carbon career carpet castle cattle ceiling cellar cement
          census century chain chair chamber channel chapter charge cheese chemist chest choice
          circle citizen climate clinic clock closet coast coffee colony colour column comet
          company compass concert contest copper corner cotton council country courage cousin
          cradle credit cricket crowd crystal culture current curtain custom cycle danger decade
          degree delay demand dentist deposit desert design detail device dialogue diamond dinner
          district doctor dragon drawer dream driver eagle earth economy editor effect elbow
          election engine entrance envelope episode essay estate evening event evidence example
          expert export fabric factory failure family farmer fashion feather festival fiction
          figure finger flavour flight flower forest fortune fountain frame freight friend future
          galaxy gallery garage garden garlic gender ginger glacier glass glove golden grammar
          granite gravity grocery guitar habit hammer harbour harvest hazard health height helmet
          heritage highway history holiday honey horizon hospital hotel hunger hunter iceberg
          income index industry insect island ivory jacket journal journey judge jungle junior
          kettle keyboard kidney kingdom kitchen knight ladder lantern laptop laundry lawyer
          leather lecture legend lemon lesson letter liberty library license limit liquid lizard
          logic lottery luggage lumber machine magnet manager marble margin market master meadow
          measure medal melody member memory merchant message metal method miller mineral minute
          mirror mixture model moment monitor morning mother motion mountain muscle museum mystery
          nation nature needle network nickel notebook novel number object ocean office opera
          opinion orange orbit orchard organ origin oxygen package painter palace panel paper
          parade parcel parent parking passage pasture patient pattern payment pebble pencil pepper
          period permit person phrase piano picture pillow pioneer pirate planet plastic platform
          player pocket poetry policy portrait potato pottery powder prairie present prince
          printer prison problem product profit project promise proof protein pupil purpose puzzle
          quality quarter question rabbit radar railway rainbow ranger reason recipe record region
          report rescue result reward rhythm ribbon river robot rocket routine rubber runner saddle
          sailor salad salary sample satellite saucer scandal school science season second secret
          senate sensor sentence service shadow shelter shoulder signal silence silver singer
          sister sketch soldier spirit spring square stadium station statue steam stomach storage
          stranger stream street student studio subject suburb subway sugar summer supper surface
          surgeon symbol system tailor target teacher temple tennis texture theatre theory thunder
          ticket timber tissue title tobacco tomato tongue tower tractor trade traffic trainer
          treaty tribe trumpet tunnel turtle twilight uncle unit valley vehicle velvet venture
          vessel victory village violin virtue vision vitamin volcano voyage wagon wallet weather
          wedding whisper willow window winter wisdom wizard worker writer yellow zebra
          """
              .strip()
              .split("\\s+"));

  private static final int PROMPT_WORDS = 11;
  private static final int SHORTEST_RESPONSE = 22;
  private static final int LONGEST_RESPONSE = 39;
  private static final int SENTENCE = 9;
  private static final double LIST_SHARE = 0.2;
  private static final double ACCENT_SHARE = 0.05;

  private final CounterRandom random;

  SimulatedCrowdTexts(long seed) {
    this.random = new CounterRandom(seed, "crowd-text");
  }

  /** The prompt of the key; another key is another prompt. */
  String prompt(long key) {
    return prompt(key, 0);
  }

  /** The prompt of the key with another last word. */
  String nearPrompt(long key) {
    String prompt = prompt(key);
    String near = prompt;
    for (long ending = 1; near.equals(prompt); ending++) {
      near = prompt(key, ending);
    }
    return near;
  }

  private String prompt(long key, long ending) {
    StringBuilder text = new StringBuilder(128);
    text.append(OPENINGS.get(random.integer(OPENINGS.size(), key, -1)));
    for (int i = 0; i < PROMPT_WORDS; i++) {
      boolean last = i == PROMPT_WORDS - 1;
      if (i % 3 == 2) {
        text.append(' ').append(LINKS.get(random.integer(LINKS.size(), key, -2 - i)));
      }
      text.append(' ').append(last ? word(key, i, ending) : word(key, i));
    }
    return text.append('?').toString();
  }

  /** The prompt in another spelling: a reader sees the same question. */
  static String respelled(String prompt, int way) {
    int middle = prompt.indexOf(' ', prompt.length() / 2);
    return switch (way % 4) {
      case 0 -> prompt.toUpperCase(Locale.ROOT);
      case 1 -> "\"" + prompt.replace("?", " ?!\"");
      case 2 -> prompt.substring(0, middle - 1) + "\u200B" + prompt.substring(middle - 1);
      default -> prompt.substring(0, middle) + "\u00A0 " + prompt.substring(middle + 1) + "\n";
    };
  }

  /** A response of the key: sentences, in a fifth of all cases as a list. */
  String response(long prompt, long number) {
    int words =
        SHORTEST_RESPONSE
            + random.integer(LONGEST_RESPONSE - SHORTEST_RESPONSE + 1, prompt, number, -1);
    boolean list = random.uniform(prompt, number, -2) < LIST_SHARE;
    StringBuilder text = new StringBuilder(320);
    for (int i = 0; i < words; i++) {
      String word = word(prompt, number, i);
      if (i % SENTENCE > 0) {
        text.append(' ').append(word);
      } else {
        text.append(i == 0 ? "" : list ? ".\n" : ". ").append(list ? "- " : "");
        text.append((char) (word.charAt(0) - 'a' + 'A')).append(word, 1, word.length());
      }
    }
    boolean accent = random.uniform(prompt, number, -3) < ACCENT_SHARE;
    return text.append(accent ? ", voil\u00E0." : ".").toString();
  }

  /** The text with its accents written as characters of their own, and white space around it. */
  static String decomposed(String text) {
    return " " + Normalizer.normalize(text, Normalizer.Form.NFD) + "\u00A0\n";
  }

  private String word(long... key) {
    return WORDS.get(random.integer(WORDS.size(), key));
  }
}
