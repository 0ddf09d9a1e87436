package io.github.sparkrlhf.reward;

import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Block;
import ai.djl.nn.BlockFactory;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TokenizerFile;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Makes a DJL block of the directory of a transformer reward model, which names this class in its
 * {@code serving.properties}. Only JSON and safetensors are read from the directory.
 */
public final class RewardBlockFactory implements BlockFactory {
  private static final long serialVersionUID = 1L;

  /** What the directory of a model says, so that DJL's {@code Criteria} loads it. */
  static final String SERVING_PROPERTIES =
      """
      engine=PyTorch
      blockFactory=%s
      option.hasParameter=false
      """
          .formatted(RewardBlockFactory.class.getName());

  @Override
  public Block newBlock(Model model, Path modelPath, Map<String, ?> arguments) {
    return new RewardBlock(TransformerRewardModel.load(modelPath).model());
  }

  /** Input: the tokens of one sequence, int64 {@code [time]}. Output: its score, {@code [1]}. */
  static final class RewardBlock extends AbstractBlock {
    private final Replica replica;
    private final TokenizerFile tokenizer;

    RewardBlock(LanguageModel model) {
      this.replica = new Replica(model.config());
      this.tokenizer = model.tokenizer();
      replica.load(model.weights(), 0);
    }

    TokenizerFile tokenizer() {
      return tokenizer;
    }

    /** The longest sequence, in tokens. */
    int maxTokens() {
      return replica.config().maxPositions();
    }

    /** One at a time: predictors of several threads share the block. */
    @Override
    protected synchronized NDList forwardInternal(
        ParameterStore store, NDList inputs, boolean training, PairList<String, Object> params) {
      NDArray ids = inputs.singletonOrThrow();
      int[] tokens = Arrays.stream(ids.toLongArray()).mapToInt(Math::toIntExact).toArray();
      try (GradMode ignored = GradMode.inference();
          NDManager manager = replica.newManager()) {
        float[] scores = SequenceBatch.atLastTokens(List.of(tokens)).scores(replica, manager);
        return new NDList(ids.getManager().create(scores));
      }
    }

    @Override
    public Shape[] getOutputShapes(Shape[] inputShapes) {
      return new Shape[] {new Shape(1)};
    }
  }
}
