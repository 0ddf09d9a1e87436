package io.github.sparkrlhf.training;

import io.github.sparkrlhf.lm.ParameterLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Trains on a fixed set of rows: epochs of rounds, AdamW on the driver, validation, early stop,
 * checkpoints, exact resume. The result is a pure function of initial weights, rows, settings and
 * seed.
 */
public final class Trainer<E extends Example> {
  private static final String HISTORY = "history";
  private static final String MEASUREMENTS = "measurements";

  /**
   * How to train.
   *
   * @param epochs times through all rows
   * @param learningRate the peak
   * @param warmupShare share of all steps over which the learning rate rises, in [0, 1]
   * @param decay what the learning rate does afterwards, down to 0
   * @param weightDecay on matrices; none on norms and biases
   * @param maxGradientNorm global gradient norm above which the gradient is scaled down
   * @param checkpointEverySteps steps between two checkpoints
   * @param localSteps how many steps lanes take alone
   */
  public record Settings(
      int epochs,
      double learningRate,
      double warmupShare,
      LearningRateSchedule.Decay decay,
      double weightDecay,
      double maxGradientNorm,
      int checkpointEverySteps,
      LocalSteps localSteps) {
    /** Synchronous training. */
    public Settings(
        int epochs,
        double learningRate,
        double warmupShare,
        LearningRateSchedule.Decay decay,
        double weightDecay,
        double maxGradientNorm,
        int checkpointEverySteps) {
      this(
          epochs,
          learningRate,
          warmupShare,
          decay,
          weightDecay,
          maxGradientNorm,
          checkpointEverySteps,
          LocalSteps.SYNCHRONOUS);
    }
  }

  /**
   * What a round did: one step, or several local ones.
   *
   * @param step steps done, 1 after the first
   * @param epoch the epoch it belongs to, from 0
   * @param gradientNorm before clipping; after local steps the length of the mean way
   * @param learningRate of the last step
   * @param volume of the minibatch
   * @param sums of the objective over the minibatches, each before its step
   */
  public record Step(
      int step,
      int epoch,
      double gradientNorm,
      double learningRate,
      Volume volume,
      List<Double> sums) {
    /** The mean loss. */
    public double loss() {
      return sums.get(Objective.LOSS) / sums.get(Objective.COUNT);
    }

    private String line() {
      return Stream.concat(
              Stream.of(
                  step, epoch, gradientNorm, learningRate, volume.tokens(), volume.positions()),
              sums.stream())
          .map(String::valueOf)
          .collect(Collectors.joining(" "));
    }

    private static Step parse(String line) {
      List<String> parts = Arrays.asList(line.split(" ", -1));
      return new Step(
          Integer.parseInt(parts.get(0)),
          Integer.parseInt(parts.get(1)),
          Double.parseDouble(parts.get(2)),
          Double.parseDouble(parts.get(3)),
          new Volume(Long.parseLong(parts.get(4)), Long.parseLong(parts.get(5))),
          parts.subList(6, parts.size()).stream().map(Double::valueOf).toList());
    }
  }

  /**
   * A finished training; what happened before a resume is included.
   *
   * @param weights flat: the last ones, or the best of a training that may stop early
   * @param steps what every step did
   * @param measurements on the validation rows, in order; empty without any
   * @param measured the measurement of the weights; null without validation
   */
  public record Result(
      float[] weights,
      List<Step> steps,
      List<Validation.Measurement> measurements,
      Validation.Measurement measured) {
    /** What all steps together computed on. */
    public Volume volume() {
      return steps.stream().map(Step::volume).reduce(Volume.NONE, Volume::plus);
    }
  }

  private final TrainingEngine<E> engine;
  private final Settings settings;
  private final String name;
  private Validation<E> validation;

  /**
   * A trainer over dealt rows.
   *
   * @param name what the progress lines and the Spark UI call it
   */
  public Trainer(TrainingEngine<E> engine, Settings settings, String name) {
    this.engine = engine;
    this.settings = settings;
    this.name = name;
  }

