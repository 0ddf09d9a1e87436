/**
 * Proximal policy optimisation: advantages, losses, KL control, the loop.
 *
 * <p>May depend on everything but {@code jobs}.
 */
package io.github.sparkrlhf.ppo;
