package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.CharRange;
import org.apache.spark.sql.Encoders;
import org.junit.jupiter.api.Test;

class NormalizedTextTest {
  @Test
  void composedAndDecomposedTextsAreOne() {
    assertThat(NormalizedText.identity(" e\u0301te\u0301\u00a0\n")).isEqualTo("\u00e9t\u00e9");
    assertThat(NormalizedText.identity("Yes.")).isNotEqualTo(NormalizedText.identity("yes."));
  }

  @Test
  void aQuestionIsTheSameWhateverItsCasePunctuationAndInvisibleMarks() {
    assertThat(NormalizedText.loose("  How do I\tFIX\u200b it?! "))
        .isEqualTo(NormalizedText.loose("how do i fix it"));
    assertThat(NormalizedText.loose("Stra\u00dfe")).isEqualTo(NormalizedText.loose("STRASSE"));
    assertThat(NormalizedText.loose("1 + 1")).isNotEqualTo(NormalizedText.loose("1 1"));
    assertThat(NormalizedText.loose("?!")).isEqualTo("?!");
  }

  @Property
  void normalizingTwiceChangesNothing(@ForAll String text) {
    String identity = NormalizedText.identity(text);
    assertThat(NormalizedText.identity(identity)).isEqualTo(identity);
  }

  @Property
  void asciiIsFoldedAsAllOfUnicodeIs(@ForAll @CharRange(to = '\u007f') String text) {
    assertThat(NormalizedText.loose(text)).isEqualTo(NormalizedText.looseUnicode(text));
  }

  @Test
  void columnsGiveWhatStringsGive() {
    List<String> texts =
        List.of("plain", " edge", "edge\n", "e\u0301", "\u00a0x", "", "\ud83d\ude00");
    var rows = SparkTestSession.get().createDataset(texts, Encoders.STRING()).toDF("t");
    assertThat(rows.select(NormalizedText.identity(col("t"))).as(Encoders.STRING()).collectAsList())
        .isEqualTo(texts.stream().map(NormalizedText::identity).toList());
    assertThat(rows.select(NormalizedText.loose(col("t"))).as(Encoders.STRING()).collectAsList())
        .isEqualTo(texts.stream().map(NormalizedText::loose).toList());
  }

  @Test
  void bytesThatAreNoUtf8AreFound() {
    var rows =
        SparkTestSession.get()
            .range(1)
            .select(
                NormalizedText.isValid(expr("cast(X'66FF6F' AS STRING)")),
                NormalizedText.isValid(expr("cast(X'EDA080' AS STRING)")),
                NormalizedText.isValid(expr("cast(X'C3A9' AS STRING)")),
                NormalizedText.isValid(expr("cast(NULL AS STRING)")));
    assertThat(rows.first().toString()).isEqualTo("[false,false,true,true]");
  }
}
