package io.github.sparkrlhf.jobs;

/** The statements of docs/real-data.md that turn labelled reviews into the chain's inputs. */
final class ReviewTables {
  private ReviewTables() {}

  /** Each text once, in one of two halves; texts that are both pro and con are left out. */
  static String reviews(String data) {
    return """
        CREATE TABLE reviews AS
        SELECT 'Review:' AS prompt, text, min(label) AS label, pmod(xxhash64(text), 2) AS half
        FROM parquet.`%s` WHERE trim(text) <> '' GROUP BY text HAVING count(DISTINCT label) = 1"""
        .formatted(data);
  }

  /** In the first half, the n-th pro beats the n-th con. */
  static String votes() {
    return """
        CREATE TABLE review_votes AS
        WITH ranked AS (
          SELECT prompt, text, label,
            row_number() OVER (PARTITION BY label ORDER BY xxhash64(text, 'order'), text) AS n
          FROM reviews WHERE half = 0)
        SELECT p.prompt, cast(p.n AS string) AS vote_id,
          if(p.n % 2 = 0, p.text, c.text) AS response_a,
          if(p.n % 2 = 0, c.text, p.text) AS response_b,
          if(p.n % 2 = 0, 'a', 'b') AS choice
        FROM ranked p JOIN ranked c ON p.n = c.n WHERE p.label = 'pro' AND c.label = 'con'""";
  }

  /** The same prompt many times: PPO draws prompts without replacement. */
  static String prompts() {
    return """
        CREATE TABLE review_prompts AS
        SELECT cast(id AS string) AS prompt_id, 'Review:' AS prompt FROM range(512)""";
  }
}
