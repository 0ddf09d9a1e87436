"""The chain from a preference log to a better policy, one Spark application per task: docs/airflow.md."""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from datetime import datetime, timedelta, timezone

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Param, Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

USAGE = 2
DATA_QUALITY = 3

# What the hook of the Spark provider says about a spark-submit that failed.
EXIT_CODE = re.compile(r"Error code is: (\d+)\.")

# Names a run of this date in all tables and folders. A suffix makes a date run again as another run.
RUN = "{{ds_nodash}}{{params.suffix}}"
ARGUMENTS = "@{{params.home}}/conf/airflow/"
LOG = "{{params.log}}/{{ds}}"
MODELS = "{{params.models}}/" + RUN

# Airflow pools: how many applications read and write tables, and how many train, at the same time.
TABLES = "rlhf_tables"
TRAINING = "rlhf_training"

log = logging.getLogger(__name__)


def alert(context) -> None:
    """Tells of a task that failed for good, or that skips the rest of its date.

    Logs it, and posts it as JSON to the webhook in the Airflow variable rlhf_alert_url, if there is one.
    """
    # Airflow gives the exception of a failure, and none of a skip.
    reason = context.get("exception") or f"exit code {DATA_QUALITY}, data quality: see the log of the task"
    text = f"{context['ti'].dag_id}.{context['ti'].task_id} of {context['ds']}: {reason}"
    log.error(text)
    url = Variable.get("rlhf_alert_url", default=None)
    if url:
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()


class RlhfOperator(SparkSubmitOperator):
    """A job whose exit code decides what becomes of the task.

    3, data quality: it is skipped, and all that would use its result. 2, usage: it fails and is not tried again.
    Anything else is tried again as often as retries says.
    """

    def execute(self, context) -> None:
        try:
            super().execute(context)
        except AirflowException as failure:
            found = EXIT_CODE.search(str(failure))
            code = int(found.group(1)) if found else None
            if code == DATA_QUALITY:
                raise AirflowSkipException(f"exit code {code}: the data is not good enough") from failure
            if code == USAGE:
                raise AirflowFailException(f"exit code {code}: trying again would not help. {failure}") from failure
            raise


def job(task_id: str, pool: str, command: str) -> RlhfOperator:
    """A task that submits a command line of the suite, whose words are separated by spaces."""
    return RlhfOperator(
        task_id=task_id,
        pool=pool,
        name="rlhf " + task_id + " " + RUN,
        application="{{params.home}}/spark-rlhf.jar",
        java_class="io.github.sparkrlhf.jobs.Main",
        # The driver's exit code is that of spark-submit in client mode only.
        deploy_mode="client",
        properties_file="{{params.home}}/conf/spark-defaults.conf",
        # For the statements of examples.sql.
        conf={"spark.rlhf.run": RUN},
        application_args=[*command.split(), "--warehouse", "{{params.warehouse}}"],
    )


with DAG(
    dag_id="rlhf",
    description="From a preference log to a better policy",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "on_failure_callback": alert,
        "on_skipped_callback": alert,
    },
    params={
        "home": Param(
            "/opt/spark-rlhf", type="string", description="Folder of spark-rlhf.jar and conf/ on the workers of Airflow"
        ),
        "log": Param(
            "hdfs:///rlhf/votes", type="string", description="The preference log: a folder of Parquet files per date"
        ),
        "warehouse": Param("hdfs:///rlhf/warehouse", type="string", description="Folder of the tables"),
        "models": Param(
            "/shared/rlhf/models", type="string", description="Folder of models and reports, the same for all workers"
        ),
        "suffix": Param(
            "", type="string", pattern="^[a-z0-9_]*$", description="Makes a date that has run already run once more"
        ),
    },
    tags=["rlhf"],
) as dag:
    pairs = job("pairs", TABLES, f"pairs {ARGUMENTS}pairs.args --input {LOG} --run-id pairs-{RUN}")
    examples = job("examples", TABLES, "sql --file {{params.home}}/conf/airflow/examples.sql")
    tokenizer = job(
        "tokenizer",
        TRAINING,
        f"tokenizer {ARGUMENTS}tokenizer.args --input examples_{RUN} --output {MODELS}/tokenizer"
        f" --run-id tokenizer-{RUN}",
    )
    sft = job(
        "sft",
        TRAINING,
        f"sft {ARGUMENTS}sft.args --input examples_{RUN} --tokenizer {MODELS}/tokenizer --output {MODELS}/sft"
        f" --run-id sft-{RUN}",
    )
    # Of one half of the training pairs each: ppo follows the first, the second watches and judges.
    rewards = [
        job(
            f"reward_{half}",
            TRAINING,
            f"reward {ARGUMENTS}reward.args --half {half} --pairs-run pairs-{RUN} --model {MODELS}/sft"
            f" --output {MODELS}/reward-{half} --run-id reward-{half}-{RUN}",
        )
        for half in (1, 2)
    ]
    ppo = job(
        "ppo",
        TRAINING,
        f"ppo {ARGUMENTS}ppo.args --prompts training_prompts_{RUN} --policy {MODELS}/sft --reward {MODELS}/reward-1"
        f" --watch-reward {MODELS}/reward-2 --output {MODELS}/ppo --run-id ppo-{RUN}",
    )
    before, after = [
        job(
            f"rollout_{name}",
            TRAINING,
            f"rollout {ARGUMENTS}rollout.args --prompts test_prompts_{RUN} --policy {MODELS}/{policy}"
            f" --run-id {name}-{RUN}",
        )
        for name, policy in (("before", "sft"), ("after", "ppo/policy"))
    ]
    evaluate = job(
        "evaluate",
        TRAINING,
        f"evaluate {ARGUMENTS}evaluate.args --candidate before=before-{RUN} --candidate after=after-{RUN}"
        f" --reward {MODELS}/reward-2 --reference-policy {MODELS}/sft --run-id evaluate-{RUN}",
    )
    report = job(
        "report",
        TABLES,
        f"report {ARGUMENTS}report.args --run ppo-{RUN} --run evaluate-{RUN} --output {MODELS}/report.html"
        f" --run-id report-{RUN}",
    )

    pairs >> examples >> tokenizer >> sft >> rewards >> ppo >> after >> evaluate >> report
    sft >> before >> evaluate
