"""What is done to a stack, and what is seen of it, while a task runs."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_client import AirflowError
from tests.faults.support import TRAIN, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.support import Stack

GOES_ON = ("going on with it", "Reconnecting to existing job")
"""What a try says that has found the container of an earlier one."""


def container_of(stack: Stack, service: str) -> str:
    """The id of a service's container."""
    return stack.compose("ps", "--all", "--quiet", service).strip()


def kill_scheduler(stack: Stack) -> float:
    """SIGKILL to the scheduler's main process, with which all others in its container end; returns when.

    Not ``docker kill``: that counts as a stop by hand, and Docker would not restart it.
    """
    killed = time.monotonic()
    kill_service(stack, "scheduler")
    return killed


@contextmanager
def held_training(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """A run, and the container of its train_model, which is paused as soon as it runs, until the block ends."""
    run_id = stack.airflow.trigger(TRAIN)
    with stack.held("train_model") as container:
        assert container["Config"]["Labels"]["io.bulkhead.run"] == run_id
        wait_until(lambda: task(stack, run_id).get("state") == "running", 60, "not running")
        yield run_id, container


def kill_service(stack: Stack, service: str) -> None:
    """SIGKILL to a service's main process; Docker starts it again."""
    container = container_of(stack, service)
    restarts = restarts_of(container)
    script = "read -r main _ < /proc/1/task/1/children; kill -9 $main"
    subprocess.run(["docker", "exec", container, "bash", "-c", script], check=True)
    wait_until(lambda: restarts_of(container) > restarts, 20, f"Docker does not restart the {service}")


def terminate_task(stack: Stack, run_id: str) -> None:
    """SIGTERM to the process that runs a task, in the scheduler's container."""
    kill = ["bash", "-c", f"kill {task(stack, run_id)['pid']}"]
    subprocess.run(["docker", "exec", container_of(stack, "scheduler"), *kill], check=True)


def is_alive(stack: Stack, pid: int) -> bool:
    """Whether the scheduler's container has the process ``pid``."""
    command = ["docker", "exec", container_of(stack, "scheduler"), "test", "-d", f"/proc/{pid}"]
    return subprocess.run(command, check=False).returncode == 0


def restarts_of(container: str) -> int:
    command = ["docker", "inspect", "--format={{.RestartCount}}", container]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def task(stack: Stack, run_id: str, task_id: str = "train_model", dag_id: str = TRAIN) -> dict[str, Any]:
    """The task instance, as REST tells it; empty while the API server does not answer."""
    with suppress(AirflowError):
        return dict(stack.airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"))
    return {}


def journal_of(stack: Stack, run_id: str, number: int, task_id: str = "train_model", dag_id: str = TRAIN) -> str:
    """The task log of one try; empty where there is none."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{number}"
    with suppress(AirflowError):
        return json.dumps(stack.airflow.request("GET", path))
    return ""


def wait_until_followed(stack: Stack, run_id: str, number: int, seconds: float = 60) -> float:
    """Return once try ``number``, or one before it, goes on with the container that there is; returns when.

    A try that was told to end in order is run once more under its own number.
    """
    tries = range(1, number + 1)
    wait_until(
        lambda: any(words in journal_of(stack, run_id, one) for one in tries for words in GOES_ON),
        seconds,
        f"try {number} does not go on with the container",
    )
    return time.monotonic()


@contextmanager
def events_noted(stack: Stack) -> Iterator[None]:
    """Notes each container that the engine creates or starts for a step, for :func:`created` and :func:`started`.

    As they happen: of what has been, the engine keeps the last 256 events only.
    """
    labels = " ".join(f'{{{{index .Actor.Attributes "io.bulkhead.{key}"}}}}' for key in ("run", "task", "try"))
    filters = ["--filter=event=create", "--filter=event=start", f"--filter=label=io.bulkhead.project={stack.project}"]
    command = ["docker", "events", *filters, f"--format={{{{.Action}}}} {labels}"]
    with _notes(stack).open("w") as notes, subprocess.Popen(command, stdout=notes) as events:
        try:
            yield
        finally:
            events.terminate()


def created(stack: Stack, run_id: str, task_id: str = "train_model") -> int:
    """How many containers of a task there have ever been."""
    return sum(line.startswith(f"create {run_id} {task_id} ") for line in _notes(stack).read_text().splitlines())


def started(stack: Stack, run_id: str) -> Counter[tuple[str, int]]:
    """How many containers have ever run for each (task, try) of a run."""
    notes = [line.split() for line in _notes(stack).read_text().splitlines()]
    return Counter((note[2], int(note[3])) for note in notes if note[:2] == ["start", run_id])


def _notes(stack: Stack) -> Path:
    return stack.folder / "events"


def steps_of(stack: Stack, run_id: str, task_id: str = "train_model") -> list[dict[str, Any]]:
    """``docker inspect`` of a task's containers, running or not."""
    wanted = {"io.bulkhead.run": run_id, "io.bulkhead.task": task_id}
    return [c for c in stack.step_containers() if wanted.items() <= c["Config"]["Labels"].items()]


def wait_until_stopped(stack: Stack, run_id: str, seconds: float) -> float:
    """Return once no container of a run is running; returns when."""
    label = {"io.bulkhead.run": run_id}.items()
    wait_until(
        lambda: not any(label <= c["Config"]["Labels"].items() for c in stack.running_steps()),
        seconds,
        "the container is still running",
    )
    return time.monotonic()


def mark_failed(stack: Stack, run_id: str, task_id: str = "train_model") -> None:
    path = f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}/taskInstances/{task_id}"
    stack.airflow.request("PATCH", path, {"new_state": "failed"})


def clear(stack: Stack, run_id: str) -> None:
    wanted = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["train_model"], "only_failed": False}
    stack.airflow.request("POST", f"/api/v2/dags/{TRAIN}/clearTaskInstances", wanted)
