"""Runs inside the Airflow image: what the operator makes of a run's conf and outcome, as JSON.

The step's life is not in question here: what the operator asks of it is written down.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import AirflowException

from bulkhead_airflow import operator
from engine.caller import StepFailedError
from engine.verdict import Failed


class Step:
    """A step that has its outcome at once, and fails where it is refused."""

    def __init__(self, spec: Any, *_: Any) -> None:
        said["model_name"] = spec.model_name
        self.outcome: Any = None

    def look(self) -> bool:
        return False

    def refuse(self, detail: str) -> None:
        said["refused"] = detail
        failed = Failed("refused", detail, retry=False)
        raise StepFailedError(detail, failed)

    def connect(self) -> None:
        said["connected"] = True
        self.outcome = SimpleNamespace(facts=asked["facts"], result=None)

    def find_or_start(self) -> str:
        return "container"


asked = json.loads(sys.argv[2])
said: dict[str, Any] = {}
vars(operator)["StepRun"] = Step
bag = DagBag(sys.argv[1])
dag = bag.dags[asked["dag_id"]]
task = dag.get_task(asked["task_id"])
run = SimpleNamespace(conf=asked["conf"], run_type=asked.get("run_type", "manual"), logical_date=None, run_after=None)
for name, value in asked.get("dates", {}).items():
    setattr(run, name, datetime.fromisoformat(value))
params = {name: param.value for name, param in dag.params.items() if param.has_value} | asked["conf"]
params = {name: params.get(name) for name in {*dag.params, *params}}
events: dict[Any, Any] = {asset: SimpleNamespace(extra=None) for asset in task.outlets}
ti = SimpleNamespace(dag_id=dag.dag_id, run_id="r", task_id=task.task_id, try_number=1, map_index=-1, id="t")
context: dict[str, Any] = {
    "dag": dag,
    "dag_run": run,
    "params": params,
    "ti": ti,
    "task": task,
    "outlets": task.outlets,
    "outlet_events": events,
}
task.render_template_fields(context)
task._attach_or_start = lambda context: task.get_job_result(None, context)
try:
    task.execute(context)
except AirflowException as error:
    said["raised"] = f"{type(error).__name__}: {error}"
said["command"] = task.command
said["outlets"] = [asset.uri for asset in task.outlets]
said["events"] = {asset.uri: event.extra for asset, event in events.items() if event.extra}
print(json.dumps(said))
