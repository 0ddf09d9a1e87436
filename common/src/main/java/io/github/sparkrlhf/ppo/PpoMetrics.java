package io.github.sparkrlhf.ppo;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * Metrics of an iteration under the names that analysts know from {@code trl}, over valid tokens
 * only. A metric that is undefined, such as a correlation with something constant, is left out.
 */
public final class PpoMetrics {
  /**
   * The responses of an iteration. Rows are as long as their response; nothing is padded.
   *
   * @param samplerLogprobs log π_old(y_t) as the sampler saw it, [rows][tokens]
   * @param logprobs log π_old(y_t) recomputed by the training forward pass, [rows][tokens]
   * @param refLogprobs log π_ref(y_t), [rows][tokens]
   * @param values V_t, [rows][tokens]; null without a critic
   * @param returns R_t, [rows][tokens]; null without a critic
   * @param scores after the missing-stop penalty, [rows]
   * @param stopped whether the response ended with a stop token, [rows]
   * @param samplesPerPrompt responses to a prompt, side by side
   */
  public record Responses(
      float[][] samplerLogprobs,
      float[][] logprobs,
      float[][] refLogprobs,
      float[][] values,
      float[][] returns,
      double[] scores,
      boolean[] stopped,
      int samplesPerPrompt) {
    /** Checks that there are rows and that they come in whole groups. */
    public Responses {
      if (scores.length == 0 || samplesPerPrompt < 1 || scores.length % samplesPerPrompt != 0) {
        throw new IllegalArgumentException(
            scores.length + " responses are not groups of " + samplesPerPrompt);
      }
    }
  }

  /**
   * What one minibatch of the update reports; NaN is what it does not have.
   *
   * @param kl of the penalty in the loss, before its coefficient
   * @param entropy of the full distribution, mean over the tokens
   */
  public record Minibatch(
      double policyLoss,
      double valueLoss,
      double kl,
      double entropy,
      double approxKl,
      double clipFraction,
      double valueClipFraction,
      double ratio) {}

  private PpoMetrics() {}

  /**
   * The metrics of the responses, before any update.
   *
   * @param estimator the KL estimator inside the reward; {@code objective/kl} is always {@link
   *     KlEstimator#K1}
   * @param beta the KL coefficient inside the reward
   */
  public static Map<String, Double> ofResponses(
      Responses responses, KlEstimator estimator, double beta) {
    int rows = responses.scores().length;
    double[] kl = new double[rows];
    double[] penalty = new double[rows];
    double[] entropy = new double[rows];
    double[] lengths = new double[rows];
    for (int row = 0; row < rows; row++) {
      float[] logprobs = responses.logprobs()[row];
      float[] reference = responses.refLogprobs()[row];
      lengths[row] = logprobs.length;
      kl[row] = sum(KlEstimator.K1.perToken(logprobs, reference, logprobs.length));
      penalty[row] = -beta * sum(estimator.perToken(logprobs, reference, logprobs.length));
      entropy[row] = -sum(doubles(logprobs));
    }
    double[] scores = responses.scores();
    Metrics metrics = new Metrics();
    metrics.put("objective/kl", mean(kl));
    metrics.put("objective/entropy", mean(entropy));
    metrics.put("objective/non_score_reward", mean(penalty));
    metrics.put("objective/scores", mean(scores));
    metrics.put("objective/rlhf_reward", mean(scores) + mean(penalty));
    metrics.put("objective/scores_std_within_prompt", deviationWithin(responses));
    metrics.put("response/length_mean", mean(lengths));
    metrics.put("response/length_max", Arrays.stream(lengths).max().orElseThrow());
    metrics.put("response/length_score_correlation", correlation(lengths, scores));
    double stops = stops(responses.stopped());
    metrics.put("response/truncated_share", 1 - stops / rows);
    metrics.put("val/num_eos_tokens", stops);
    if (responses.values() != null) {
      metrics.put(
          "val/explained_variance",
          explainedVariance(flat(responses.values()), flat(responses.returns())));
    }
    double[] differences =
        absoluteDifferences(flat(responses.samplerLogprobs()), flat(responses.logprobs()));
    metrics.put("policy/sampler_logprob_difference_mean", mean(differences));
    metrics.put(
        "policy/sampler_logprob_difference_max", Arrays.stream(differences).reduce(0, Math::max));
    return metrics.values;
  }

