"""``just demo``: train in prd, predict in prd, and show what the registry has to say about it.

Starts everything first (``just up``), once its arguments are known to be right. Needs nothing but the standard library.
"""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_client import Airflow, AirflowError, read_env
from command_line import Parser, no_such

if TYPE_CHECKING:
    import argparse

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "packages/bulkhead/src"))

from bulkhead.environments import LAST as ENVIRONMENT  # noqa: E402  # found by the line above; it needs nothing more
from bulkhead.environments import dag_id  # noqa: E402  # as well
from bulkhead.errors import Refused  # noqa: E402  # as well
from bulkhead.model_name import DEFAULT_NAME, checked, is_valid  # noqa: E402  # as well

INPUTS = ROOT / "shared" / "inputs"
SHOWN = 5
NOT_METRICS = ("train_rows", "test_rows")


class DemoError(Exception):
    """Why the demo cannot go on: what, where, what next."""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    arguments = _parse(argv)
    try:
        source = _source_of(arguments.table)
        checked(arguments.name)
        _known(arguments.name)
        if code := subprocess.run([ROOT / "scripts/up.sh"], check=False).returncode:
            return code
        airflow = Airflow(read_env(ROOT / ".env"))
        airflow.log_in()
        print(f"\nTraining on {arguments.table}")
        # Null: the model's own file says.
        conf = {"source": source, "target": arguments.target or None, "features": arguments.features or None}
        conf["allow_signature_change"] = arguments.allow_signature_change
        _show_model(_run(airflow, dag_id(ENVIRONMENT, "train_model", arguments.name), conf, "log.txt"))
        print(f"\nPredicting {arguments.table}")
        pipe = dag_id(ENVIRONMENT, "inference_pipe", arguments.name)
        _show_predictions(_run(airflow, pipe, {"source": source}, "log_inference.txt"))
    except (DemoError, AirflowError, Refused) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\nSee both runs at {airflow.address} (user {airflow.user}, password {airflow.password})")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser("demo", "Start everything, train in prd and predict in prd: the diabetes table, or one of yours.")
    parser.add_argument(
        "table", nargs="?", default="shared/inputs/diabetes.csv", help="a .csv or .parquet file in shared/inputs/"
    )
    parser.add_argument("--name", default=DEFAULT_NAME, help="the model of project/ (default: %(default)s)")
    parser.add_argument("--target", default="", help="the column to predict (default: the one that the model names)")
    parser.add_argument(
        "--features", default="", help="the columns to predict from: a,b,c (default: those that the model names)"
    )
    parser.add_argument(
        "--allow-signature-change",
        action="store_true",
        help="replace a served model of other columns or another target",
    )
    given: argparse.Namespace = parser.parse_args(argv)
    return given


def _source_of(table: str) -> str:
    path = Path(table).resolve()
    if not path.exists() and table:
        path = INPUTS / table  # as steps and DAGs call it
    if not path.exists():
        tables = {file.name.partition(".")[0]: f"shared/inputs/{file.name}" for file in sorted(INPUTS.glob("[!.]*"))}
        near = difflib.get_close_matches(path.name.partition(".")[0], tables, n=1)
        there = f"Did you mean {tables[near[0]]}?" if near else f"There are: {', '.join(tables.values()) or 'none'}."
        raise DemoError(f"{table}: no such file. Give a .csv or .parquet file in shared/inputs/. {there}")
    if not path.is_relative_to(INPUTS) or path == INPUTS:
        raise DemoError(f"{table}: is not in shared/inputs/, the only folder that steps can read. Copy it there first.")
    return str(path.relative_to(INPUTS))


def _known(name: str) -> None:
    """Refuse a model that ``project/`` does not have: nothing has to be started to know that."""
    names = sorted(file.stem for file in (ROOT / "project").glob("*.py") if is_valid(file.stem))
    if name not in names:
        raise DemoError(f"project/{name}.py: {no_such('model', name, names)} To begin one: just new-model {name}")


def _run(airflow: Airflow, dag_id: str, conf: dict[str, Any], log: str) -> dict[str, Any]:
    """The record that a run of ``dag_id`` left in ``log``; prints each change of a task's state."""
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, conf)
    print(f"  {dag_id}  {run_id}")
    shown: dict[str, str | None] = {}
    state = ""
    for run_state, tasks in airflow.states(dag_id, run_id):
        for task in sorted(tasks, key=lambda task: (tasks[task] is None, task)):
            if tasks[task] and shown.get(task) != tasks[task]:
                print(f"    {task:<20} {tasks[task]}", flush=True)
        state, shown = run_state, tasks
    lines = (ROOT / "models" / log).read_text(errors="replace").splitlines()
    record = next(
        (r for r in map(_decode, reversed(lines)) if (r.get("dag_id"), r.get("run_id")) == (dag_id, run_id)), {}
    )
    if state != "success":
        reason = record.get("detail") or record.get("error_message") or "see the task's log"
        raise DemoError(f"{dag_id} failed: {reason}\n      Its runs: {airflow.address}/dags/{dag_id}/runs")
    return record


def _decode(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _show_model(record: dict[str, Any]) -> None:
    metrics, data = record["metrics"], record["data"]
    print(f"  Registered models/{record['model_filename']}")
    print(f"    data     {data['path']}, {data['rows']} rows, sha256 {data['sha256'][:12]}…")
    print(f"    features {', '.join(record['features'])} → {record['target']}")
    measured = [
        f"{name} {metrics[name]:.4g}"
        for name in record.get("goals") or metrics  # those that it declares, the leading one first
        if isinstance(metrics.get(name), int | float) and name not in NOT_METRICS
    ]
    if measured:
        rows = f"on {metrics.get('test_rows')} held-out rows of {data['rows']}"
        print(f"    metrics  {', '.join(measured)}  ({rows})")
    else:
        print(f"    metrics  none: {metrics.get('evaluated_on')}")


def _show_predictions(record: dict[str, Any]) -> None:
    print(f"  {record['rows']} predictions by {record['model_used']}")
    print(f"    file     {record['predictions_path']}")
    if record["predictions"]:
        first = ", ".join(_shown(value) for value in record["predictions"][:SHOWN])
        print(f"    first    {first}{', …' if record['rows'] > SHOWN else ''}")


def _shown(prediction: object) -> str:
    """A number in six digits; a class by its name."""
    return f"{prediction:.6g}" if isinstance(prediction, float) else str(prediction)


if __name__ == "__main__":
    sys.exit(main())
