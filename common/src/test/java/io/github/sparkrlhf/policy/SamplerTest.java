package io.github.sparkrlhf.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.lm.BpeTrainer;
import io.github.sparkrlhf.lm.GoldenModel;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.policy.SamplingOptions.Stop;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.TextExample;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Encoders;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final GoldenModel MODEL = GoldenModel.load("llama");
  private static final int NEVER = -1;

  @Test
  void temperatureZeroGivesTheGreedyTokensOfTransformers() {
    List<Sampler.Response> responses =
        sample(new SamplingOptions(0, 12, Stop.at(List.of(NEVER))), 1, requests(1));
    for (int row = 0; row < 3; row++) {
      assertThat(responses.get(row).tokens())
          .containsExactly(ints(MODEL.golden().at("/greedy").get(row)));
      assertThat(responses.get(row).stopped()).isFalse();
      assertThat(responses.get(row).logProbabilities()).containsOnly(0f).hasSize(12);
    }
  }

  @Test
  void theStopTokenEndsAResponseWhileOthersGoOn() {
    JsonNode golden = MODEL.golden().required("greedy_eos_case");
    int stop = golden.required("eos_token_id").asInt();
    List<Sampler.Response> responses =
        sample(new SamplingOptions(0, 12, Stop.at(List.of(stop))), 1, requests(1));
    for (int row = 0; row < 3; row++) {
      int[] padded = ints(golden.required("left_padded_batch_output").get(row));
      int end = 1 + indexOf(padded, stop);
      boolean stops = end > 0;
      assertThat(responses.get(row).tokens())
          .containsExactly(stops ? Arrays.copyOf(padded, end) : padded);
      assertThat(responses.get(row).logProbabilities()).hasSize(responses.get(row).tokens().length);
      assertThat(responses.get(row).stopped()).isEqualTo(stops);
    }
    assertThat(responses.stream().map(Sampler.Response::stopped))
        .containsExactly(true, true, false);
  }

  @Test
  void aStopTokenAtTheLastPositionCounts() {
    // The first row's greedy tokens are 39, 60, 45, 72.
    List<Sampler.Request> first = requests(1).subList(0, 1);
    assertThat(sample(new SamplingOptions(0, 4, Stop.at(List.of(72))), 1, first).get(0).stopped())
        .isTrue();
    assertThat(sample(new SamplingOptions(0, 3, Stop.at(List.of(72))), 1, first).get(0).stopped())
        .isFalse();
  }

  @Test
  void aStopStringEndsAResponseWhereverItsTokensAreCut() {
    TokenizerFile bytes =
        new BpeTrainer(BpeTrainer.MINIMUM_VOCABULARY_SIZE)
            .train(SparkTestSession.get().createDataset(List.of("a"), Encoders.STRING()));
    // The first row's greedy tokens are 39, 60, 45, 72: the bytes of "$9*E".
    List<Sampler.Request> first = requests(1).subList(0, 1);
    Stop stop = new Stop(List.of(), List.of("never", "9*"), bytes);
    Sampler.Response response = sample(new SamplingOptions(0, 12, stop), 1, first).get(0);
    assertThat(response.tokens()).containsExactly(39, 60, 45);
    assertThat(response.stopped()).isTrue();
    assertThat(stop.before(Tokenizer.of(bytes).decode(response.tokens()))).isEqualTo("$");
    assertThat(stop.before("nothing here")).isEqualTo("nothing here");
    assertThatThrownBy(() -> new Stop(List.of(), List.of(""), bytes))
        .hasMessage("Cannot sample: a stop string is empty");
  }

  @Test
  void aResponseIsTheSameAloneAndAmongPromptsOfOtherLengths() {
    SamplingOptions options = new SamplingOptions(1, 16, Stop.at(List.of(72)));
    List<Sampler.Request> requests = requests(4);
    List<Sampler.Response> together = sample(options, 9, requests);
    for (int i = 0; i < requests.size(); i++) {
      Sampler.Response alone = sample(options, 9, requests.subList(i, i + 1)).get(0);
      assertThat(alone.tokens()).isEqualTo(together.get(i).tokens());
      assertThat(alone.stopped()).isEqualTo(together.get(i).stopped());
      assertThat(alone.logProbabilities())
          .containsExactly(together.get(i).logProbabilities(), within(1e-4f));
    }
    assertThat(together.stream().filter(Sampler.Response::stopped).count()).isBetween(1L, 11L);
    assertThat(together.stream().map(response -> Arrays.toString(response.tokens())).distinct())
        .hasSize(12);
  }

  @Test
  void waitingPromptsTakeThePlacesOfFinishedOnes() {
    SamplingOptions options = new SamplingOptions(1, 16, Stop.at(List.of(72)));
    List<Sampler.Request> requests = requests(4);
    List<Sampler.Response> together = sample(options, 9, requests);
    for (int places : new int[] {1, 2, 5}) {
      List<Sampler.Response> queued;
      try (Replica replica = MODEL.replica()) {
        queued = new Sampler(options, 9, 0).sample(replica, requests, places);
      }
      for (int i = 0; i < requests.size(); i++) {
        assertThat(queued.get(i).tokens()).isEqualTo(together.get(i).tokens());
        assertThat(queued.get(i).logProbabilities())
            .containsExactly(together.get(i).logProbabilities(), within(1e-4f));
      }
    }
  }

  @Test
  void samplesOfAPromptThatShareItsCacheAreThoseOfThePromptReadAnew() {
    SamplingOptions options = new SamplingOptions(1, 16, Stop.at(List.of(72)));
    List<Sampler.Request> mixed = requests(3);
    List<Sampler.Request> neighbours = new ArrayList<>(mixed);
    neighbours.sort(java.util.Comparator.comparingLong(Sampler.Request::key));
    List<Sampler.Response> shared = sample(options, 9, neighbours);
    List<Sampler.Response> apart = sample(options, 9, mixed);
    for (int i = 0; i < neighbours.size(); i++) {
      Sampler.Response expected = apart.get(mixed.indexOf(neighbours.get(i)));
      assertThat(shared.get(i).tokens()).isEqualTo(expected.tokens());
    }
  }

  @Test
  void seedIterationAndPromptDecideWhatIsDrawn() {
    SamplingOptions options = new SamplingOptions(1, 16, Stop.at(List.of(NEVER)));
    List<Sampler.Request> one = requests(1).subList(0, 1);
    int[] tokens = sample(options, 9, one).get(0).tokens();
    assertThat(sample(options, 9, one).get(0).tokens()).isEqualTo(tokens);
    assertThat(sample(options, 10, one).get(0).tokens()).isNotEqualTo(tokens);
    List<Sampler.Request> renamed = List.of(new Sampler.Request(-5, 0, one.get(0).tokens()));
    assertThat(sample(options, 9, renamed).get(0).tokens()).isNotEqualTo(tokens);
    try (Replica replica = MODEL.replica()) {
      assertThat(new Sampler(options, 9, 1).sample(replica, one, 1).get(0).tokens())
          .isNotEqualTo(tokens);
    }
  }

  @Test
  void logProbabilitiesAreThoseOfAForwardPassAtTheSameTemperature() {
    double temperature = 0.7;
    List<Sampler.Request> requests = requests(2);
    List<Sampler.Response> responses =
        sample(new SamplingOptions(temperature, 16, Stop.at(List.of(72))), 9, requests);
    List<int[]> sequences = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      sequences.add(TextExample.concatenated(requests.get(i).tokens(), responses.get(i).tokens()));
    }
    try (Replica replica = MODEL.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      SequenceBatch batch =
          SequenceBatch.predictingResponses(
              sequences, requests.stream().mapToInt(request -> request.tokens().length).toArray());
      NDArray logits = batch.outputs(replica, manager, false).div((float) temperature);
      float[][] expected =
          batch.bySequence(SequenceBatch.logProbabilities(logits, batch.labels(manager)));
      for (int i = 0; i < expected.length; i++) {
        assertThat(responses.get(i).logProbabilities()).containsExactly(expected[i], within(1e-4f));
      }
    }
  }

  private static List<Sampler.Response> sample(
      SamplingOptions options, long seed, List<Sampler.Request> requests) {
    try (Replica replica = MODEL.replica()) {
      return new Sampler(options, seed, 0).sample(replica, requests, requests.size());
    }
  }

  private static List<Sampler.Request> requests(int samples) {
    List<Sampler.Request> requests = new ArrayList<>();
    for (int sample = 0; sample < samples; sample++) {
      for (int row = 0; row < 3; row++) {
        requests.add(new Sampler.Request(1000 + row, sample, MODEL.sequences().get(row)));
      }
    }
    return requests;
  }

  private static int indexOf(int[] values, int value) {
    for (int i = 0; i < values.length; i++) {
      if (values[i] == value) {
        return i;
      }
    }
    return -1;
  }

  private static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    Arrays.setAll(values, i -> array.get(i).asInt());
    return values;
  }
}
