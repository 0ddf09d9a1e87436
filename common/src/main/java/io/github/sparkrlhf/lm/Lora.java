package io.github.sparkrlhf.lm;

import java.io.Serializable;
import java.util.List;

/**
 * How a model is adapted by low-rank matrices (Hu et al., 2021): a projection W {@code [out, in]}
 * becomes W + alpha/rank · B·A with A {@code [rank, in]} and B {@code [out, rank]}; W itself stays.
 *
 * @param rank width between A and B
 * @param alpha the product is scaled by alpha / rank
 * @param targets names of projections, such as {@code q_proj} or {@code self_attn.q_proj}, as PEFT
 *     understands {@code target_modules}; or {@value #ALL_LINEAR} alone
 */
public record Lora(int rank, double alpha, List<String> targets) implements Serializable {
  /** PEFT's name for all projections of all layers; embeddings and heads are none. */
  public static final String ALL_LINEAR = "all-linear";

  /** Checks the ranges. */
  public Lora {
    if (rank < 1 || !Double.isFinite(alpha) || targets.isEmpty()) {
      throw new IllegalArgumentException("no adapters: " + rank + ", " + alpha + ", " + targets);
    }
    targets = List.copyOf(targets);
  }

  /** What B·A is multiplied by. */
  double scale() {
    return alpha / rank;
  }

  /** Whether a target names the module, by its whole name or the end of it. */
  static boolean names(String target, String module) {
    return target.equals(ALL_LINEAR) || module.equals(target) || module.endsWith("." + target);
  }
}
