/**
 * The language-model core: the transformer as DJL blocks, Hugging Face configuration, weights and
 * tokenizer.
 *
 * <p>May depend on {@code spark}, {@code tables}.
 */
package io.github.sparkrlhf.lm;
