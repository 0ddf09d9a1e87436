package io.github.sparkrlhf.ppo;

import java.io.Serializable;

/**
 * Of what the loss is made.
 *
 * @param clip clip ranges ε
 * @param ratio over how many tokens a probability ratio goes
 * @param averaging how the losses of tokens become one
 * @param valueCoefficient weight of the value loss; of no meaning without a critic
 * @param entropyCoefficient weight of the entropy bonus
 */
public record LossSettings(
    PpoLoss.Clip clip,
    RatioLevel ratio,
    Averaging averaging,
    double valueCoefficient,
    double entropyCoefficient)
    implements Serializable {}
