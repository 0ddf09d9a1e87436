"""Stand-ins for the exceptions of airflow.sdk.exceptions that decide what becomes of a task."""


class AirflowException(Exception):
    pass


class AirflowFailException(AirflowException):
    pass


class AirflowSkipException(AirflowException):
    pass
