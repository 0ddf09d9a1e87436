package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TransformerConfigTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path directory;

  @ParameterizedTest
  @ValueSource(strings = {"llama", "llama_rm", "qwen2", "gpt2"})
  void readsTheStylesOfTransformers4And5ToTheSame(String name) {
    Path golden = GoldenModel.load(name).directory();
    TransformerConfig config = TransformerConfig.load(golden.resolve("config.json"));
    assertThat(TransformerConfig.load(golden.resolve("config_v4.json"))).isEqualTo(config);
    assertThat(config.vocabularySize()).isEqualTo(97);
    assertThat(config.keyValueHeads()).isEqualTo(name.equals("gpt2") ? 4 : 2);
    assertThat(config.attentionBias()).isEqualTo(!name.startsWith("llama"));
    assertThat(config.head() == TransformerConfig.Head.SEQUENCE_CLASSIFICATION)
        .isEqualTo(name.equals("llama_rm"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "llama_rm", "qwen2", "gpt2"})
  void readsWhatItWrites(String name) throws IOException {
    TransformerConfig config = GoldenModel.load(name).config();
    Path file =
        Files.writeString(directory.resolve("config.json"), config.toJson(1, 2, 0, WeightType.F32));
    assertThat(TransformerConfig.load(file)).isEqualTo(config);
    JsonNode json = JSON.readTree(file.toFile());
    assertThat(json.at("/bos_token_id").intValue()).isEqualTo(1);
    assertThat(json.at("/eos_token_id").intValue()).isEqualTo(2);
    assertThat(json.at("/pad_token_id").intValue()).isEqualTo(0);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{'architectures': ['FalconForCausalLM']} | architecture 'FalconForCausalLM' is not",
        "{'architectures': ['MistralForCausalLM'], 'sliding_window': 64} | sliding_window 64 is not",
        "{'architectures': []} | architecture '' is not supported",
        "{'hidden_act': 'gelu'} | hidden_act 'gelu' is not supported",
        "{'use_sliding_window': true} | use_sliding_window is not supported",
        "{'rope_parameters': {'rope_type': 'llama3', 'factor': 8}} | rope_parameters has no number",
        "{'rope_scaling': {'type': 'linear', 'factor': 2}} | contradict each other",
        "{'rope_parameters': {'rope_type': 'linear', 'factor': 0}} | rope factor cannot be 0",
        "{'partial_rotary_factor': 0.5} | partial_rotary_factor is not supported",
        "{'layer_types': ['sliding_attention']} | layer_types 'sliding_attention' is not supported",
        "{'rope_parameters': {'rope_type': 'yarn'}} | rope_parameters of type 'yarn'",
        "{'quantization_config': {'bits': 4}} | quantization_config is not supported",
        "{'hidden_size': 0} | hidden_size cannot be 0",
        "{'num_key_value_heads': 3} | num_key_value_heads cannot be 3",
        "{'head_dim': 7} | head_dim cannot be 7",
        "{'vocab_size': null} | vocab_size cannot be -1",
        "{'num_hidden_layers': 1000000000} | num_hidden_layers cannot be 1000000000",
        "{'hidden_size': 4294967297} | hidden_size cannot be 4294967297",
        "{'hidden_size': 32.5} | hidden_size cannot be 32.5",
        "{'vocab_size': 2147483647} | it has more than 2147483647 parameters",
        "{'head_dim': 2147483646} | it has more than 2147483647 parameters",
        "{'intermediate_size': 2147483647} | those from model.layers.0.mlp.gate_proj.weight on",
        "{'architectures': ['LlamaForSequenceClassification'], 'num_labels': 3} | one label",
        "{'architectures': ['LlamaForSequenceClassification']} | one label, this one has 2"
      })
  void refusesByNameWhatWouldChangeTheResult(String change, String message) throws IOException {
    Path file = changed("llama", change);
    assertThatThrownBy(() -> TransformerConfig.load(file))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot use " + file + ": ")
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{'activation_function': 'relu'} | activation_function 'relu' is not supported",
        "{'scale_attn_weights': false} | scale_attn_weights false is not supported",
        "{'scale_attn_by_inverse_layer_idx': true} | scale_attn_by_inverse_layer_idx true is not",
        "{'reorder_and_upcast_attn': true} | reorder_and_upcast_attn true is not supported",
        "{'add_cross_attention': true} | add_cross_attention true is not supported",
        "{'n_head': 5} | n_head cannot be 5 where n_embd is 32"
      })
  void refusesByNameWhatWouldChangeTheResultOfGpt2(String change, String message)
      throws IOException {
    Path file = changed("gpt2", change);
    assertThatThrownBy(() -> TransformerConfig.load(file))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'rope_type': 'linear', 'factor': 2.5, 'rope_theta': 7e4}",
        "{'rope_type': 'dynamic', 'factor': 2.0, 'rope_theta': 7e4}",
        "{'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,"
            + " 'original_max_position_embeddings': 8192, 'rope_theta': 7e4}"
      })
  void scaledRotationsAreReadAndWritten(String rope) throws IOException {
    TransformerConfig newer =
        TransformerConfig.load(changed("llama", "{'rope_parameters': " + rope + "}"));
    TransformerConfig older =
        TransformerConfig.load(
            changed(
                "llama",
                "{'rope_parameters': null, 'rope_theta': 7e4, 'rope_scaling': " + rope + "}"));
    assertThat(newer.ropeScaling().factor()).isGreaterThan(1);
    assertThat(older).isEqualTo(newer);
    Path written =
        Files.writeString(directory.resolve("written.json"), newer.toJson(1, 2, 0, WeightType.F32));
    assertThat(TransformerConfig.load(written)).isEqualTo(newer);
  }

  @Test
  void aMistralWithoutAWindowIsALlama() throws IOException {
    TransformerConfig mistral =
        TransformerConfig.load(
            changed("llama", "{'architectures': ['MistralForCausalLM'], 'sliding_window': null}"));
    assertThat(mistral.layout().parameters())
        .extracting(ParameterLayout.Parameter::name)
        .containsExactlyElementsOf(
            GoldenModel.load("llama").config().layout().parameters().stream()
                .map(ParameterLayout.Parameter::name)
                .toList());
    Path written =
        Files.writeString(
            directory.resolve("written.json"), mistral.toJson(1, 2, 0, WeightType.F32));
    assertThat(TransformerConfig.load(written)).isEqualTo(mistral);
  }

  @Test
  void anInactiveSlidingWindowAndDefaultRopeAreAccepted() throws IOException {
    Path file =
        changed(
            "qwen2",
            "{'use_sliding_window': false, 'sliding_window': 4096, 'rope_scaling':"
                + " {'rope_type': 'default'}}");
    assertThat(TransformerConfig.load(file)).isEqualTo(GoldenModel.load("qwen2").config());
  }

  @Test
  void theHeadSizeFollowsFromTheWidthUnlessGiven() throws IOException {
    TransformerConfig config = TransformerConfig.load(changed("llama", "{'head_dim': null}"));
    assertThat(config.headSize()).isEqualTo(8);
    assertThat(TransformerConfig.load(changed("llama", "{'head_dim': 16}")).headSize())
        .isEqualTo(16);
    assertThat(
            TransformerConfig.load(changed("llama", "{'rope_parameters': {'rope_theta': 5e5}}"))
                .ropeTheta())
        .isEqualTo(5e5);
  }

  @Test
  void aFileThatIsMissingOrNoJsonIsNamed() throws IOException {
    Path missing = directory.resolve("none.json");
    assertThatThrownBy(() -> TransformerConfig.load(missing))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read " + missing);
    Path broken = Files.writeString(directory.resolve("broken.json"), "{\"architectures\": ");
    assertThatThrownBy(() -> TransformerConfig.load(broken))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read " + broken);
  }

  /** A golden configuration with some fields replaced. */
  private Path changed(String name, String change) throws IOException {
    ObjectNode json =
        (ObjectNode)
            JSON.readTree(GoldenModel.load(name).directory().resolve("config.json").toFile());
    json.setAll((ObjectNode) JSON.readTree(change.replace('\'', '"')));
    return Files.writeString(directory.resolve("config.json"), JSON.writeValueAsString(json));
  }
}
