package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.regex.Pattern;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

class MarkdownTest {
  @Property(tries = 20_000)
  void countsWhatThePatternsFind(@ForAll("texts") String text) {
    assertThat(Markdown.listItems(text)).isEqualTo(found(Markdown.LIST_ITEM, text));
    assertThat(Markdown.otherMarks(text)).isEqualTo(found(Markdown.OTHER_MARK, text));
  }

  @Provide
  Arbitrary<String> texts() {
    return Arbitraries.of(
            "-",
            "*",
            "•",
            "1",
            "22",
            ".",
            ")",
            " ",
            "\t",
            "\n",
            "\r",
            "\r\n",
            "\u0085",
            "\u2028",
            "\u000b",
            "#",
            "######",
            "_",
            "`",
            "]",
            "(",
            "x",
            "é",
            "\ud83d\ude00")
        .list()
        .ofMaxSize(14)
        .map(parts -> String.join("", parts));
  }

  private static int found(String pattern, String text) {
    return (int) Pattern.compile(pattern).matcher(text).results().count();
  }
}
