package io.github.sparkrlhf.jobs;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import java.util.List;

/** Dependencies between packages point down only. */
@AnalyzeClasses(
    packages = ArchitectureTest.BASE,
    importOptions = {
      ImportOption.DoNotIncludeTests.class,
      ArchitectureTest.DoNotIncludeTestJars.class
    })
class ArchitectureTest {
  /** In a full build the other module's tests come as a jar, which ArchUnit does not recognise. */
  static final class DoNotIncludeTestJars implements ImportOption {
    @Override
    public boolean includes(Location location) {
      return !location.contains("-tests.jar");
    }
  }

  static final String BASE = "io.github.sparkrlhf";

  private static final List<String> FROM_TOP =
      List.of(
          "jobs",
          "report",
          "evaluation",
          "ppo",
          "reward",
          "policy",
          "training",
          "lm",
          "feedback",
          "tables",
          "spark");

  @ArchTest
  static void noPackageUsesOneAboveIt(JavaClasses classes) {
    for (int i = 1; i < FROM_TOP.size(); i++) {
      String[] above =
          FROM_TOP.subList(0, i).stream().map(ArchitectureTest::within).toArray(String[]::new);
      noClasses()
          .that()
          .resideInAPackage(within(FROM_TOP.get(i)))
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(above)
          .allowEmptyShould(true)
          .check(classes);
    }
  }

  @ArchTest
  static void languageModelsKnowNothingOfFeedback(JavaClasses classes) {
    noClasses()
        .that()
        .resideInAnyPackage(within("lm"), within("training"), within("policy"))
        .should()
        .dependOnClassesThat()
        .resideInAPackage(within("feedback"))
        .allowEmptyShould(true)
        .check(classes);
  }

  @ArchTest
  static void everyClassBelongsToAKnownPackage(JavaClasses classes) {
    String[] known = FROM_TOP.stream().map(ArchitectureTest::within).toArray(String[]::new);
    noClasses()
        .should()
        .resideOutsideOfPackages(known)
        .because("a class that fits no package is a sign that the picture is wrong")
        .check(classes);
  }

  private static String within(String name) {
    return BASE + "." + name + "..";
  }
}
