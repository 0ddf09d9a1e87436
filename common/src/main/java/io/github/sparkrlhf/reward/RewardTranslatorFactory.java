package io.github.sparkrlhf.reward;

import ai.djl.Model;
import ai.djl.ndarray.NDList;
import ai.djl.translate.NoBatchifyTranslator;
import ai.djl.translate.Translator;
import ai.djl.translate.TranslatorContext;
import ai.djl.translate.TranslatorFactory;
import ai.djl.util.Pair;
import ai.djl.util.StringPair;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.lm.Tokenizer;
import java.io.IOException;
import java.lang.reflect.Type;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;

/**
 * Texts to tokens and tokens to scores, for DJL's {@code Criteria}. Give its name in the model's
 * URL: {@code file:///DIR?translatorFactory=…RewardTranslatorFactory}.
 *
 * <p>Inputs are a {@link StringPair} of prompt and response, or a string of JSON, {@code {"prompt":
 * …, "response": …}}, as Spark's {@code to_json(struct(prompt, response))} makes it. The output is
 * the raw score, one float.
 */
public final class RewardTranslatorFactory implements TranslatorFactory {
  private static final long serialVersionUID = 1L;
  private static final ObjectMapper JSON = new ObjectMapper();

  @Override
  public Set<Pair<Type, Type>> getSupportedTypes() {
    return Set.of(
        new Pair<>(StringPair.class, float[].class), new Pair<>(String.class, float[].class));
  }

  @Override
  @SuppressWarnings("unchecked")
  public <I, O> Translator<I, O> newInstance(
      Class<I> input, Class<O> output, Model model, Map<String, ?> arguments) {
    RewardBlockFactory.RewardBlock block = (RewardBlockFactory.RewardBlock) model.getBlock();
    Tokenizer tokenizer = Tokenizer.of(block.tokenizer());
    int maxTokens = block.maxTokens();
    return (Translator<I, O>)
        (input == StringPair.class
            ? new RewardTranslator<StringPair>(tokenizer, maxTokens) {
              @Override
              StringPair texts(StringPair pair) {
                return pair;
              }
            }
            : new RewardTranslator<String>(tokenizer, maxTokens) {
              @Override
              StringPair texts(String json) throws IOException {
                return parsed(json);
              }
            });
  }

  private static StringPair parsed(String json) throws IOException {
    JsonNode texts = JSON.readTree(json);
    JsonNode prompt = texts.path(RewardModel.PROMPT);
    JsonNode response = texts.path(RewardModel.RESPONSE);
    if (!prompt.isTextual() || !response.isTextual()) {
      throw new IOException("Cannot score: the input is no JSON object with prompt and response");
    }
    return new StringPair(prompt.asText(), response.asText());
  }

  private abstract static class RewardTranslator<I> implements NoBatchifyTranslator<I, float[]> {
    private final Tokenizer tokenizer;
    private final int maxTokens;

    RewardTranslator(Tokenizer tokenizer, int maxTokens) {
      this.tokenizer = tokenizer;
      this.maxTokens = maxTokens;
    }

    abstract StringPair texts(I input) throws IOException;

    @Override
    public NDList processInput(TranslatorContext context, I input) throws IOException {
      StringPair texts = texts(input);
      int[] tokens = RewardInput.tokens(tokenizer, texts.getKey(), texts.getValue(), maxTokens);
      return new NDList(
          context.getNDManager().create(Arrays.stream(tokens).asLongStream().toArray()));
    }

    @Override
    public float[] processOutput(TranslatorContext context, NDList outputs) {
      return outputs.singletonOrThrow().toFloatArray();
    }
  }
}
