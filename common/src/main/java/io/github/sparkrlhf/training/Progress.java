package io.github.sparkrlhf.training;

import java.io.PrintStream;
import java.util.Locale;

/** Tells a person how far long work has come: one line per step, with the time left. */
public final class Progress {
  private final PrintStream out;
  private final String name;
  private final long total;
  private long startedNanos = System.nanoTime();
  private long first = -1;

  /**
   * A progress from nothing done.
   *
   * @param name what is being done
   * @param total how many steps there are
   */
  public Progress(PrintStream out, String name, long total) {
    this.out = out;
    this.name = name;
    this.total = total;
  }

  /**
   * Prints a line.
   *
   * @param done steps done so far, at least 1; the first call may be above 1 after a resume
   * @param detail what is worth knowing about the step
   */
  public void step(long done, String detail) {
    if (first < 0) {
      first = done - 1;
    }
    double seconds = (System.nanoTime() - startedNanos) / 1e9;
    double left = seconds / (done - first) * (total - done);
    out.println(name + " " + done + "/" + total + ": " + detail + ", " + duration(left) + " left");
  }

  /**
   * Prints a line about something other than a step. How long that took before the first step says
   * nothing about the steps.
   */
  public void note(String text) {
    if (first < 0) {
      startedNanos = System.nanoTime();
    }
    out.println(name + ": " + text);
  }

  /** A duration as people say it: {@code 42 s}, {@code 3 min 05 s}, {@code 2 h 10 min}. */
  static String duration(double seconds) {
    long whole = Math.round(seconds);
    if (whole < 60) {
      return whole + " s";
    }
    if (whole < 3600) {
      return String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60);
    }
    return String.format(Locale.ROOT, "%d h %02d min", whole / 3600, whole / 60 % 60);
  }
}
