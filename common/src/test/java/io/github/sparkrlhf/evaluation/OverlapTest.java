package io.github.sparkrlhf.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Against what sacreBLEU 2.6.0 and the ROUGE of torchmetrics 1.9.0, without stemmer, computed. */
class OverlapTest {
  private static JsonNode golden;

  @BeforeAll
  static void reads() throws IOException {
    try (InputStream file =
        OverlapTest.class.getResourceAsStream("/golden/evaluation/overlap.json")) {
      golden = new ObjectMapper().readTree(file);
    }
  }

  @Test
  void tokensAreThoseOfMteval() {
    for (JsonNode pair : golden.get("pairs")) {
      assertThat(Bleu.tokens(pair.get("hypothesis").asText())).isEqualTo(texts(pair.get("tokens")));
    }
  }

  @Test
  void bleuOfACorpusIsThatOfSacrebleu() {
    List<String> hypotheses = new ArrayList<>();
    List<String> references = new ArrayList<>();
    for (JsonNode pair : golden.get("pairs")) {
      hypotheses.add(pair.get("hypothesis").asText());
      references.add(pair.get("reference").asText());
    }
    assertThat(Bleu.corpus(hypotheses, references))
        .isEqualTo(golden.get("corpus_bleu").asDouble(), within(1e-12));
  }

  @Test
  void selfBleuIsTheMeanSentenceBleuOfEachAgainstTheRest() {
    double mean = 0;
    for (JsonNode each : golden.get("self_bleu")) {
      mean += each.asDouble() / golden.get("self_bleu").size();
    }
    assertThat(Bleu.self(texts(golden.get("self_bleu_texts")))).isEqualTo(mean, within(1e-12));
    assertThat(Bleu.self(List.of("one"))).isNaN();
  }

  @Test
  void rougeIsThatOfTheReference() {
    for (JsonNode pair : golden.get("pairs")) {
      String hypothesis = pair.get("hypothesis").asText();
      String reference = pair.get("reference").asText();
      assertThat(Rouge.ofRuns(1, hypothesis, reference))
          .as(hypothesis)
          .isEqualTo(pair.get("rouge1").asDouble(), within(1e-12));
      assertThat(Rouge.ofRuns(2, hypothesis, reference))
          .as(hypothesis)
          .isEqualTo(pair.get("rouge2").asDouble(), within(1e-12));
      assertThat(Rouge.ofLongestCommonSubsequence(hypothesis, reference))
          .as(hypothesis)
          .isEqualTo(pair.get("rougeL").asDouble(), within(1e-12));
    }
  }

  @Property(tries = 200)
  void whatIsTheSameOverlapsFully(@ForAll @Size(min = 4, max = 12) List<Integer> words) {
    String text =
        String.join(" ", words.stream().map(word -> "w" + Math.abs((long) word)).toList());
    assertThat(Bleu.corpus(List.of(text), List.of(text))).isEqualTo(1, within(1e-12));
    assertThat(Rouge.ofRuns(1, text, text)).isEqualTo(1, within(1e-12));
    assertThat(Rouge.ofLongestCommonSubsequence(text, text)).isEqualTo(1, within(1e-12));
    assertThat(Bleu.self(List.of(text, text))).isEqualTo(1, within(1e-12));
  }

  @Test
  void diversityIsCounted() {
    assertThat(Diversity.distinct(1, List.of("a b a", "b c"))).isEqualTo(3 / 5.0);
    assertThat(Diversity.distinct(2, List.of("a b a", "b c"))).isEqualTo(1);
    assertThat(Diversity.distinct(2, List.of("a"))).isNaN();
    assertThat(Diversity.repetition("a b c d a b c d")).isEqualTo(1 / 5.0, within(1e-12));
    assertThat(Diversity.repetition("a b")).isZero();
  }

  private static List<String> texts(JsonNode array) {
    List<String> texts = new ArrayList<>();
    array.forEach(each -> texts.add(each.asText()));
    return texts;
  }
}
