package io.github.sparkrlhf.reward;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.lm.WeightType;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;

/**
 * What a language model makes of a response: its hidden states after the last norm, averaged over
 * the tokens of the response, the end of the text among them. The model reads prompt and response
 * as a reward model does ({@link RewardInput}), one text at a time, so that a state depends on its
 * text alone.
 */
public final class HiddenStates implements Serializable {
  /** No language model: states of no numbers. */
  public static final HiddenStates NONE = new HiddenStates(null, new float[0], null);

  private static final long serialVersionUID = 1L;

  private final TransformerConfig config;
  private final float[] weights;
  private final TokenizerFile tokenizer;

  private HiddenStates(TransformerConfig config, float[] weights, TokenizerFile tokenizer) {
    this.config = config;
    this.weights = weights;
    this.tokenizer = tokenizer;
  }

  /**
   * The states of a model, whatever its head.
   *
   * @throws io.github.sparkrlhf.spark.JobFailure if the directory cannot be read
   */
  public static HiddenStates load(Path directory) {
    LanguageModel model = LanguageModel.load(directory);
    return new HiddenStates(model.config(), model.weights(), model.tokenizer());
  }

  /** How many numbers a state has; 0 if there is no model. */
  public int size() {
    return config == null ? 0 : config.hiddenSize();
  }

  /**
   * The mean state of a response.
   *
   * @return {@code [size]}
   */
  double[] of(String prompt, String response) {
    RewardInput.Parts parts =
        RewardInput.parts(Tokenizer.of(tokenizer), prompt, response, config.maxPositions());
    long[] tokens = new long[parts.prompt().length + parts.response().length];
    for (int i = 0; i < tokens.length; i++) {
      int place = i - parts.prompt().length;
      tokens[i] = place < 0 ? parts.prompt()[i] : parts.response()[place];
    }
    float[] states;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      NDArray ids = manager.create(tokens).expandDims(0);
      states =
          lease.replica().transformer().hidden(lease.replica().store(), ids, false).toFloatArray();
    }
    double[] mean = new double[size()];
    for (int i = parts.prompt().length * size(); i < states.length; i++) {
      mean[i % size()] += states[i] / (double) parts.response().length;
    }
    return mean;
  }

  /**
   * Writes the model's files into an existing directory.
   *
   * @throws IOException if a file cannot be written
   */
  void writeFiles(Path directory) throws IOException {
    new LanguageModel(config, weights, tokenizer).writeFiles(directory, WeightType.F32);
  }
}
