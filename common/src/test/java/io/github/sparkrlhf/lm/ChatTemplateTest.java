package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Public formats, and the language, held against what Jinja and transformers give. */
class ChatTemplateTest {
  private static final Map<String, String> SPECIAL =
      Map.of("bos_token", "<s>", "eos_token", "</s>");
  private static final ChatMessage SYSTEM = new ChatMessage("system", "Be brief.");
  private static final ChatMessage HELLO = new ChatMessage("user", " Hello {{ 1 + 1 }} ");
  private static final ChatMessage HI = new ChatMessage("assistant", "Hi!");
  private static final ChatMessage BYE = new ChatMessage("user", "Bye");

  @Test
  void rendersChatMl() {
    assertThat(render(ChatTemplates.CHATML, true, HELLO))
        .isEqualTo(
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful"
                + " assistant.<|im_end|>\n<|im_start|>user\n Hello {{ 1 + 1 }} <|im_end|>\n"
                + "<|im_start|>assistant\n");
    assertThat(render(ChatTemplates.CHATML, false, SYSTEM, HELLO, HI, BYE))
        .isEqualTo(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hello {{ 1 + 1 }}"
                + " <|im_end|>\n<|im_start|>assistant\nHi!<|im_end|>\n<|im_start|>user\nBye"
                + "<|im_end|>\n");
  }

  @Test
  void rendersLlama2() {
    assertThat(render(ChatTemplates.LLAMA_2, true, SYSTEM, HELLO, HI, BYE))
        .isEqualTo(
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hello {{ 1 + 1 }} [/INST] Hi! </s>"
                + "<s>[INST] Bye [/INST]");
    assertThat(render(ChatTemplates.LLAMA_2, true, HELLO))
        .isEqualTo("<s>[INST] Hello {{ 1 + 1 }} [/INST]");
    assertThatThrownBy(() -> render(ChatTemplates.LLAMA_2, true, HI))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining(
            "Cannot render the chat template of here: it says 'Conversation roles must alternate");
  }