  /**
   * The metrics of the update, means over all its minibatches and epochs.
   *
   * @param minibatches at least one
   */
  public static Map<String, Double> ofUpdate(List<Minibatch> minibatches) {
    if (minibatches.isEmpty()) {
      throw new IllegalArgumentException("an update without minibatches has no metrics");
    }
    double[] ratios = minibatches.stream().mapToDouble(Minibatch::ratio).toArray();
    Metrics metrics = new Metrics();
    metrics.put("policy/approxkl_avg", average(minibatches, Minibatch::approxKl));
    metrics.put("policy/clipfrac_avg", average(minibatches, Minibatch::clipFraction));
    metrics.put("policy/entropy_avg", average(minibatches, Minibatch::entropy));
    metrics.put("loss/policy_avg", average(minibatches, Minibatch::policyLoss));
    metrics.put("loss/value_avg", average(minibatches, Minibatch::valueLoss));
    metrics.put("loss/kl_avg", average(minibatches, Minibatch::kl));
    metrics.put("val/clipfrac_avg", average(minibatches, Minibatch::valueClipFraction));
    metrics.put("val/ratio", mean(ratios));
    metrics.put("val/ratio_var", unbiasedVariance(ratios));
    return metrics.values;
  }

  private static final class Metrics {
    private final Map<String, Double> values = new LinkedHashMap<>();

    /** Leaves out what 0/0 gave; an infinity stays, for it is an alarm. */
    private void put(String name, double value) {
      if (!Double.isNaN(value)) {
        values.put(name, value);
      }
    }
  }

  private static double average(List<Minibatch> minibatches, ToDoubleFunction<Minibatch> metric) {
    return mean(minibatches.stream().mapToDouble(metric).toArray());
  }

  private static double stops(boolean[] stopped) {
    int stops = 0;
    for (boolean stop : stopped) {
      stops += stop ? 1 : 0;
    }
    return stops;
  }

  /** Mean over prompts of the standard deviation (unbiased) among a prompt's scores. */
  private static double deviationWithin(Responses responses) {
    int size = responses.samplesPerPrompt();
    double sum = 0;
    for (int first = 0; first < responses.scores().length; first += size) {
      sum +=
          Math.sqrt(unbiasedVariance(Arrays.copyOfRange(responses.scores(), first, first + size)));
    }
    return sum * size / responses.scores().length;
  }

  /** 1 − Var(R − V)/Var(R): 1 is a perfect critic, 0 one as good as a constant. */
  private static double explainedVariance(double[] values, double[] returns) {
    double[] residuals = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      residuals[i] = returns[i] - values[i];
    }
    double total = unbiasedVariance(returns);
    return total == 0 ? Double.NaN : 1 - unbiasedVariance(residuals) / total;
  }

  private static double correlation(double[] x, double[] y) {
    double meanX = mean(x);
    double meanY = mean(y);
    double xx = 0;
    double yy = 0;
    double xy = 0;
    for (int i = 0; i < x.length; i++) {
      xx += (x[i] - meanX) * (x[i] - meanX);
      yy += (y[i] - meanY) * (y[i] - meanY);
      xy += (x[i] - meanX) * (y[i] - meanY);
    }
    return xy / Math.sqrt(xx * yy);
  }

  private static double[] absoluteDifferences(double[] left, double[] right) {
    double[] differences = new double[left.length];
    for (int i = 0; i < left.length; i++) {
      differences[i] = Math.abs(left[i] - right[i]);
    }
    return differences;
  }

  private static double[] flat(float[][] rows) {
    return Arrays.stream(rows).flatMapToDouble(row -> Arrays.stream(doubles(row))).toArray();
  }

  private static double[] doubles(float[] values) {
    double[] doubles = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      doubles[i] = values[i];
    }
    return doubles;
  }

  static double sum(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum;
  }

  private static double mean(double[] values) {
    return sum(values) / values.length;
  }

  private static double unbiasedVariance(double[] values) {
    double mean = mean(values);
    double squares = 0;
    for (double value : values) {
      squares += (value - mean) * (value - mean);
    }
    return squares / (values.length - 1);
  }
}
