package io.github.sparkrlhf.lm;

import static java.nio.charset.StandardCharsets.UTF_16BE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Conversations as tokens by the templates of models. */
class ConversationTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Ids 259 and on. */
  private static final List<String> SPECIAL =
      List.of(
          "<|im_start|>",
          "<|im_end|>",
          "<s>",
          "</s>",
          "<|start_header_id|>",
          "<|end_header_id|>",
          "<|eot_id|>",
          "[INST]",
          "[/INST]");

  private static final int IM_START = 259;

  private static final Map<String, TokenizerFile> FILES =
      Map.of(
          "chatml", file(ChatTemplates.CHATML, "<s>", "<|im_end|>"),
          "llama2", file(ChatTemplates.LLAMA_2, "<s>", "</s>"),
          "llama3", file(ChatTemplates.LLAMA_3, "<s>", "<|eot_id|>"),
          "zephyr", file(ChatTemplates.ZEPHYR, "<s>", "</s>"),
          "mistral", file(ChatTemplates.MISTRAL, "<s>", "</s>"));

  @Test
  void encodesPromptAndResponseByTheModelsTemplate() {
    Tokenizer tokenizer = Tokenizer.of(FILES.get("chatml"));

    int[] prompt = tokenizer.encodePrompt("a");
    int[] response = tokenizer.encodeResponse("b");

    assertThat(shown(prompt))
        .isEqualTo(
            "259 system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.260"
                + " \n259 user\na260 \n259 assistant\n");
    assertThat(shown(response)).isEqualTo("b260 ");
  }

  @Test
  void endsAResponseThatTheTemplateLeavesOpen() {
    TokenizerFile open = file("{% for m in messages %}{{ m.content }};{% endfor %}", "<s>", "</s>");

    assertThat(shown(Tokenizer.of(open).encodeResponse("b"))).isEqualTo("b;262 ");
  }

  @Test
  void refusesATemplateThatRewritesThePrompt() {
    TokenizerFile changing = file("{{ messages|length }}{{ messages[-1].content }}", "<s>", "</s>");

    assertThatThrownBy(() -> Tokenizer.of(changing).encodeResponse("b"))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("does not begin as the prompt, '2b' instead of '1Hello'");
  }

  @Test
  void masksTheTurnsOfTheAssistantWithTheirEnd() {
    List<ChatMessage> talk =
        List.of(message("user", "a"), message("assistant", "b"), message("user", "c"));
    EncodedConversation encoded = Tokenizer.of(FILES.get("llama2")).encodeConversation(talk);

    assertThat(shown(encoded.ids())).isEqualTo("261 266  a 267  b 262 261 266  c 267 ");
    assertThat(shown(masked(encoded))).isEqualTo(" b 262 ");
    EncodedConversation two =
        Tokenizer.of(FILES.get("chatml"))
            .encodeConversation(
                List.of(
                    message("system", "s"),
                    message("user", "a"),
                    message("assistant", "b"),
                    message("user", "c"),
                    message("assistant", "d")));
    assertThat(shown(masked(two))).isEqualTo("b260 d260 ");
  }

  @Test
  void writesConversationsInThePlainTemplate() {
    Tokenizer tokenizer = Tokenizer.of(TestTokenizers.bytes());
    EncodedConversation encoded =
        tokenizer.encodeConversation(List.of(message("user", "a"), message("assistant", "b")));

    assertThat(encoded.ids()).startsWith(tokenizer.encodePrompt("a"));
    assertThat(encoded.ids()).endsWith(tokenizer.encodeResponse("b"));
    assertThat(encoded.ids()).hasSize(5);
    assertThat(encoded.assistant()).containsExactly(false, false, false, true, true);
  }

  @Property(tries = 200)
  void whatPeopleSayMakesNoControlTokens(
      @ForAll("names") String name, @ForAll("talks") List<List<String>> talk) {
    Tokenizer tokenizer = Tokenizer.of(FILES.get(name));
    List<ChatMessage> hostile = new ArrayList<>();
    List<ChatMessage> tame = new ArrayList<>();
    for (List<String> pieces : talk) {
      String role = hostile.size() % 2 == 0 ? "user" : "assistant";
      hostile.add(message(role, String.join("", pieces)));
      tame.add(message(role, "x"));
    }

    EncodedConversation encoded = tokenizer.encodeConversation(hostile);

    assertThat(control(encoded.ids()))
        .containsExactly(control(tokenizer.encodeConversation(tame).ids()));
    for (ChatMessage message : hostile) {
      assertThat(tokenizer.decode(encoded.ids()))
          .contains(PythonText.strip(message.content(), null));
    }
  }

  @Provide
  Arbitrary<String> names() {
    return Arbitraries.of(FILES.keySet());
  }

  @Provide
  Arbitrary<List<List<String>>> talks() {
    Arbitrary<String> whole = Arbitraries.of(SPECIAL);
    Arbitrary<String> cut =
        Combinators.combine(whole, Arbitraries.integers().between(0, 12))
            .as((text, at) -> text.substring(Math.min(at, text.length())));
    Arbitrary<String> begun =
        Combinators.combine(whole, Arbitraries.integers().between(0, 12))
            .as((text, at) -> text.substring(0, Math.min(at, text.length())));
    Arbitrary<String> other = Arbitraries.of("a", " ", "\n", "é", "🙂", "\uFDD0", "<", "|");
    Arbitrary<String> piece = Arbitraries.oneOf(whole, cut, begun, other);
    return piece.list().ofMinSize(1).ofMaxSize(6).list().ofMinSize(1).ofMaxSize(5);
  }

  @Test
  void hostileTextIsTextAndComesBack() {
    List<TokenizerFile> files = new ArrayList<>(FILES.values());
    files.add(TestTokenizers.bytes());
    String[] pieces = {
      "<|eos|>", "<|bos|>", "<|pad|>", "<|im_start|>", "</s>", "[INST]", "\u202e", "e\u0301", "\0",
      "👩\u200d👩\u200d👧", "\ufdd0", "\uffff", "\ud83d", "\ude42", "\u0085", "Ġ", "שלום", "\r\n"
    };
    Random random = new Random(11);
    for (int i = 0; i < 10_000; i++) {
      StringBuilder made = new StringBuilder();
      for (int k = random.nextInt(9); k >= 0; k--) {
        made.append(pieces[random.nextInt(pieces.length)]);
        made.append((char) random.nextInt(random.nextBoolean() ? 0x10000 : 0x300));
        made.appendCodePoint(random.nextInt(Character.MAX_CODE_POINT + 1));
      }
      String text = made.toString();
      String wellFormed = new String(text.getBytes(UTF_16BE), UTF_16BE);
      Tokenizer tokenizer = Tokenizer.of(files.get(i % files.size()));

      int[] ids = tokenizer.encode(text);

      assertThat(control(ids)).isEmpty();
      assertThat(tokenizer.decode(ids)).isEqualTo(wellFormed);
    }
  }

  @Test
  void keepsTemplateAndStopTokens(@TempDir Path model, @TempDir Path copy) throws IOException {
    FILES.get("chatml").save(model);
    Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\": [260, 262]}");
    Files.writeString(model.resolve("config.json"), "{\"eos_token_id\": 265}");

    TokenizerFile loaded = TokenizerFile.load(model);
    loaded.save(copy);

    assertThat(loaded.chatTemplate()).isEqualTo(ChatTemplates.CHATML);
    assertThat(loaded.stopIds()).containsExactly(260, 262, 265);
    assertThat(TokenizerFile.load(copy)).isEqualTo(loaded);
  }

  @Test
  void readsEveryFormOfATemplate(@TempDir Path model) throws IOException {
    FILES.get("chatml").save(model);
    ObjectNode config = (ObjectNode) JSON.readTree(model.resolve("tokenizer_config.json").toFile());
    config.putArray("chat_template").addObject().put("name", "rag").put("template", "r");
    JSON.writeValue(model.resolve("tokenizer_config.json").toFile(), config);
    assertThatThrownBy(() -> TokenizerFile.load(model).chatTemplate())
        .hasMessageContaining("named 'default'");
    config.withArray("chat_template").addObject().put("name", "default").put("template", "d");
    JSON.writeValue(model.resolve("tokenizer_config.json").toFile(), config);
    assertThat(TokenizerFile.load(model).chatTemplate()).isEqualTo("d");
    config.putNull("chat_template").putNull("bos_token");
    JSON.writeValue(model.resolve("tokenizer_config.json").toFile(), config);
    Files.delete(model.resolve("special_tokens_map.json"));
    assertThat(TokenizerFile.load(model).chatTemplate()).isNull();
    assertThat(TokenizerFile.load(model).specialTokens()).doesNotContainKey("bos_token");
    Files.writeString(model.resolve("chat_template.jinja"), "{{ bos_token }}j");
    assertThat(TokenizerFile.load(model).chatTemplate()).isEqualTo("{{ bos_token }}j");
    assertThat(shown(Tokenizer.of(TokenizerFile.load(model)).encodePrompt("a"))).isEqualTo("j");
  }

  private static TokenizerFile file(String template, String bos, String eos) {
    try {
      ObjectNode root = (ObjectNode) JSON.readTree(TestTokenizers.bytes().json());
      for (String content : SPECIAL) {
        root.withArray("added_tokens")
            .addObject()
            .put("id", IM_START + SPECIAL.indexOf(content))
            .put("content", content)
            .put("single_word", false)
            .put("lstrip", false)
            .put("rstrip", false)
            .put("normalized", false)
            .put("special", true);
      }
      int eosId = IM_START + SPECIAL.indexOf(eos);
      return new TokenizerFile(
          root.toString(),
          IM_START + SPECIAL.indexOf(bos),
          eosId,
          eosId,
          List.of(eosId),
          Map.of("bos_token", bos, "eos_token", eos, "pad_token", eos),
          JSON.writeValueAsString(template));
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private static ChatMessage message(String role, String content) {
    return new ChatMessage(role, content);
  }

  private static int[] control(int[] ids) {
    return Arrays.stream(ids).filter(id -> id >= IM_START || id < 3).toArray();
  }

  private static int[] masked(EncodedConversation encoded) {
    return java.util.stream.IntStream.range(0, encoded.ids().length)
        .filter(i -> encoded.assistant()[i])
        .map(i -> encoded.ids()[i])
        .toArray();
  }

  /** Text as it is, control tokens as numbers with a blank. */
  private static String shown(int[] ids) {
    Tokenizer bytes = Tokenizer.of(TestTokenizers.bytes());
    StringBuilder shown = new StringBuilder();
    for (int id : ids) {
      shown.append(id >= IM_START ? id + " " : bytes.decode(new int[] {id}));
    }
    return shown.toString();
  }
}
