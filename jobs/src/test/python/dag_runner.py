"""Loads a DAG file with the stand-ins for Airflow that lie beside this script, for one logical date.

    dag_runner.py render DAG_FILE DATE [NAME=VALUE ...]   prints the graph with the command line of each task
    dag_runner.py run DAG_FILE DATE [NAME=VALUE ...]      runs the tasks and prints what became of each

Both print JSON. NAME=VALUE are parameters of the DAG. The connection to Spark and Airflow's variables are in the
environment, as AIRFLOW_CONN_SPARK_DEFAULT and AIRFLOW_VAR_<NAME>.
"""

from __future__ import annotations

import json
import runpy
import sys
import traceback
from datetime import date
from types import SimpleNamespace

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


def loaded(path):
    """The only DAG of the file."""
    dags = {id(value): value for value in runpy.run_path(path).values() if isinstance(value, DAG)}
    if len(dags) != 1:
        raise ValueError(f"{path} has {len(dags)} DAGs")
    return next(iter(dags.values()))


def context_of(dag, task, day, given):
    return {
        "ds": day.isoformat(),
        "ds_nodash": day.strftime("%Y%m%d"),
        "params": dag.resolved(given),
        "ti": SimpleNamespace(dag_id=dag.dag_id, task_id=task.task_id),
    }


def ordered(tasks):
    """Each task after all those that it waits for."""
    done = []
    while len(done) < len(tasks):
        ready = [task for task in tasks if task not in done and all(each in done for each in task.upstream)]
        if not ready:
            raise ValueError("the tasks wait for each other in a circle")
        done += ready
    return done


def attempt(task, context, retries):
    """Tries a task as Airflow does, without the delay; returns its state and how often it was tried."""
    for tries in range(1, retries + 2):
        try:
            task.execute(context)
            return "success", tries
        except AirflowSkipException:
            call(task.on_skipped_callback, {**context, "exception": None})
            return "skipped", tries
        except AirflowFailException as failure:
            call(task.on_failure_callback, {**context, "exception": failure})
            return "failed", tries
        except Exception as failure:
            last = failure
    call(task.on_failure_callback, {**context, "exception": last})
    return "failed", retries + 1


def call(callback, context):
    """A callback that fails is logged and changes nothing."""
    try:
        if callback:
            callback(context)
    except Exception:
        traceback.print_exc()


def run(dag, day, given):
    states = {}
    for task in ordered(dag.tasks):
        before = {states[each.task_id]["state"] for each in task.upstream}
        if before & {"failed", "upstream_failed"}:
            states[task.task_id] = {"state": "upstream_failed", "tries": 0}
        elif "skipped" in before:
            states[task.task_id] = {"state": "skipped", "tries": 0}
        else:
            context = context_of(dag, task, day, given)
            task.render(context)
            state, tries = attempt(task, context, task.retries)
            states[task.task_id] = {"state": state, "tries": tries}
    return states


def graph(dag, day, given):
    tasks = []
    for task in ordered(dag.tasks):
        task.render(context_of(dag, task, day, given))
        tasks.append(
            {
                "task_id": task.task_id,
                "upstream": sorted(each.task_id for each in task.upstream),
                "pool": task.pool,
                "retries": task.retries,
                "retry_seconds": task.retry_delay.total_seconds(),
                "trigger_rule": task.trigger_rule,
                "command": task.command(),
            }
        )
    return {
        "dag_id": dag.dag_id,
        "schedule": dag.schedule,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "params": {name: param.default for name, param in dag.params.items()},
        "tasks": tasks,
    }


def main(verb, path, day, *given):
    verbs = {"render": graph, "run": run}
    parameters = dict(each.split("=", 1) for each in given)
    print(json.dumps(verbs[verb](loaded(path), date.fromisoformat(day), parameters)))


main(*sys.argv[1:])
