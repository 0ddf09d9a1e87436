package io.github.sparkrlhf.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

class SessionsTest {
  @Test
  void aConfiguredCatalogIsLeftAlone() {
    SparkSession session = SparkTestSession.get().newSession();
    session.conf().set("spark.sql.catalog.lake", "com.example.Catalog");

    assertThat(Sessions.withCatalog(session, "lake", null)).isSameAs(session);
    assertThat(session.conf().get("spark.sql.catalog.lake")).isEqualTo("com.example.Catalog");
    assertThatThrownBy(() -> Sessions.withCatalog(session, "lake", "elsewhere"))
        .isInstanceOf(JobFailure.class)
        .hasMessage(
            "Cannot use --warehouse elsewhere: catalog 'lake' is configured by"
                + " spark.sql.catalog.lake");
  }

  @Test
  void anotherWarehouseGetsASessionOfItsOwn() {
    SparkSession base = SparkTestSession.get().newSession();
    SparkSession first = Sessions.withCatalog(base, "rlhf", "one");
    SparkSession second = Sessions.withCatalog(first, "rlhf", "two");

    assertThat(first).isSameAs(base).isSameAs(Sessions.withCatalog(first, "rlhf", "one"));
    assertThat(second).isNotSameAs(first);
    assertThat(second.sparkContext()).isSameAs(first.sparkContext());
    assertThat(second.conf().get("spark.sql.catalog.rlhf.warehouse"))
        .as("the same folder for every process")
        .isEqualTo(Path.of("two").toAbsolutePath().toString());
    assertThat(second.conf().get("spark.sql.session.timeZone")).isEqualTo("UTC");
  }
}
