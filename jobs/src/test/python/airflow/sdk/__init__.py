"""Stand-ins for what conf/airflow/rlhf_dag.py takes from airflow.sdk of Airflow 3.

DAG and BaseOperator take the arguments that theirs take, and no others. Templates are names in double braces.
"""

from __future__ import annotations

import inspect
import os
import re

TEMPLATE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
NOTSET = object()


class Param:
    """A parameter of a DAG with a default; of JSON Schema the words type (string) and pattern are known."""

    def __init__(self, default=NOTSET, description=None, **schema):
        unknown = set(schema) - {"type", "pattern"}
        if unknown:
            raise TypeError(f"the stand-in for Param does not know {sorted(unknown)}")
        self.default = default
        self.description = description
        self.schema = schema

    def resolve(self, value=NOTSET):
        value = self.default if value is NOTSET else value
        if self.schema.get("type") != "string" or not isinstance(value, str):
            raise ValueError(f"{value!r} is not of the type {self.schema.get('type')}")
        if not re.search(self.schema.get("pattern", ""), value):
            raise ValueError(f"{value!r} does not match {self.schema['pattern']}")
        return value


class Variable:
    """Variables from the environment: RLHF is AIRFLOW_VAR_RLHF, as in Airflow."""

    @classmethod
    def get(cls, key, default=NOTSET, deserialize_json=False):
        value = os.environ.get("AIRFLOW_VAR_" + key.upper(), default)
        if value is NOTSET:
            raise KeyError(key)
        return value


class DAG:
    """A DAG that knows its tasks."""

    current = None

    def __init__(
        self,
        dag_id,
        *,
        description=None,
        default_args=None,
        start_date=None,
        end_date=None,
        schedule=None,
        template_searchpath=None,
        template_undefined=None,
        user_defined_macros=None,
        user_defined_filters=None,
        max_active_tasks=None,
        max_active_runs=None,
        max_consecutive_failed_dag_runs=None,
        dagrun_timeout=None,
        catchup=False,
        on_success_callback=None,
        on_failure_callback=None,
        doc_md=None,
        params=None,
        access_control=None,
        is_paused_upon_creation=None,
        jinja_environment_kwargs=None,
        render_template_as_native_obj=False,
        tags=None,
        owner_links=None,
        auto_register=True,
        fail_fast=False,
        dag_display_name=None,
    ):
        self.dag_id = dag_id
        self.default_args = default_args or {}
        self.start_date = start_date
        self.schedule = schedule
        self.max_active_runs = max_active_runs
        self.catchup = catchup
        self.params = params or {}
        self.tasks = []

    def __enter__(self):
        DAG.current = self
        return self

    def __exit__(self, *exception):
        DAG.current = None

    def resolved(self, given):
        """The values of all parameters, of which some are given."""
        unknown = set(given) - set(self.params)
        if unknown:
            raise ValueError(f"the DAG has no parameters {sorted(unknown)}")
        return {name: param.resolve(given.get(name, NOTSET)) for name, param in self.params.items()}


class BaseOperator:
    """A task with its place in the graph."""

    template_fields = ()

    def __init__(
        self,
        *,
        task_id,
        owner="airflow",
        email=None,
        email_on_retry=True,
        email_on_failure=True,
        retries=0,
        retry_delay=None,
        retry_exponential_backoff=False,
        max_retry_delay=None,
        start_date=None,
        end_date=None,
        depends_on_past=False,
        ignore_first_depends_on_past=True,
        wait_for_past_depends_before_skipping=False,
        wait_for_downstream=False,
        dag=None,
        params=None,
        default_args=None,
        priority_weight=1,
        weight_rule="downstream",
        queue="default",
        pool=None,
        pool_slots=1,
        execution_timeout=None,
        on_execute_callback=None,
        on_failure_callback=None,
        on_success_callback=None,
        on_retry_callback=None,
        on_skipped_callback=None,
        pre_execute=None,
        post_execute=None,
        trigger_rule="all_success",
        resources=None,
        run_as_user=None,
        map_index_template=None,
        max_active_tis_per_dag=None,
        max_active_tis_per_dagrun=None,
        executor=None,
        executor_config=None,
        do_xcom_push=True,
        multiple_outputs=False,
        inlets=None,
        outlets=None,
        task_group=None,
        doc=None,
        doc_md=None,
        doc_json=None,
        doc_yaml=None,
        doc_rst=None,
        task_display_name=None,
        logger_name=None,
        allow_nested_operators=True,
    ):
        self.task_id = task_id
        self.retries = retries
        self.retry_delay = retry_delay
        self.pool = pool or "default_pool"
        self.trigger_rule = trigger_rule
        self.on_failure_callback = on_failure_callback
        self.on_skipped_callback = on_skipped_callback
        self.upstream = []
        self.dag = dag or DAG.current
        self.dag.tasks.append(self)

    def __init_subclass__(cls, **kwargs):
        """Arguments that a task does not give come from default_args, which may hold nothing else."""
        super().__init_subclass__(**kwargs)
        if "__init__" not in cls.__dict__:
            return
        init = cls.__init__

        def with_defaults(self, **given):
            known = {*inspect.signature(init).parameters, *inspect.signature(BaseOperator.__init__).parameters}
            defaults = DAG.current.default_args
            unknown = (set(defaults) | set(given)) - known
            if unknown:
                raise TypeError(f"{type(self).__name__} does not know the arguments {sorted(unknown)}")
            init(self, **{**defaults, **given})

        cls.__init__ = with_defaults

    def __rshift__(self, downstream):
        for task in downstream if isinstance(downstream, list) else [downstream]:
            task.upstream.append(self)
        return downstream

    def __rrshift__(self, upstream):
        for task in upstream:
            task >> self
        return self

    def render(self, context):
        """Replaces the templates in the template fields, as Airflow does before it executes a task."""
        for field in self.template_fields:
            setattr(self, field, rendered(getattr(self, field), context))


def rendered(value, context):
    """The value, which may be a text, a list or a dictionary, with what the names in braces stand for."""
    if isinstance(value, str):
        return TEMPLATE.sub(lambda found: looked_up(found.group(1), context), value)
    if isinstance(value, list):
        return [rendered(each, context) for each in value]
    if isinstance(value, dict):
        return {key: rendered(each, context) for key, each in value.items()}
    return value


def looked_up(name, context):
    value = context
    for part in name.split("."):
        value = value[part]
    return value
