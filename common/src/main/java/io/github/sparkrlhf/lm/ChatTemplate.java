package io.github.sparkrlhf.lm;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.loader.ResourceNotFoundException;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A chat template as it stands in {@code tokenizer_config.json}, rendered as {@code
 * apply_chat_template} of transformers does. A template comes with a model, from anywhere: it
 * reaches nothing but its variables, and what it may cost is bounded. Safe for use by many threads.
 */
public final class ChatTemplate {
  private static final int MAX_ITERATIONS = 1_000_000;
  private static final Jinjava ENGINE = engine();

  private final String name;
  private final TemplateTranslator.Translation translation;
  private final Map<String, String> specialTokens;

  /**
   * @param source the template
   * @param specialTokens variables such as {@code bos_token}, and their values
   * @param name whose template it is, for messages
   * @throws JobFailure if it uses what is not supported; the message names it
   */
  public ChatTemplate(String source, Map<String, String> specialTokens, String name) {
    this.name = name;
    this.specialTokens = Map.copyOf(specialTokens);
    try {
      this.translation = TemplateTranslator.translate(source);
    } catch (JobFailure e) {
      throw failure(e.getMessage(), e);
    }
  }

  private static Jinjava engine() {
    Jinjava engine =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withLegacyOverrides(
                    LegacyOverrides.newBuilder()
                        .withEvaluateMapKeys(true)
                        .withIterateOverMapKeys(true)
                        .withUseNaturalOperatorPrecedence(true)
                        .withKeepNullableLoopValues(true)
                        .build())
                .withKeepTrailingNewline(true)
                .withNestedInterpretationEnabled(false)
                .withElResolver(new TemplateResolver())
                .withEnableFilterChainOptimization(true)
                .withMaxOutputSize(TemplateFilters.MAX_CHARACTERS)
                .withMaxStringLength(TemplateFilters.MAX_CHARACTERS)
                .build());
    engine.setResourceLocator(
        (file, encoding, interpreter) -> {
          throw new ResourceNotFoundException("templates include nothing");
        });
    TemplateFilters.register(engine);
    return engine;
  }

  /**
   * Renders a conversation.
   *
   * @param addGenerationPrompt whether the beginning of the assistant's next message follows
   * @throws JobFailure if the template refuses the conversation or cannot be rendered
   */
  public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
    Map<String, Object> variables = new HashMap<>(translation.literals());
    variables.putAll(specialTokens);
    variables.put("messages", messages.stream().map(ChatTemplate::variable).toList());
    variables.put("add_generation_prompt", addGenerationPrompt);
    variables.put("tools", PythonText.NONE);
    variables.put("documents", PythonText.NONE);
    variables.put(TemplateFilters.BUDGET, new AtomicInteger(MAX_ITERATIONS));
    RenderResult result;
    try {
      result = ENGINE.renderForResult(translation.source(), variables);
    } catch (TemplateFilters.Aborted e) {
      throw failure(e.getMessage(), e);
    }
    if (!result.getErrors().isEmpty()) {
      TemplateError error = result.getErrors().get(0);
      throw failure(error.getMessage(), error.getException());
    }
    return result.getOutput();
  }

  private static Map<String, Object> variable(ChatMessage message) {
    Map<String, Object> variable = new LinkedHashMap<>();
    variable.put("role", message.role());
    variable.put("content", message.content());
    return variable;
  }

  private JobFailure failure(String why, Throwable cause) {
    return JobFailure.failure(
        "Cannot render the chat template of %s: %s".formatted(name, why), cause);
  }
}
