package io.github.sparkrlhf.lm;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** The filters and tests of chat templates, as Jinja and transformers define them. */
final class TemplateFilters {
  /** Longest string that a template may put together. */
  static final int MAX_CHARACTERS = 16 << 20;

  /** Longest range. */
  private static final int MAX_RANGE = 10_000;

  /** What prints a value. */
  static final String OUTPUT = "jinja_output";

  /** What keeps variables from growing without bound. */
  static final String BOUNDED = "jinja_bounded";

  /** What a loop runs over. */
  static final String ITEMS = "jinja_iterated";

  /** Counts one iteration of a loop. */
  static final String SPEND = "jinja_spend";

  /** The variable with the iterations that are left. */
  static final String BUDGET = "jinja_budget";

  private static final Map<String, Function> FILTERS =
      Map.ofEntries(
          Map.entry("trim", (value, given, named) -> PythonText.strip(text(value), text(given, 0))),
          Map.entry("string", (value, given, named) -> PythonText.string(value)),
          Map.entry("upper", (value, given, named) -> text(value).toUpperCase(Locale.ROOT)),
          Map.entry("lower", (value, given, named) -> text(value).toLowerCase(Locale.ROOT)),
          Map.entry("length", (value, given, named) -> length(value)),
          Map.entry("count", (value, given, named) -> length(value)),
          Map.entry("list", (value, given, named) -> new ArrayList<>(elements(value))),
          Map.entry("first", (value, given, named) -> element(elements(value), true)),
          Map.entry("last", (value, given, named) -> element(elements(value), false)),
          Map.entry("reverse", (value, given, named) -> reversed(value)),
          Map.entry("items", (value, given, named) -> TemplateResolver.items((Map<?, ?>) value)),
          Map.entry("join", (value, given, named) -> join(value, text(given, 0))),
          Map.entry("replace", (value, given, named) -> replaced(value, given)),
          Map.entry("tojson", TemplateFilters::json),
          Map.entry("default", (value, given, named) -> otherwise(value, given)),
          Map.entry("d", (value, given, named) -> otherwise(value, given)),
          Map.entry("safe", (value, given, named) -> value),
          Map.entry("map", (value, given, named) -> attributes(value, given, named)),
          Map.entry("selectattr", (value, given, named) -> selected(value, given, true)),
          Map.entry("rejectattr", (value, given, named) -> selected(value, given, false)));

  private static final Map<String, Function> INTERNAL =
      Map.of(
          OUTPUT,
          (value, given, named) -> bounded(PythonText.string(value)),
          BOUNDED,
          (value, given, named) -> bounded(value),
          ITEMS,
          (value, given, named) -> elements(value),
          SPEND,
          (value, given, named) -> spent((AtomicInteger) value),
          "raise_exception",
          (value, given, named) -> {
            throw new Aborted("it says '" + text(given, 0) + "'");
          },
          "range",
          (value, given, named) -> range(given),
          "strftime_now",
          (value, given, named) -> {
            throw new IllegalArgumentException("the function 'strftime_now' is not supported");
          });

  private static final Map<String, Predicate<Object>> SIMPLE_TESTS =
      Map.of(
          "defined",
          value -> !PythonText.isUndefined(value),
          "undefined",
          PythonText::isUndefined,
          "none",
          value -> value == PythonText.NONE,
          "string",
          value -> value instanceof CharSequence,
          "mapping",
          value -> value instanceof Map,
          "iterable",
          TemplateFilters::isSequence,
          "sequence",
          TemplateFilters::isSequence,
          "true",
          Boolean.TRUE::equals,
          "false",
          Boolean.FALSE::equals,
          "boolean",
          value -> value instanceof Boolean);

  /** The filters that a template may name. */
  static final Set<String> NAMES = FILTERS.keySet();

  /** The tests that a template may name. */
  static final Set<String> TESTS = SIMPLE_TESTS.keySet();

  private TemplateFilters() {}

  /** Ends a rendering; an error, because jinjava notes exceptions and goes on. */
  static final class Aborted extends Error {
    private static final long serialVersionUID = 1L;

    Aborted(String message) {
      super(message, null, false, false);
    }
  }

  private interface Function {
    Object apply(Object value, Object[] given, Map<String, Object> named);
  }

  private record NamedFilter(String name, Function function) implements AdvancedFilter {
    @Override
    public String getName() {
      return name;
    }

    @Override
    public Object filter(
        Object value, JinjavaInterpreter interpreter, Object[] given, Map<String, Object> named) {
      if (!named.isEmpty() && !name.equals("tojson") && !name.equals("map")) {
        throw new IllegalArgumentException(
            "the argument '%s' of the filter '%s' is not supported"
                .formatted(named.keySet().iterator().next(), name));
      }
      return function.apply(value, given, named);
    }
  }

  private record NamedTest(String name, Predicate<Object> test) implements ExpTest {
    @Override
    public String getName() {
      return name;
    }

    @Override
    public boolean evaluate(Object value, JinjavaInterpreter interpreter, Object... given) {
      return test.test(value);
    }
  }

  /** Puts the filters and tests into an engine, in the place of its own. */
  static void register(Jinjava jinjava) {
    FILTERS.forEach((name, filter) -> jinjava.registerFilter(new NamedFilter(name, filter)));
    INTERNAL.forEach((name, filter) -> jinjava.registerFilter(new NamedFilter(name, filter)));
    SIMPLE_TESTS.forEach((name, test) -> jinjava.registerExpTest(new NamedTest(name, test)));
  }

