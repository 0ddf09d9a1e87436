"""A stand-in for SparkSubmitOperator of apache-airflow-providers-apache-spark with the hook that it uses.

It takes the arguments that the operator takes, makes the command line that the hook makes of them for a driver in
client mode, runs it, and fails as the hook does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException


class SparkSubmitOperator(BaseOperator):
    template_fields = (
        "application",
        "conf",
        "files",
        "py_files",
        "jars",
        "driver_class_path",
        "packages",
        "exclude_packages",
        "keytab",
        "principal",
        "proxy_user",
        "name",
        "application_args",
        "env_vars",
        "properties_file",
    )

    def __init__(
        self,
        *,
        application="",
        conf=None,
        conn_id="spark_default",
        files=None,
        py_files=None,
        archives=None,
        driver_class_path=None,
        jars=None,
        java_class=None,
        packages=None,
        exclude_packages=None,
        repositories=None,
        total_executor_cores=None,
        executor_cores=None,
        executor_memory=None,
        driver_memory=None,
        keytab=None,
        principal=None,
        proxy_user=None,
        name="arrow-spark",
        num_executors=None,
        status_poll_interval=1,
        application_args=None,
        env_vars=None,
        verbose=False,
        spark_binary=None,
        properties_file=None,
        yarn_queue=None,
        deploy_mode=None,
        use_krb5ccache=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        for name, value in arguments.items():
            setattr(self, name, value)

    def command(self):
        """The command line, after the templates were rendered."""
        connection = json.loads(os.environ["AIRFLOW_CONN_" + self.conn_id.upper()])
        command = [self.spark_binary or "spark-submit", "--master", connection["host"]]
        for key, value in (self.conf or {}).items():
            command += ["--conf", f"{key}={value}"]
        options = {
            "--properties-file": self.properties_file,
            "--files": self.files,
            "--py-files": self.py_files,
            "--archives": self.archives,
            "--driver-class-path": self.driver_class_path,
            "--jars": self.jars,
            "--packages": self.packages,
            "--exclude-packages": self.exclude_packages,
            "--repositories": self.repositories,
            "--num-executors": self.num_executors,
            "--total-executor-cores": self.total_executor_cores,
            "--executor-cores": self.executor_cores,
            "--executor-memory": self.executor_memory,
            "--driver-memory": self.driver_memory,
            "--keytab": self.keytab,
            "--principal": self.principal,
            "--proxy-user": self.proxy_user,
            "--name": self.name,
            "--class": self.java_class,
            "--queue": self.yarn_queue,
            "--deploy-mode": self.deploy_mode,
        }
        for option, value in options.items():
            if value:
                command += [option, str(value)]
        return [*command, self.application, *(self.application_args or [])]

    def execute(self, context):
        command = self.command()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in process.stdout:
            print(f"[{self.task_id}] {line}", end="", file=sys.stderr, flush=True)
            lines.append(line.strip())
        code = process.wait()
        if code:
            tail = "\n".join(lines[-20:])
            raise AirflowException(
                f"Cannot execute: {' '.join(command)}. Error code is: {code}.\nLast spark-submit output:\n{tail}"
            )