  @Test
  void rendersLlama3() {
    assertThat(render(ChatTemplates.LLAMA_3, true, SYSTEM, HELLO, HI))
        .isEqualTo(
            "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                + "<|start_header_id|>user<|end_header_id|>\n\nHello {{ 1 + 1 }}<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\nHi!<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\n");
  }

  @Test
  void rendersZephyr() {
    assertThat(render(ChatTemplates.ZEPHYR, true, SYSTEM, HELLO))
        .isEqualTo("<|system|>\nBe brief.</s>\n<|user|>\n Hello {{ 1 + 1 }} </s>\n<|assistant|>\n");
    assertThat(render(ChatTemplates.ZEPHYR, false, HELLO, HI))
        .isEqualTo("<|user|>\n Hello {{ 1 + 1 }} </s>\n<|assistant|>\nHi!</s>\n");
  }

  @Test
  void rendersMistral() {
    assertThat(render(ChatTemplates.MISTRAL, true, SYSTEM, HELLO, HI, BYE))
        .isEqualTo("<s>[INST]  Hello {{ 1 + 1 }} [/INST] Hi!</s>[INST] Be brief.\n\nBye[/INST]");
    assertThat(render(ChatTemplates.MISTRAL, true, HELLO))
        .isEqualTo("<s>[INST]  Hello {{ 1 + 1 }} [/INST]");
    assertThatThrownBy(() -> render(ChatTemplates.MISTRAL, true, HELLO, BYE))
        .hasMessageContaining("it says 'After the optional system message");
  }

  @Test
  void rendersThePlainTemplate() {
    assertThat(render(TokenizerFile.CHAT_TEMPLATE, true, HELLO, HI))
        .isEqualTo("<s> Hello {{ 1 + 1 }} \nHi!</s>");
  }

  /** What Jinja 3 prints for the messages system, user, assistant, user. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '§',
      quoteCharacter = '`',
      value = {
        "{{ messages|length - 1 }}{{ messages[1:]|length }}{{ messages[-1].content }}§33Bye",
        "{{ messages[:-1]|length }}{{ messages[-2:]|length }}{{ messages[1:3]|length }}§322",
        "{{ messages[7:]|length }}{{ messages[:7]|length }}{{ messages[9] is defined }}§04False",
        "{% for m in messages[::-1] %}{{ m.role[0] }}{% endfor %}§uaus",
        "{{ 'abcd'[1:] ~ 'abcd'[-1] ~ 'abcd'[:-1] ~ 'abcd'[1:3] }}§bcddabcbc",
        "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{"
            + " loop.revindex0 }}{{ loop.length }}{{ loop.first }}{{ loop.last }} {% endfor"
            + " %}§`10434TrueFalse 21324FalseFalse 32214FalseFalse 43104FalseTrue `",
        "{{ 'a b '.strip() ~ 'xxa'.lstrip('x') ~ 'ab\\n'.rstrip() }}§a baab",
        "{{ 'ab'.startswith('a') }}{{ 'ab'.endswith('a') }}{{ 'a.b.c'.split('.')[-1] }}§TrueFalsec",
        "{{ 'a</think>b'.split('</think>')[1].upper() }}{{ 'a.b'.replace('.', '-') }}§Ba-b",
        "{{ 'Be' in messages[0].content }}{{ 'x' not in 'abc' and true }}§TrueTrue",
        "{{ 'tool_calls' in messages[0] }}{{ 'role' in messages[0] }}§FalseTrue",
        "{{ x is defined }}{{ x is undefined }}{{ not x is defined }}{{ x is not defined }}"
            + "§FalseTrueTrueTrue",
        "{{ tools is none }}{{ tools is defined }}{{ x is none }}{{ tools is not none }}"
            + "§TrueTrueFalseFalse",
        "{{ none }}{{ true }}{{ x }}{{ 'a' if false }}{{ 3 }}§NoneTrue3",
        "{{ 'a' is string }}{{ messages is string }}{{ messages is iterable }}{{ messages[0] is"
            + " mapping }}{{ messages is sequence }}§TrueFalseTrueTrueTrue",
        "{{ 'y' if add_generation_prompt and not tools else 'n' }}§y",
        "{{ 'a' + ' b '|trim + 'c' }}{{ ('a' ~ ' b ')|trim }}§abca b",
        "{{ x|default('d') }}{{ tools|default('d') }}{{ tools|default('d', true) }}§dNoned",
        "{{ messages[0]|tojson }}§`{\"role\": \"system\", \"content\": \"Be brief.\"}`",
        "{% set x = ['ä\"', 1, true, none] %}{{ x|tojson }}§`[\"ä\\\"\", 1, true, null]`",
        "{% set x = {'a': [1, 2], 'b': 2} %}{{ x|tojson(indent=2) }}"
            + "§`{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": 2\n}`",
        "{{ messages|map(attribute='role')|join(', ') }}§system, user, assistant, user",
        "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}§2",
        "{{ (messages|rejectattr('role', 'in', ['user', 'system'])|first).content }}§Hi!",
        "{{ messages[0].get('x', 'd') }}{{ messages[0].get('role') }}§dsystem",
        "{% for k, v in messages[2].items() %}{{ k }}={{ v }};{% endfor %}"
            + "§role=assistant;content=Hi!;",
        "{% macro f(a, b='q') %}<{{ a }}{{ b }}>{% endmacro %}{{ f('x') }}{{ f('y', b='z') }}"
            + "§<xq><yz>",
        "{% set ns = namespace(n=0, s='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set"
            + " ns.s = ns.s + m.role[0] %}{% endfor %}{{ ns.n }}{{ ns.s }}§4suau",
        "{% set z = 1 %}{% for m in messages %}{% set z = 2 %}{% endfor %}{{ z }}§1",
        "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break"
            + " %}{% endif %}{{ i }}{% endfor %}§02",
        "{% set x %}a{{ 1 }}{% endset %}{{ x }}§a1",
        "{{ '\\u00e9\\x41' ' \\\\n' }}{{ \"it's\" }}{{ '{{ %} }}' }}§éA \\nit's{{ %} }}",
        "{% generation %}a{% endgeneration %}§a",
        "{{ 1 == 1 and 2 > 1 and 'a' != 'b' and not false }}§True",
        "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}26 Jul{% endif %}§26 Jul",
        "{{ messages[0]['content'][:2] if messages[0]['role'] == 'system' else 'd' }}§Be",
        "{{ (messages|last)['content'] }}{{ -7 + 8 }}{{ 7 % 3 }}§Bye11",
      })
  void printsWhatJinjaPrints(String template, String expected) {
    assertThat(render(template, true, SYSTEM, HELLO, HI, BYE)).isEqualTo(expected);
  }

  @Test
  void controlsWhiteSpaceAsJinjaDoes() {
    assertThat(render("a{%- if true -%} \n b \n {%- endif %}c", true)).isEqualTo("abc");
    assertThat(render("a\n  {% if true %}\nb {% if true %}c{% endif %}\n  {% endif %}\n d", true))
        .isEqualTo("a\nb c d");
    assertThat(render("{ {#- c -#} %}{# x #}\n{{- '<b>' }}\n", true)).isEqualTo("{%}<b>");
    assertThat(render("a\n {%+ if true +%}\nb{% endif %}", true)).isEqualTo("a\n \nb");
    assertThat(render("  {% if true %}\n  a\r\n{{ 1 }}\n{% endif %}\n\n", true))
        .isEqualTo("  a\n1\n");
  }

  /** What reaches for Java, for files, or beyond what is known to mean the same. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '#',
      quoteCharacter = '`',
      value = {
        "{{ ''.class }}#class",
        "{{ ''['class'].name.x() }}#method 'x'",
        "{{ messages.getClass() }}#method 'getClass'",
        "{{ ''.__class__ }}#name __class__",
        "{{ jinja_literal_0 }}#name jinja_literal_0",
        "{% include 'x' %}#tag 'include'",
        "{% import 'x' as y %}#tag 'import'",
        "{% from 'x' import y %}#tag 'from'",
        "{% extends 'x' %}#tag 'extends'",
        "{% raw %}a{% endraw %}#tag 'raw'",
        "{{ ____int3rpr3t3r____ }}#name ____int3rpr3t3r____",
        "{{ 'a'|render }}#filter 'render'",
        "{{ 'a' is upper }}#test 'upper'",
        "{{ 'a'.title() }}#method 'title'",
        "{{ dict(a=1) }}#function 'dict'",
        "{{ loop.previtem }}#attribute of loop 'previtem'",
        "{% for m in messages if m.role %}{% endfor %}#'for' with 'if'",
        "{% for m in messages %}{% else %}{% endfor %}#'else' of for",
        "{% set a, b = 1, 2 %}#'set' of [a, ,, b]",
        "{{ 'a' * 3 }}#operator *",
        "{{ 7 // 2 }}#operator //",
        "{{ 'a%s' % 'b' }}#formatting by %",
        "{{ messages[::2] }}#slice with a step",
        "{{ [1]|tojson }}#filter of a list or mapping",
        "{{ messages }}#printing a list",
        "{{ 1.5 }}#printing a Double",
        "{{ messages[0] }}#printing a mapping",
        "{{ strftime_now('%Y') }}#function 'strftime_now'",
        "{{ 1 + }}#syntax error",
        "{{ 'a' }#a tag without end",
        "{% if true %}a#'if' without end",
        "{% if true %}{% endfor %}#'endfor' after 'if'",
        "{{ a & b }}#character '&'",
        "{{ 'a' + messages[0].x }}#undefined",
      })
  void refusesByName(String template, String construct) {
    assertThatThrownBy(() -> render(template, true, SYSTEM))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot render the chat template of here: ")
        .hasMessageContaining(construct);
  }

  @Test
  void reachesNoJavaObjectByKey() {
    assertThat(render("{{ ''['class'] }}{{ messages['class'] }}{{ 1['class'] }}", true)).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{{ messages[0].content }}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s"
            + " %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s]"
            + "|join %}{% endfor %}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(9999999) %}{% endfor %}",
      })
  @Timeout(value = 20, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void boundsWhatATemplateCosts(String template) {
    ChatMessage longOne = new ChatMessage("user", "a".repeat(10_000));

    assertThatThrownBy(() -> render(template, true, longOne)).isInstanceOf(JobFailure.class);
  }

  private static String render(String template, boolean prompt, ChatMessage... messages) {
    return new ChatTemplate(template, SPECIAL, "here").render(List.of(messages), prompt);
  }
}