  private static Object bounded(Object value) {
    if (value instanceof CharSequence text && text.length() > MAX_CHARACTERS) {
      throw new Aborted("it makes more than " + MAX_CHARACTERS + " characters");
    }
    return value;
  }

  private static String spent(AtomicInteger budget) {
    if (budget.decrementAndGet() < 0) {
      throw new Aborted("its loops have no end in sight");
    }
    return "";
  }

  private static List<Object> range(Object[] given) {
    long[] bounds = new long[given.length];
    for (int i = 0; i < given.length; i++) {
      bounds[i] = ((Number) given[i]).longValue();
    }
    long start = given.length > 1 ? bounds[0] : 0;
    long end = bounds[given.length > 1 ? 1 : 0];
    long step = given.length > 2 ? bounds[2] : 1;
    List<Object> numbers = new ArrayList<>();
    for (long i = start; step > 0 ? i < end : i > end; i += step) {
      if (step == 0 || numbers.size() == MAX_RANGE) {
        throw new Aborted("range() of more than " + MAX_RANGE + " numbers is not supported");
      }
      numbers.add(i);
    }
    return numbers;
  }

  private static boolean isSequence(Object value) {
    return value instanceof CharSequence || value instanceof List || value instanceof Map;
  }

  private static String text(Object value) {
    if (value instanceof CharSequence text) {
      return text.toString();
    }
    return PythonText.string(value);
  }

  private static String text(Object[] given, int index) {
    return index < given.length ? text(given[index]) : null;
  }

  private static List<?> elements(Object value) {
    if (PythonText.isUndefined(value)) {
      return List.of();
    }
    if (value instanceof List<?> list) {
      return list;
    }
    if (value instanceof Map<?, ?> map) {
      return new ArrayList<>(map.keySet());
    }
    if (value instanceof CharSequence text) {
      return text.codePoints().mapToObj(Character::toString).toList();
    }
    throw new IllegalArgumentException("the elements of '" + value + "' are not supported");
  }

  private static Object element(List<?> list, boolean first) {
    return list.isEmpty() ? null : list.get(first ? 0 : list.size() - 1);
  }

  private static long length(Object value) {
    return elements(value).size();
  }

  private static Object reversed(Object value) {
    List<?> reversed = new ArrayList<>(elements(value));
    Collections.reverse(reversed);
    return value instanceof CharSequence ? join(reversed, null) : reversed;
  }

  private static String join(Object value, String separator) {
    return elements(value).stream()
        .map(PythonText::string)
        .collect(Collectors.joining(separator == null ? "" : separator));
  }

  private static String replaced(Object value, Object[] given) {
    if (given.length != 2) {
      throw new IllegalArgumentException("replace without two arguments is not supported");
    }
    return text(value).replace(text(given[0]), text(given[1]));
  }

  private static Object json(Object value, Object[] given, Map<String, Object> named) {
    for (String name : named.keySet()) {
      if (!name.equals("indent")) {
        throw new IllegalArgumentException(
            "the argument '" + name + "' of tojson is not supported");
      }
    }
    Object indent = named.getOrDefault("indent", PythonText.NONE);
    if (given.length > 0) {
      throw new IllegalArgumentException("an unnamed argument of tojson is not supported");
    }
    return PythonText.json(value, indent == PythonText.NONE ? -1 : ((Number) indent).intValue());
  }

  private static Object otherwise(Object value, Object[] given) {
    Object fallback = given.length > 0 ? given[0] : "";
    boolean falsyToo = given.length > 1 && Boolean.TRUE.equals(given[1]);
    boolean falsy =
        value == PythonText.NONE
            || Boolean.FALSE.equals(value)
            || isSequence(value) && length(value) == 0;
    return PythonText.isUndefined(value) || falsyToo && falsy ? fallback : value;
  }

  private static List<Object> attributes(Object value, Object[] given, Map<String, Object> named) {
    if (given.length > 0 || !named.keySet().equals(Set.of("attribute"))) {
      throw new IllegalArgumentException("map other than by attribute is not supported");
    }
    List<Object> found = new ArrayList<>();
    elements(value)
        .forEach(element -> found.add(((Map<?, ?>) element).get(named.get("attribute"))));
    return found;
  }

  private static List<Object> selected(Object value, Object[] given, boolean keep) {
    List<Object> selected = new ArrayList<>();
    for (Object element : elements(value)) {
      if (accepts(((Map<?, ?>) element).get(given[0]), given) == keep) {
        selected.add(element);
      }
    }
    return selected;
  }

  private static boolean accepts(Object attribute, Object[] given) {
    if (given.length == 1) {
      return otherwise(attribute, new Object[] {PythonText.NONE, true}) != PythonText.NONE;
    }
    String test = text(given[1]);
    return switch (test) {
      case "equalto", "eq", "==" -> Objects.equals(attribute, given[2]);
      case "ne", "!=" -> !Objects.equals(attribute, given[2]);
      case "in" -> elements(given[2]).contains(attribute);
      default -> {
        if (!SIMPLE_TESTS.containsKey(test)) {
          throw JobFailure.failure("the test '" + test + "' is not supported");
        }
        yield SIMPLE_TESTS.get(test).test(attribute);
      }
    };
  }
}
