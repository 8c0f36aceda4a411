"""A step that waits for its container in the triggerer, and all that its logs say."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.acts import steps_of, task, wait_until_stopped
from tests.faults.shell import WAITS, build, docker
from tests.faults.support import TRAIN, wait_until
from tests.system.support import ROOT

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.support import Stack

DEFER_AFTER = "8"
"""Longer than preprocessing takes, of which nothing is asked."""
SHOWN_AGAIN = "Of the lines below some may have been shown already"
COUNTS = """
FROM {base}
COPY <<"EOF" /count.py
import os, sys, time
if sys.argv[1] == "train_model":
    for number in range({lines}):
        print("out", number, flush=True)
        print("err", number, file=sys.stderr, flush=True)
        time.sleep({pause})
    while {held} and not os.path.exists("/shared/go"):
        print("begun ", end="", flush=True)
        time.sleep(1)
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/count.py"]
"""
"""An image whose train_model prints numbered lines, then a line without an end until there is a file ``go``."""


@contextmanager
def deferred_training(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """A run, and the container of its train_model, which is waited for, and begins its work when the block ends."""
    with begun_training(stack) as (run_id, container):
        wait_until_deferred(stack, run_id)
        yield run_id, container


@contextmanager
def begun_training(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """A run, and the container of its train_model, which begins its work when the block ends; then until its end.

    It is not paused, which an engine under load refuses now and then.
    """
    image = build(WAITS)
    docker("tag", image, f"bulkhead/trainer:{stack.project}")
    try:
        run_id = stack.airflow.trigger(TRAIN)
        (container,) = wait_until(lambda: _running(stack, run_id), 120, "train_model does not run")
        try:
            yield run_id, container
        finally:
            go(stack, run_id)
            wait_until_stopped(stack, run_id, 120)
    finally:
        stack.tag("trainer")
        # Where the next try has one of it already, the next of these takes it away.
        subprocess.run(["docker", "rmi", "--force", image], check=False, capture_output=True)


def _running(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    return [step for step in steps_of(stack, run_id) if step["State"]["Running"]]


def wait_until_deferred(stack: Stack, run_id: str, task_id: str = "train_model", dag_id: str = TRAIN) -> None:
    """Return once the task waits, and its trigger runs."""
    said = "the triggerer waits for it"
    wait_until(lambda: task(stack, run_id, task_id, dag_id).get("state") == "deferred", 90, "it is not deferred")
    wait_until(
        lambda: any(said in line for _, line in told(stack, run_id, task_id, dag_id)), 10, "its log says nothing"
    )
    wait_until(lambda: trigger_files(stack, run_id, task_id, dag_id), 60, "no trigger has begun")


def go(stack: Stack, run_id: str) -> None:
    """Let a step that waits for a file ``go`` in its run folder go on."""
    (stack.folder / run_path(TRAIN, run_id) / "go").touch()


def trigger_files(stack: Stack, run_id: str, task_id: str = "train_model", dag_id: str = TRAIN) -> list[str]:
    """The logs of all triggers of a task's first try."""
    return [name for name in _files(stack, run_id, task_id, dag_id) if ".trigger." in name]


def told(stack: Stack, run_id: str, task_id: str = "train_model", dag_id: str = TRAIN) -> list[tuple[str, str]]:
    """(level, line) of all that the first try of a task and its triggers have logged, as Airflow shows it."""
    entries: list[tuple[datetime, str, str]] = []
    for file in _files(stack, run_id, task_id, dag_id):
        text = _in_scheduler(stack, "cat", f"{_folder(run_id, task_id, dag_id)}/{file}")
        entries += [
            (datetime.fromisoformat(entry["timestamp"]), entry["level"], entry["event"])
            for entry in (json.loads(line) for line in text.splitlines())
        ]
    return [(level, event) for _, level, event in sorted(entries, key=lambda entry: entry[0])]


def counted(lines: list[tuple[str, str]], level: str, word: str) -> list[int]:
    """The numbers in the lines ``<word> <number>`` of a level."""
    found = [line.split() for its, line in lines if its == level]
    return [int(parts[1]) for parts in found if len(parts) == 2 and parts[0] == word]  # word, number


def with_dags(folder: Path) -> dict[str, str]:
    """The setting of a stack that has the DAGs of ``tests/faults/dags`` too."""
    dags = shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (Path(__file__).parent / "dags").glob("*.py"):
        shutil.copy(file, dags)
    mount = {"volumes": [f"{dags}:/opt/airflow/dags:ro"]}
    services = ("init", "api-server", "scheduler", "dag-processor", "triggerer")
    more = folder / "more.yaml"
    more.write_text(json.dumps({"services": dict.fromkeys(services, mount)}))
    return {"COMPOSE_FILE": f"docker-compose.yaml:{more}"}


def _files(stack: Stack, run_id: str, task_id: str, dag_id: str) -> list[str]:
    found = _in_scheduler(stack, "ls", _folder(run_id, task_id, dag_id)).split()
    return [name for name in found if name.startswith("attempt=1.log")]


def _folder(run_id: str, task_id: str, dag_id: str) -> str:
    return f"/opt/airflow/logs/dag_id={dag_id}/run_id={run_id}/task_id={task_id}"


def _in_scheduler(stack: Stack, *command: str) -> str:
    scheduler = stack.service("scheduler")
    return subprocess.run(["docker", "exec", scheduler, *command], capture_output=True, text=True, check=False).stdout
