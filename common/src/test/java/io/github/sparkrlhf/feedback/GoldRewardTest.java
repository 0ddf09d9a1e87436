package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GoldRewardTest {
  private static final String PROMPT = "How do I reset the password of my phone?";

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          Hello! Use the reset link on the login page. Have a nice day.       | 3.0
          hello use the RESET link on the login page                          | 2.5
          Use the reset link on the login page.                               | 2.0
          Use the reset link on the login page. We sent a new code by email.  | 2.0
          Maybe use the reset link on the login page.                         | 1.7
          The parcel arrives within two days.                                 | -1.0
          I am not sure.                                                      | -0.5
          Use the reset link on the login page. Stop asking me.               | 0.5
          Well, you know. Use the reset link on the login page.               | 1.6
          Hello! Hello! Hello!                                                | -0.5
          Bananas sing.                                                       | -0.3
          """)
  void addsUpWhatTheTextSays(String response, double gold) {
    assertThat(GoldReward.of(PROMPT, response)).isCloseTo(gold, within(1e-9));
  }

  @Test
  void isLowForNothing() {
    assertThat(GoldReward.of(PROMPT, "")).isEqualTo(-4);
    assertThat(GoldReward.of(PROMPT, " .!? ")).isEqualTo(-4);
  }

  @Test
  void cannotBeRaisedByRepetition() {
    String good = "Hello! Use the reset link on the login page. Have a nice day. ";

    assertThat(GoldReward.of(PROMPT, good)).isEqualTo(GoldReward.MAXIMUM);
    assertThat(GoldReward.of(PROMPT, good + "Have a nice day.")).isLessThan(GoldReward.MAXIMUM);
    assertThat(GoldReward.of(PROMPT, "Thank you for asking. ".repeat(500))).isBetween(-4.0, 0.0);
    assertThat(GoldReward.of(PROMPT, "nice nice ".repeat(500))).isBetween(-15.0, -3.0);
  }

  @Test
  void dependsOnTheQuestion() {
    String response = "The refund takes five working days.";

    assertThat(GoldReward.of("How can I get a refund for my watch?", response)).isEqualTo(2);
    assertThat(GoldReward.of("How can I track the parcel with my watch?", response)).isEqualTo(-1);
  }
}
