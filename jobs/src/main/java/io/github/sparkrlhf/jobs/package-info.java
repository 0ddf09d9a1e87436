/**
 * The command line and one thin class per job.
 *
 * <p>May depend on every other package; nothing may depend on it.
 */
package io.github.sparkrlhf.jobs;
