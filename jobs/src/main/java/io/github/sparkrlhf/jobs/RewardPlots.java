package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.reward.RewardEvaluation;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.CategorySeries.CategorySeriesRenderStyle;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Pictures of what a run of {@code reward} measured on held-out pairs. */
final class RewardPlots {
  private static final String RELIABILITY = "reliability.png";
  private static final String ACCURACY = "accuracy.png";

  /** Of the splits that a model is not trained on, the one that nothing else was fitted on. */
  private static final List<String> SPLITS = List.of("test", RewardEvaluation.VALIDATION);

  /** Slices with fewer decided pairs have intervals as wide as the picture. */
  private static final int FEWEST_PAIRS = 20;

  private static final int MOST_SLICES = 30;

  private static final Map<String, String> METHODS =
      Map.of("none", "as scored", "temperature", "temperature scaling", "isotonic", "isotonic");

  private static final Map<String, Color> COLORS =
      Map.of(
          "none", new Color(0xD5, 0x5E, 0x00),
          "temperature", new Color(0x00, 0x72, 0xB2),
          "isotonic", new Color(0x00, 0x9E, 0x73));

  private RewardPlots() {}

  /** The pictures that {@link #draw} writes. */
  static List<Path> files(Path directory) {
    return List.of(directory.resolve(RELIABILITY), directory.resolve(ACCURACY));
  }

  /**
   * Draws the reliability diagram and the accuracy by slice.
   *
   * @param run of reward, whose tables are written
   * @throws JobFailure if no held-out split has pairs, or a file cannot be written
   */
  static void draw(Run run, Path directory) {
    Dataset<Row> reliability = run.rows(Table.RELIABILITY);
    String split =
        SPLITS.stream()
            .filter(each -> !reliability.where("split = '" + each + "'").isEmpty())
            .findFirst()
            .orElseThrow(
                () -> JobFailure.dataQuality("Cannot draw plots: there are no held-out pairs"));
    try {
      Files.createDirectories(directory);
      write(
          reliability(
              reliability.where("split = '" + split + "'").orderBy("bin").collectAsList(), split),
          directory.resolve(RELIABILITY));
      write(accuracy(run.rows(Table.REWARD_METRICS), split), directory.resolve(ACCURACY));
    } catch (IOException e) {
      throw JobFailure.failure("Cannot write plots to " + directory + ": " + e, e);
    }
  }

  private static XYChart reliability(List<Row> bins, String split) {
    XYChart chart =
        new XYChartBuilder()
            .width(640)
            .height(520)
            .title("Reliability on the split " + split)
            .xAxisTitle("probability that the model gives to the response it prefers")
            .yAxisTitle("share of people who prefer it")
            .build();
    style(chart.getStyler());
    chart.getStyler().setXAxisMin(0.5).setXAxisMax(1.0).setYAxisMax(1.0);
    chart
        .addSeries("perfect", new double[] {0.5, 1}, new double[] {0.5, 1})
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(Color.GRAY)
        .setLineStyle(new BasicStroke(1));
    for (String method : List.of("none", "temperature", "isotonic")) {
      List<Row> ofMethod =
          bins.stream().filter(bin -> method.equals(bin.<String>getAs("method"))).toList();
      if (!ofMethod.isEmpty()) {
        XYSeries series =
            chart.addSeries(
                METHODS.get(method),
                ofMethod.stream().mapToDouble(bin -> bin.<Double>getAs("predicted")).toArray(),
                ofMethod.stream().mapToDouble(bin -> bin.<Double>getAs("observed")).toArray());
        series.setMarker(SeriesMarkers.CIRCLE);
        series.setMarkerColor(COLORS.get(method));
        series.setLineColor(COLORS.get(method));
      }
    }
    return chart;
  }

  private static CategoryChart accuracy(Dataset<Row> metrics, String split) {
    List<Row> slices = slices(metrics, split, RewardEvaluation.ACCURACY);
    List<Row> longer = slices(metrics, split, RewardEvaluation.ACCURACY_ALWAYS_LONGER);
    CategoryChart chart =
        new CategoryChartBuilder()
            .width(960)
            .height(560)
            .title("Accuracy by slice on the split " + split + ", with 95 % intervals")
            .yAxisTitle("accuracy")
            .build();
    style(chart.getStyler());
    chart.getStyler().setDefaultSeriesRenderStyle(CategorySeriesRenderStyle.Scatter);
    chart.getStyler().setOverlapped(true).setLegendPosition(LegendPosition.OutsideE);
    chart.getStyler().setXAxisLabelRotation(90).setYAxisMin(0.0).setYAxisMax(1.0);
    chart
        .addSeries("model", names(slices), values(slices), halfWidths(slices))
        .setMarker(SeriesMarkers.CIRCLE)
        .setMarkerColor(COLORS.get("temperature"));
    chart
        .addSeries("always the longer", names(longer), values(longer))
        .setMarker(SeriesMarkers.DIAMOND)
        .setMarkerColor(COLORS.get("none"));
    return chart;
  }

  /** All pairs, then the slices that are not all of them. */
  private static List<Row> slices(Dataset<Row> metrics, String split, String metric) {
    List<Row> rows =
        metrics
            .where("split = '" + split + "' AND metric = '" + metric + "'")
            .where("n >= " + FEWEST_PAIRS)
            .orderBy(col("slice").notEqual("all"), col("slice"), col("slice_value"))
            .collectAsList();
    return rows.stream()
        .filter(
            row ->
                row == rows.get(0)
                    || row.<Long>getAs("n").longValue() != rows.get(0).<Long>getAs("n"))
        .limit(MOST_SLICES)
        .toList();
  }

  private static List<String> names(List<Row> slices) {
    return slices.stream().map(RewardPlots::name).toList();
  }

  private static String name(Row slice) {
    String value = slice.getAs("slice_value");
    return value.length() <= 28 ? value : value.substring(0, 27) + "…";
  }

  private static List<Double> values(List<Row> slices) {
    return slices.stream().map(slice -> slice.<Double>getAs("value")).toList();
  }

  private static List<Double> halfWidths(List<Row> slices) {
    return slices.stream()
        .map(slice -> (slice.<Double>getAs("high") - slice.<Double>getAs("low")) / 2)
        .toList();
  }

  private static void style(Styler styler) {
    styler
        .setChartBackgroundColor(Color.WHITE)
        .setLegendPosition(LegendPosition.InsideSE)
        .setLegendFont(new Font(Font.SANS_SERIF, Font.PLAIN, 12))
        .setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 14));
  }

  private static void write(Chart<?, ?> chart, Path file) throws IOException {
    BitmapEncoder.saveBitmap(chart, file.toString(), BitmapFormat.PNG);
  }
}
