package io.github.sparkrlhf.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Dimension;
import java.awt.Font;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.apache.batik.svggen.SVGGeneratorContext;
import org.apache.batik.svggen.SVGGraphics2D;
import org.apache.batik.svggen.SVGIDGenerator;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * A plot of lines as SVG within the page. Its colours are placeholders that the style sheet
 * replaces, so that it is readable in the dark.
 */
final class Chart {
  private static final String SVG = "http://www.w3.org/2000/svg";
  private static final int WIDTH = 400;
  private static final int HEIGHT = 250;
  private static final int DECIMALS = 1;

  /** More runs than this share colours. */
  private static final int COLORS = 6;

  // The style sheet knows these colours; nothing else in a drawing has them.
  private static final Color INK = new Color(1, 1, 1);
  private static final Color GRID = new Color(2, 2, 2);
  private static final Color CLEAR = new Color(0, 0, 0, 0);

  private static final float[][] DASHES = {
    null, {7, 3}, {2, 3}, {9, 3, 2, 3}, {12, 4}, {5, 2, 2, 2, 2, 2}
  };

  /**
   * A line of a plot.
   *
   * @param name what the legend calls it
   * @param color its colour and dashes: a number from 0
   * @param points whether its points are marked
   */
  record Line(String name, int color, boolean points, double[] x, double[] y) {}

  private final String anchor;
  private final String title;
  private final XYChart chart;
  private final List<Line> lines;

  /**
   * @param anchor unique in the page
   * @param lines at least one, none empty
   */
  Chart(String anchor, String title, String xTitle, String yTitle, List<Line> lines) {
    this.anchor = anchor;
    this.title = title;
    this.lines = List.copyOf(lines);
    this.chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .xAxisTitle(xTitle)
            .yAxisTitle(yTitle)
            .build();
    style(chart.getStyler());
    for (int i = 0; i < lines.size(); i++) {
      add(i, lines.get(i));
    }
  }

  /** The ends of both axes. */
  Chart between(double xMin, double xMax, double yMin, double yMax) {
    chart.getStyler().setXAxisMin(xMin).setXAxisMax(xMax).setYAxisMin(yMin).setYAxisMax(yMax);
    return this;
  }

  private void add(int number, Line line) {
    // Two runs may have the same name in a legend, but series may not.
    XYSeries series = chart.addSeries(Integer.toString(number), line.x(), line.y());
    int color = line.color() % COLORS;
    Color ink = new Color(3, 3, color);
    series.setLineColor(ink);
    series.setMarkerColor(ink);
    series.setLineStyle(
        new BasicStroke(2, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND, 1, DASHES[color], 0));
    boolean single = line.x().length == 1;
    series.setMarker(line.points() || single ? SeriesMarkers.CIRCLE : SeriesMarkers.NONE);
  }

  private static void style(XYStyler styler) {
    Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
    styler.setLocale(Locale.ROOT);
    styler.setChartTitleVisible(false).setLegendVisible(false).setChartPadding(4);
    styler.setChartBackgroundColor(CLEAR).setPlotBackgroundColor(CLEAR).setChartFontColor(INK);
    styler.setPlotGridLinesColor(GRID).setPlotBorderVisible(false);
    styler.setPlotGridLinesStroke(new BasicStroke(1));
    styler.setAxisTickLabelsFont(font).setAxisTitleFont(font);
    styler.setAxisTickLabelsColor(INK).setAxisTickMarksColor(GRID);
    styler.setXAxisTitleColor(INK).setYAxisTitleColor(INK);
    styler.setMarkerSize(5).setToolTipsEnabled(false);
  }

  /** The plot with its title and, where there are several lines, what each one is. */
  Html html() {
    List<Html> caption = new ArrayList<>(List.of(Html.of("strong", title)));
    if (lines.size() > 1) {
      lines.forEach(line -> caption.add(legend(line)));
    }
    return Html.of(
        "figure",
        Html.tag("figcaption").holding(caption),
        Html.tag("div")
            .with("class", "chart")
            .with("role", "img")
            .with("aria-label", description())
            .holding(Html.trusted(svg())));
  }

  private static Html legend(Line line) {
    int color = line.color() % COLORS;
    Html swatch =
        Html.trusted(
            "<svg class=\"swatch\" viewBox=\"0 0 28 6\" aria-hidden=\"true\"><path d=\"M1 3H27\" fill=\"none\" stroke=\"rgb(3,3,%d)\" stroke-width=\"2\" stroke-linecap=\"round\" stroke-dasharray=\"%s\"/></svg>"
                .formatted(color, dashes(color)));
    return Html.tag("span").with("class", "legend").holding(swatch, Html.text(line.name()));
  }

  private static String dashes(int color) {
    if (DASHES[color] == null) {
      return "none";
    }
    StringBuilder dashes = new StringBuilder();
    for (float dash : DASHES[color]) {
      dashes.append(dashes.isEmpty() ? "" : " ").append((int) dash);
    }
    return dashes.toString();
  }

  /** What somebody hears who does not see the plot. */
  private String description() {
    StringBuilder text = new StringBuilder(title).append('.');
    for (Line line : lines) {
      double[] y = line.y();
      text.append(
          " %s: first %s, last %s, between %s and %s."
              .formatted(
                  line.name(),
                  Numbers.value(y[0]),
                  Numbers.value(y[y.length - 1]),
                  Numbers.value(Arrays.stream(y).min().orElseThrow()),
                  Numbers.value(Arrays.stream(y).max().orElseThrow())));
    }
    return text.toString();
  }

  private String svg() {
    SVGGeneratorContext context = SVGGeneratorContext.createDefault(document());
    context.setPrecision(DECIMALS);
    context.setComment(null);
    // Names are shared by all drawings of a page.
    context.setIDGenerator(
        new SVGIDGenerator() {
          @Override
          public String generateID(String prefix) {
            return anchor + "-" + super.generateID(prefix);
          }
        });
    SVGGraphics2D graphics = new SVGGraphics2D(context, true);
    graphics.setSVGCanvasSize(new Dimension(WIDTH, HEIGHT));
    chart.paint(graphics, WIDTH, HEIGHT);
    Element root = graphics.getRoot();
    root.setAttribute("viewBox", "0 0 " + WIDTH + " " + HEIGHT);
    root.setAttribute("aria-hidden", "true");
    root.removeAttribute("width");
    root.removeAttribute("height");
    StringWriter drawing = new StringWriter();
    try {
      graphics.stream(root, drawing, false, false);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    // A drawing within a page has neither a head nor names of its languages.
    String all = drawing.toString();
    return all.substring(all.indexOf("<svg"))
        .replaceAll(" xmlns(:\\w+)?=\"[^\"]*\"", "")
        .replace("\"genericDefs\"", "\"" + anchor + "-defs\"");
  }

  private static Document document() {
    try {
      return DocumentBuilderFactory.newInstance()
          .newDocumentBuilder()
          .getDOMImplementation()
          .createDocument(SVG, "svg", null);
    } catch (ParserConfigurationException e) {
      throw new IllegalStateException(e);
    }
  }
}