  /** Measures the weights on other rows before, during and after the training. */
  public Trainer<E> optValidation(Validation<E> ofTraining) {
    this.validation = ofTraining;
    return this;
  }

  /** Steps of the whole training, unless it stops early. */
  public int totalSteps() {
    return Math.multiplyExact(settings.epochs(), engine.stepsPerEpoch());
  }

  /**
   * Trains, from the newest checkpoint if there is one.
   *
   * @param initialWeights flat; left as they are
   * @throws io.github.sparkrlhf.spark.JobFailure if a loss is not finite, or the checkpoints belong
   *     to another configuration
   */
  public Result train(
      float[] initialWeights, ParameterLayout layout, Checkpoints checkpoints, Progress progress) {
    State state = new State(initialWeights, layout);
    checkpoints.latest().ifPresent(state::resume);
    int total = totalSteps();
    LearningRateSchedule schedule =
        new LearningRateSchedule(
            settings.learningRate(),
            Math.round(settings.warmupShare() * total),
            total,
            settings.decay(),
            0);
    if (validation != null && state.measurements.isEmpty()) {
      measure(state, progress);
    }
    TokenRate rate = new TokenRate();
    while (state.done() < total && !isStopped(state)) {
      rate.start();
      int before = state.done();
      Step step = round(state, schedule, total);
      rate.stop(step.volume().tokens());
      state.steps.add(step);
      progress.step(step.step(), describe(step) + ", " + rate);
      if (validation != null
          && validation.isDue(before, step.step(), engine.stepsPerEpoch(), total)) {
        measure(state, progress);
      }
      if (passes(settings.checkpointEverySteps(), before, step.step()) && step.step() < total) {
        checkpoints.save(state.checkpoint());
      }
    }
    return result(state, total, progress);
  }

  /** What a training has done so far: what a checkpoint holds. */
  private final class State {
    final float[] weights;
    final Optimizer optimizer;
    final ArrayList<AdamW.Segment> segments;
    final List<Step> steps = new ArrayList<>();
    List<Validation.Measurement> measurements = new ArrayList<>();
    float[] best;

    State(float[] initialWeights, ParameterLayout layout) {
      weights = initialWeights.clone();
      segments = new ArrayList<>(segments(layout, 0, 1));
      LocalSteps local = settings.localSteps();
      optimizer =
          local.isSynchronous()
              ? new AdamW(weights.length, segments, adam())
              : new NesterovMomentum(weights.length, local.outerMomentum());
    }

    int done() {
      return steps.isEmpty() ? 0 : steps.get(steps.size() - 1).step();
    }

    void resume(Checkpoint checkpoint) {
      System.arraycopy(checkpoint.weights(), 0, weights, 0, weights.length);
      checkpoint.restore(optimizer);
      checkpoint.extras().get(HISTORY).lines().map(Step::parse).forEach(steps::add);
      measurements = Validation.parse(checkpoint.extras().get(MEASUREMENTS));
      best = checkpoint.bestWeights();
    }

    Checkpoint checkpoint() {
      Map<String, String> extras =
          Map.of(
              HISTORY,
              steps.stream().map(Step::line).collect(Collectors.joining("\n")),
              MEASUREMENTS,
              Validation.lines(measurements));
      return Checkpoint.of(done(), weights, optimizer, best, extras);
    }
  }

  private AdamW.Settings adam() {
    return new AdamW.Settings(0.9, 0.999, 1e-8, settings.weightDecay());
  }

