package io.github.sparkrlhf.lm;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.util.ForLoop;
import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/**
 * All that an expression of a chat template can reach: keys of mappings, elements of lists, the
 * counters of a loop, and the methods of Python named here. No Java object is looked into.
 */
final class TemplateResolver extends ELResolver {
  /** The methods of strings and mappings. */
  static final Set<String> METHODS =
      Set.of(
          "strip",
          "lstrip",
          "rstrip",
          "startswith",
          "endswith",
          "split",
          "replace",
          "upper",
          "lower",
          "items",
          "keys",
          "values",
          "get");

  /** The attributes of a loop. */
  static final Set<String> LOOP =
      Set.of("index", "index0", "revindex", "revindex0", "first", "last", "length");

  private static final Pattern INDEX = Pattern.compile("-?\\d{1,9}");

  @Override
  public Object getValue(ELContext context, Object base, Object property) {
    if (base == null) {
      return null;
    }
    context.setPropertyResolved(true);
    if (base instanceof ForLoop loop) {
      return counter(loop, String.valueOf(property));
    }
    if (base instanceof Map<?, ?> map) {
      Object value = map.get(property);
      return value == null ? PythonText.UNDEFINED : value;
    }
    // jinjava hands on numbers as text.
    String index = String.valueOf(property);
    return INDEX.matcher(index).matches() ? element(base, Integer.parseInt(index)) : null;
  }

  private static Object counter(ForLoop loop, String name) {
    return switch (name) {
      case "index" -> (long) loop.getIndex();
      case "index0" -> (long) loop.getIndex0();
      case "revindex" -> (long) loop.getRevindex();
      case "revindex0" -> (long) loop.getRevindex0();
      case "first" -> loop.isFirst();
      case "last" -> loop.isLast();
      case "length" -> (long) loop.getLength();
      default -> throw new IllegalArgumentException("loop." + name + " is not supported");
    };
  }

  private static Object element(Object base, int index) {
    if (base instanceof List<?> list) {
      int place = index < 0 ? list.size() + index : index;
      return place < 0 || place >= list.size() ? PythonText.UNDEFINED : list.get(place);
    }
    if (base instanceof String text) {
      int points = text.codePointCount(0, text.length());
      int place = index < 0 ? points + index : index;
      return place < 0 || place >= points
          ? PythonText.UNDEFINED
          : Character.toString(text.codePointAt(text.offsetByCodePoints(0, place)));
    }
    return null;
  }

  @Override
  public Object invoke(
      ELContext context, Object base, Object method, Class<?>[] types, Object[] arguments) {
    context.setPropertyResolved(true);
    String name = String.valueOf(method);
    if (base instanceof ExpTest test) {
      return tested(test, name, arguments);
    }
    if (base instanceof String text) {
      return ofString(text, name, arguments);
    }
    if (base instanceof Map<?, ?> map) {
      return ofMapping(map, name, arguments);
    }
    throw unsupported(name, base);
  }

  /** jinjava evaluates a test as a method of its own object, which no template can name. */
  private static boolean tested(ExpTest test, String method, Object[] arguments) {
    JinjavaInterpreter interpreter = (JinjavaInterpreter) arguments[1];
    return method.equals("evaluateNegated")
        ? test.evaluateNegated(arguments[0], interpreter)
        : test.evaluate(arguments[0], interpreter);
  }

  private static Object ofString(String text, String name, Object[] arguments) {
    String first = argument(arguments, 0);
    return switch (name) {
      case "strip" -> PythonText.strip(text, first);
      case "lstrip" -> PythonText.leftStrip(text, first);
      case "rstrip" -> PythonText.rightStrip(text, first);
      case "startswith" -> text.startsWith(required(first, name));
      case "endswith" -> text.endsWith(required(first, name));
      case "replace" -> text.replace(required(first, name), required(argument(arguments, 1), name));
      case "split" ->
          PythonText.split(
              text, first, arguments.length > 1 ? ((Number) arguments[1]).intValue() : -1);
      case "upper" -> text.toUpperCase(Locale.ROOT);
      case "lower" -> text.toLowerCase(Locale.ROOT);
      default -> throw unsupported(name, text);
    };
  }

  private static Object ofMapping(Map<?, ?> map, String name, Object[] arguments) {
    return switch (name) {
      case "items" -> items(map);
      case "keys" -> new ArrayList<>(map.keySet());
      case "values" -> new ArrayList<>(map.values());
      case "get" -> {
        Object found = map.get(arguments[0]);
        Object otherwise = arguments.length > 1 ? arguments[1] : PythonText.NONE;
        yield found == null ? otherwise : found;
      }
      default -> throw unsupported(name, map);
    };
  }

  /** Key and value of each entry. */
  static List<Object> items(Map<?, ?> map) {
    List<Object> items = new ArrayList<>();
    map.forEach((key, value) -> items.add(new ArrayList<>(List.of(key, value))));
    return items;
  }

  private static String argument(Object[] arguments, int index) {
    if (index >= arguments.length || arguments[index] == PythonText.NONE) {
      return null;
    }
    if (arguments[index] instanceof String text) {
      return text;
    }
    throw new IllegalArgumentException("an argument that is no string is not supported");
  }

  private static String required(String argument, String name) {
    if (argument == null) {
      throw new IllegalArgumentException(name + "() lacks an argument");
    }
    return argument;
  }

  private static IllegalArgumentException unsupported(String name, Object base) {
    return new IllegalArgumentException(
        "method "
            + name
            + "() of "
            + (base == null ? "an undefined value" : "this kind of value")
            + " is not supported");
  }

  @Override
  public Class<?> getType(ELContext context, Object base, Object property) {
    return Object.class;
  }

  @Override
  public void setValue(ELContext context, Object base, Object property, Object value) {
    throw new IllegalArgumentException("assigning to " + property + " is not supported");
  }

  @Override
  public boolean isReadOnly(ELContext context, Object base, Object property) {
    return true;
  }

  @Override
  public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
    return Collections.emptyIterator();
  }

  @Override
  public Class<?> getCommonPropertyType(ELContext context, Object base) {
    return Object.class;
  }
}
