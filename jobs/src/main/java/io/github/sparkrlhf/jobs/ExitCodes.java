package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.PrintWriter;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/**
 * The one place that maps exceptions to exit codes: 0 done, 1 failure, 2 usage, 3 data quality. A
 * failure that the user can act on is one line; anything else is a defect and shows its stack.
 */
final class ExitCodes implements IExecutionExceptionHandler, IParameterExceptionHandler {
  @Override
  public int handleExecutionException(Exception thrown, CommandLine command, ParseResult parsed) {
    PrintWriter err = command.getErr();
    Optional<JobFailure> failure = Failures.known(thrown);
    if (failure.isPresent()) {
      err.println(failure.get().getMessage());
      return failure.get().kind().exitCode();
    }
    thrown.printStackTrace(err);
    return JobFailure.Kind.FAILURE.exitCode();
  }

  @Override
  public int handleParseException(ParameterException thrown, String[] args) {
    CommandLine command = thrown.getCommandLine();
    PrintWriter err = command.getErr();
    err.println(thrown.getMessage());
    CommandLine.UnmatchedArgumentException.printSuggestions(thrown, err);
    command.usage(err);
    return JobFailure.Kind.USAGE.exitCode();
  }
}
