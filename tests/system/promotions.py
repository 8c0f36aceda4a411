"""Asking for a promotion on a whole stack, and answering it as a person does."""

from __future__ import annotations

import sys
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from airflow_client import AirflowError

if TYPE_CHECKING:
    from tests.system.support import Stack


def approval_of(stack: Stack, run_id: str, seconds: float = 90) -> tuple[str, dict[str, Any]]:
    """The path and the content of the approval that a promotion waits for."""
    run = urllib.parse.quote(run_id, safe="")
    path = f"/api/v2/dags/promote_model_dag/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    deadline = time.monotonic() + seconds
    while True:
        try:
            return path, stack.airflow.request("GET", path)
        except AirflowError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def wait_until_parked(stack: Stack, task_instance: str, seconds: float = 90) -> None:
    """Wait as long as a person takes to read: until the process that asks has ended, and the scheduler knows.

    Airflow 3.3.2 queues the task anew at the answer; where it hears of that process's end only then, it takes the
    queued task for one that was lost, and fails it ("finished with state success, but ... queued").
    """
    deadline = time.monotonic() + seconds
    while stack.airflow.request("GET", task_instance)["state"] != "awaiting_input":
        assert time.monotonic() < deadline, f"{task_instance} does not wait for a person"
        time.sleep(0.5)
    time.sleep(3)


def decide(stack: Stack, run_id: str, option: str) -> str:
    """Answer the approval; returns the run's state at its end."""
    path, _ = approval_of(stack, run_id)
    wait_until_parked(stack, path.removesuffix("/hitlDetails"))
    stack.airflow.request("PATCH", path, {"chosen_options": [option], "params_input": {}})
    *_, (state, tasks) = stack.airflow.states("promote_model_dag", run_id)
    # Where a test fails, its report has this.
    sys.stdout.write(f"{run_id} ended {state}: {tasks}, {stack.trainings(run_id)}\n")
    if state == "failed":
        failed = [task for task, of_task in tasks.items() if of_task == "failed"]
        sys.stdout.writelines(f"{task}: {stack.task_log('promote_model_dag', run_id, task)}\n" for task in failed)
    return state


def ask(stack: Stack, model: str) -> str:
    """Ask for a promotion; returns the run's id."""
    stack.airflow.wait_for_dag("promote_model_dag")
    return stack.airflow.trigger("promote_model_dag", {"model": model, "reason": "it is better"})
