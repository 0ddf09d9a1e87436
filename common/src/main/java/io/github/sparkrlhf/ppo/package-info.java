/**
 * How a policy is optimised: advantages, losses, KL control and the loop of PPO; direct preference
 * optimisation.
 *
 * <p>May depend on everything but {@code jobs}.
 */
package io.github.sparkrlhf.ppo;
