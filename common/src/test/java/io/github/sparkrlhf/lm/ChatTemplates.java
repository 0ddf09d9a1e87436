package io.github.sparkrlhf.lm;

/** Chat templates as published with models. */
final class ChatTemplates {
  /** Qwen2.5, without its branch for tools. */
  static final String CHATML =
      """
      {%- if tools %}
          {{- '<|im_start|>system\\n' }}
          {{- raise_exception('tools') }}
      {%- else %}
          {%- if messages[0]['role'] == 'system' %}
              {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
          {%- else %}
              {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
          {%- endif %}
      {%- endif %}
      {%- for message in messages %}
          {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
              {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
          {%- elif message.role == "assistant" %}
              {{- '<|im_start|>' + message.role }}
              {%- for tool_call in message.tool_calls %}
                  {{- tool_call.arguments | tojson }}
              {%- endfor %}
              {{- '<|im_end|>\\n' }}
          {%- elif message.role == "tool" %}
              {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
                  {{- '<|im_start|>user' }}
              {%- endif %}
          {%- endif %}
      {%- endfor %}
      {%- if add_generation_prompt %}
          {{- '<|im_start|>assistant\\n' }}
      {%- endif %}
      """;

  static final String LLAMA_2 =
      "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
          + "{% set system_message = messages[0]['content'] %}{% else %}"
          + "{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
          + "{% for message in loop_messages %}"
          + "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
          + "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
          + "{% endif %}{% if loop.index0 == 0 and system_message != false %}"
          + "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
          + "{% else %}{% set content = message['content'] %}{% endif %}"
          + "{% if message['role'] == 'user' %}"
          + "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
          + "{% elif message['role'] == 'assistant' %}"
          + "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

  static final String LLAMA_3 =
      "{% set loop_messages = messages %}{% for message in loop_messages %}"
          + "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
          + "+ message['content'] | trim + '<|eot_id|>' %}"
          + "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
          + "{{ content }}{% endfor %}{% if add_generation_prompt %}"
          + "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

  static final String ZEPHYR =
      """
      {% for message in messages %}
      {% if message['role'] == 'user' %}
      {{ '<|user|>
      ' + message['content'] + eos_token }}
      {% elif message['role'] == 'system' %}
      {{ '<|system|>
      ' + message['content'] + eos_token }}
      {% elif message['role'] == 'assistant' %}
      {{ '<|assistant|>
      '  + message['content'] + eos_token }}
      {% endif %}
      {% if loop.last and add_generation_prompt %}
      {{ '<|assistant|>' }}
      {% endif %}
      {% endfor %}
      """;

  /** Mistral 7B Instruct v0.3, without its branches for tools. */
  static final String MISTRAL =
      """
      {%- if messages[0]["role"] == "system" %}
          {%- set system_message = messages[0]["content"] %}
          {%- set loop_messages = messages[1:] %}
      {%- else %}
          {%- set loop_messages = messages %}
      {%- endif %}
      {%- if not tools is defined %}
          {%- set tools = none %}
      {%- endif %}
      {%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

      {#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
      {%- set ns = namespace() %}
      {%- set ns.index = 0 %}
      {%- for message in loop_messages %}
          {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
              {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
                  {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
              {%- endif %}
              {%- set ns.index = ns.index + 1 %}
          {%- endif %}
      {%- endfor %}

      {{- bos_token }}
      {%- for message in loop_messages %}
          {%- if message["role"] == "user" %}
              {%- if tools is not none and (message == user_messages[-1]) %}
                  {{- "[AVAILABLE_TOOLS] [" }}
              {%- endif %}
              {%- if loop.last and system_message is defined %}
                  {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
              {%- else %}
                  {{- "[INST] " + message["content"] + "[/INST]" }}
              {%- endif %}
          {%- elif message["role"] == "assistant" %}
              {{- " " + message["content"]|trim + eos_token}}
          {%- else %}
              {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
          {%- endif %}
      {%- endfor %}
      """;

  private ChatTemplates() {}
}
