-- What the job pairs does to its rows, in DuckDB: checks, duplicates, comparisons, pairs,
-- quarantine, and counts by annotator. The texts are read three times and never stored in between,
-- which is DuckDB's quickest way. Statements end with a semicolon at the end of a line.

-- Trimming a set of characters costs five times what all the rest of the check does, so that only
-- texts with something to trim are trimmed.
CREATE MACRO same(text) AS
  CASE
    WHEN regexp_matches(text, '^[!-~]') AND regexp_matches(text, '[!-~]$') THEN nfc_normalize(text)
    ELSE trim(nfc_normalize(text), E' \t\r\n' || chr(160))
  END;
CREATE MACRO split(part) AS
  CASE WHEN hash(part) % 10 < 8 THEN 'train' WHEN hash(part) % 10 = 8 THEN 'validation' ELSE 'test' END;
CREATE VIEW log AS
  SELECT *, file_index * 4294967296 + file_row_number AS place
  FROM read_parquet('${log}/*.parquet');

-- phase: check
CREATE TABLE votes AS
  WITH texts AS (
    SELECT place, vote_id, conversation_id, choice, annotator_id, created_at,
      same(prompt) AS prompt, same(response_a) AS a, same(response_b) AS b
    FROM log)
  SELECT place, vote_id, annotator_id,
    CASE
      WHEN coalesce(prompt, '') = '' THEN 'blank_prompt'
      WHEN coalesce(a, '') = '' OR coalesce(b, '') = '' THEN 'blank_response'
      WHEN a = b THEN 'identical_responses'
      WHEN coalesce(trim(choice), '') = '' THEN 'missing_choice'
      WHEN lower(trim(choice)) NOT IN ('a', 'b', 'tie') THEN 'unknown_choice'
      WHEN created_at > now() THEN 'future_created_at'
      WHEN coalesce(trim(conversation_id), '') = '' THEN 'missing_group'
      WHEN coalesce(trim(vote_id), '') = '' THEN 'missing_feedback_id'
    END AS reason,
    md5_number(concat_ws(chr(31), prompt, least(a, b), greatest(a, b))) AS pair_id,
    CASE lower(trim(choice)) WHEN 'tie' THEN 0 WHEN 'a' THEN 1 ELSE -1 END
      * CASE WHEN a < b THEN 1 ELSE -1 END AS preference,
    hash(prompt, a, b, choice, annotator_id, created_at, conversation_id) AS content
  FROM texts;

-- phase: duplicates
CREATE TABLE repeated AS
  SELECT vote_id, min(place) AS first_place, min(content) <> max(content) AS conflicting
  FROM votes
  WHERE reason IS NULL
  GROUP BY vote_id
  HAVING count(*) > 1;
UPDATE votes
  SET reason = CASE WHEN conflicting THEN 'conflicting_feedback_id' ELSE 'duplicate_feedback_id' END
  FROM repeated
  WHERE votes.vote_id = repeated.vote_id AND reason IS NULL AND (conflicting OR place <> first_place);

-- phase: write comparisons
COPY (
  SELECT votes.vote_id AS feedback_id, pair_id, prompt, response_a, response_b,
    lower(trim(choice)) AS choice, log.annotator_id, created_at, conversation_id AS group_key,
    split(conversation_id) AS split
  FROM log JOIN votes USING (place)
  WHERE reason IS NULL
) TO '${output}/comparisons.parquet' (FORMAT parquet, COMPRESSION zstd);

-- phase: write quarantine
COPY (
  SELECT vote_id AS feedback_id, reason, to_json(log)::VARCHAR AS row
  FROM log JOIN (SELECT place, reason FROM votes WHERE reason IS NOT NULL) USING (place)
) TO '${output}/quarantine.parquet' (FORMAT parquet, COMPRESSION zstd);

-- phase: pairs
CREATE TABLE tallies AS
  SELECT pair_id, count(*) AS votes, count(*) FILTER (preference = 0) AS ties,
    sum(preference) AS balance, min(place) AS place
  FROM votes
  WHERE reason IS NULL
  GROUP BY pair_id;

-- phase: write pairs
COPY (
  SELECT pair_id, prompt,
    CASE WHEN (balance >= 0) = (same(response_a) < same(response_b)) THEN response_a ELSE response_b END AS chosen,
    CASE WHEN (balance >= 0) = (same(response_a) < same(response_b)) THEN response_b ELSE response_a END AS rejected,
    (votes + abs(balance)) / (2 * votes) AS probability, votes, ties, abs(balance) / votes AS margin,
    conversation_id AS group_key, split(conversation_id) AS split
  FROM log JOIN tallies USING (place)
) TO '${output}/pairs.parquet' (FORMAT parquet, COMPRESSION zstd);

-- phase: annotators
COPY (
  SELECT annotator_id, count(*) AS votes, count(*) FILTER (preference = 0) AS ties,
    avg(CASE WHEN preference = sign(balance) THEN 1 ELSE 0 END) AS agreement
  FROM votes JOIN tallies USING (pair_id)
  WHERE reason IS NULL
  GROUP BY annotator_id
) TO '${output}/annotators.parquet' (FORMAT parquet, COMPRESSION zstd);
