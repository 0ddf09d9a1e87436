"""Spark SQL cells in a notebook, over the tables of spark-rlhf.

    %load_ext sparksql
    %warehouse ../quickstart/warehouse

starts one `spark-rlhf sql --stdin` (Java 17, some ten seconds) with the views of conf/sql/views.sql. A cell that
begins with `%%sql` is Spark SQL, statements end with a semicolon at the end of a line. `%%sql name` keeps the last
result as a variable: `name["column"]` is a list of values.
"""

import atexit
import html
import json
import os
import re
import subprocess
from pathlib import Path

from IPython.display import display

ROOT = Path(__file__).resolve().parent.parent
JAR = Path(os.environ.get("RLHF_JAR", ROOT / "jobs/target/spark-rlhf.jar"))
NUMBERS = {"tinyint": int, "smallint": int, "int": int, "bigint": int, "float": float, "double": float}
CELL_CHARACTERS = 80


def statements(script):
    """The statements of a script, without those that are only a comment."""
    parts = re.split(r";[ \t]*(?:\r?\n|$)", script)
    return [part for part in parts if re.sub(r"(?m)^\s*--.*$", "", part).strip()]


class SqlError(Exception):
    """A statement that Spark does not accept; shown as its message, without a traceback."""

    def _render_traceback_(self):
        return [str(self)]


class Result:
    """The rows of one statement. Types are those of Spark SQL."""

    def __init__(self, columns, rows, more):
        self.columns = columns
        self.rows = [[value(text, kind) for text, (_, kind) in zip(row, columns)] for row in rows]
        self.more = more

    def __getitem__(self, column):
        position = [name for name, _ in self.columns].index(column)
        return [row[position] for row in self.rows]

    def _repr_mimebundle_(self, include=None, exclude=None):
        # The metadata are what a test holds against the columns of the same statement run again.
        return {"text/plain": self.text(), "text/html": self.html()}, {"columns": self.columns}

    def text(self):
        lines = [[name for name, _ in self.columns]] + [[short(v) for v in row] for row in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines) + self.note()

    def html(self):
        head = "".join(f"<th>{html.escape(name)}<br><small>{html.escape(kind)}</small></th>" for name, kind in self.columns)
        body = "\n".join("<tr>" + "".join(cell(v) for v in row) + "</tr>" for row in self.rows)
        return f"<table>\n<tr>{head}</tr>\n{body}\n</table>{self.note()}"

    def note(self):
        return f"\nOnly the first {len(self.rows)} rows" if self.more else ""


def value(text, kind):
    return text if text is None else NUMBERS.get(kind.split("(")[0], float if kind.startswith("decimal") else str)(text)


def short(v):
    text = "NULL" if v is None else str(v).replace("\n", " ")
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"


def cell(v):
    side = "right" if isinstance(v, (int, float)) else "left"
    return f'<td style="text-align: {side}">{html.escape(short(v))}</td>'


class Session:
    """One process of the job `sql` that answers each statement with a line of JSON."""

    def __init__(self, warehouse, limit=50):
        if not JAR.exists():
            raise FileNotFoundError(f"Cannot find {JAR}: build it as README.md says, or set RLHF_JAR")
        if not Path(warehouse).is_dir():
            raise FileNotFoundError(f"Cannot find the tables in {warehouse}: run the quickstart, or name another folder")
        command = ["java", "-jar", str(JAR), "sql", "--stdin", "--format", "typed"]
        command += ["--limit", str(limit), "--warehouse", str(warehouse)]
        # In a process group of its own: what interrupts the kernel does not reach it by itself.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
        )
        atexit.register(self.close)
        self.run((ROOT / "conf/sql/views.sql").read_text(encoding="utf-8"))

    def run(self, script):
        return [self.answer(statement) for statement in statements(script)]

    def answer(self, statement):
        try:
            self.process.stdin.write(statement.rstrip() + ";\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        except KeyboardInterrupt:
            # The answer would come later and be taken for that of the next statement.
            self.process.kill()
            raise
        if not line:
            raise SqlError("The session has ended; run the cell with %warehouse again")
        answer = json.loads(line)
        if "error" in answer:
            raise SqlError(answer["error"])
        return Result(answer["columns"], answer["rows"], answer["more"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def load_ipython_extension(shell):
    session = []

    def warehouse(line):
        for open_session in session:
            open_session.close()
        session[:] = [Session(line.strip())]

    def sql(line, cell):
        if not session:
            raise SqlError("There are no tables yet: run %warehouse FOLDER first")
        results = session[0].run(cell)
        for result in results:
            if result.columns:
                display(result)
        if line.strip():
            shell.user_ns[line.strip()] = results[-1]

    shell.register_magic_function(warehouse, "line")
    shell.register_magic_function(sql, "cell")