  private Step round(State state, LearningRateSchedule schedule, int total) {
    int done = state.done();
    int epoch = done / engine.stepsPerEpoch();
    int step = done % engine.stepsPerEpoch();
    LocalSteps local = settings.localSteps();
    int count = Math.min(local.count(), engine.stepsPerEpoch() - step);
    String what = name + ": step " + (done + count) + " of " + total;
    double[] rates = IntStream.range(done, done + count).mapToDouble(schedule::at).toArray();
    double rate = rates[count - 1];
    TrainingEngine.Round round;
    double norm;
    if (local.isSynchronous()) {
      round = engine.round(state.weights, epoch, step, what);
      norm = GradientClipping.globalNorm(round.gradient(), settings.maxGradientNorm());
      state.optimizer.step(state.weights, round.gradient(), rate);
    } else {
      var plan = new LocalStepsTask.Plan(state.segments, adam(), settings.maxGradientNorm(), rates);
      round = engine.localRound(state.weights, epoch, step, plan, what);
      norm = GradientClipping.globalNorm(round.gradient(), Double.POSITIVE_INFINITY);
      state.optimizer.step(state.weights, round.gradient(), local.outerLearningRate());
    }
    List<Double> sums = Arrays.stream(round.sums()).boxed().toList();
    return new Step(done + count, epoch, norm, rate, round.volume(), sums);
  }

  /** Whether a multiple of a number lies above the one and not above the other. */
  static boolean passes(int every, int from, int to) {
    return to / every > from / every;
  }

  private void measure(State state, Progress progress) {
    Validation.Measurement measurement =
        validation.measure(
            state.weights, state.done(), state.done() / engine.stepsPerEpoch(), name);
    state.measurements.add(measurement);
    if (validation.keepsBest() && Validation.newestIsBest(state.measurements)) {
      state.best = state.weights.clone();
    }
    progress.note(validation.describe(measurement));
  }

  private boolean isStopped(State state) {
    return validation != null && validation.stops(state.measurements);
  }

  private Result result(State state, int total, Progress progress) {
    if (state.best == null) {
      int last = state.measurements.size() - 1;
      return new Result(
          state.weights,
          state.steps,
          state.measurements,
          last < 0 ? null : state.measurements.get(last));
    }
    Validation.Measurement best =
        state.measurements.get(Validation.indexOfBest(state.measurements));
    progress.note(
        "%s after step %d of %d, the best weights are those after step %d"
            .formatted(
                isStopped(state) ? "stopped early" : "ended", state.done(), total, best.step()));
    return new Result(state.best, state.steps, state.measurements, best);
  }

  private static String describe(Step step) {
    return String.format(
        Locale.ROOT,
        "loss %.4f, gradient norm %.3f, learning rate %.2e",
        step.loss(),
        step.gradientNorm(),
        step.learningRate());
  }

  /** Tokens per second of the steps of this process, without validation and checkpoints. */
  private static final class TokenRate {
    private long tokens;
    private long nanos;
    private long started;

    void start() {
      started = System.nanoTime();
    }

    void stop(long ofStep) {
      nanos += System.nanoTime() - started;
      tokens += ofStep;
    }

    @Override
    public String toString() {
      return String.format(Locale.ROOT, "%,.0f tokens/s", tokens / (nanos / 1e9));
    }
  }

  /**
   * The optimiser's segments of one model within the flat weights.
   *
   * @param offset where the model's weights begin
   * @param learningRateScale its learning rate over the schedule's
   */
  public static List<AdamW.Segment> segments(
      ParameterLayout layout, int offset, double learningRateScale) {
    return segments(layout, offset, learningRateScale, 0);
  }

  /**
   * The optimiser's segments of one model that begins to learn late.
   *
   * @param firstStep steps before which the model stays as it is
   */
  public static List<AdamW.Segment> segments(
      ParameterLayout layout, int offset, double learningRateScale, long firstStep) {
    return layout.parameters().stream()
        .map(
            parameter ->
                new AdamW.Segment(
                    offset + parameter.offset(),
                    parameter.size(),
                    learningRateScale,
                    parameter.decays(),
                    firstStep))
        .toList();
  }
}
