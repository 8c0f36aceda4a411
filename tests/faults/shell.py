"""What the faults of steps and of the engine share: docker's command line, images and settings, task logs."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.containers.support import TAG
from tests.faults.support import TRAIN, Fault

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.support import Stack

LARGE = "large.csv"
WAITS = """
FROM {base}
COPY <<"EOF" /wait.py
import os, sys, time
while sys.argv[1] == "train_model" and not os.path.exists("/shared/go"):
    time.sleep(0.1)
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/wait.py"]
"""
"""An image whose train_model begins once somebody has put a file ``go`` into the run folder."""


def docker(*arguments: str, stdin: str | None = None) -> str:
    """What ``docker ...`` printed; it must succeed."""
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-2000:]}"
    return done.stdout


def build(dockerfile: str, *engine: str, **values: object) -> str:
    """The id of an image on the trainer's base; ``engine``: options that name another than the user's."""
    text = dockerfile.format(base=f"bulkhead/trainer:{TAG}", **values)
    return docker(*engine, "build", "--quiet", "-", stdin=text).strip()


@contextmanager
def training(fault: Fault, failures: list[tuple[int, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A run, and its train_model's container, which is paused until the block ends.

    Then the run ends as a success with one model and these failures.
    """
    run_id = fault.stack.airflow.trigger(TRAIN)
    with fault.stack.held("train_model") as container:
        since = time.time()
        yield run_id, container
    ends_well(fault, run_id, failures, since)


def ends_well(fault: Fault, run_id: str, failures: list[tuple[int, str]], since: float) -> None:
    """The run ends as a success with one model; it has recovered at its last step's end."""
    fault.end(TRAIN, run_id, state="success", models=1, failures=failures)
    fault.row.recovered_seconds = ended(fault.stack, run_id) - since


def ended(stack: Stack, run_id: str) -> float:
    """When the run's train_model wrote its proof, as ``time.time`` counts."""
    return (stack.folder / run_path(TRAIN, run_id) / "train_model.json").stat().st_mtime


def record_of(stack: Stack, run_id: str, try_number: int) -> dict[str, Any]:
    """The failure record of a try; there is one."""
    (record,) = (r for r in stack.trainings(run_id) if "cause" in r and r["try_number"] == try_number)
    return record


def hidden_files(folder: Path) -> list[str]:
    """Temporary and lock files."""
    return sorted(path.name for path in folder.glob(".*"))


def task_lines(
    stack: Stack, run_id: str, task_id: str = "preprocessing", dag_id: str = TRAIN
) -> Iterator[tuple[str, str]]:
    """(level, line) of all that try 1 of a task has logged; from the file, because the page shows a part."""
    file = f"/opt/airflow/logs/dag_id={dag_id}/run_id={run_id}/task_id={task_id}/attempt=1.log"
    scheduler = stack.compose("ps", "--quiet", "scheduler").strip()
    with subprocess.Popen(["docker", "exec", scheduler, "cat", file], stdout=subprocess.PIPE) as read:
        assert read.stdout is not None
        for entry in map(json.loads, read.stdout):
            yield entry["level"], entry["event"]
    assert read.returncode == 0


@contextmanager
def another_image(stack: Stack, dockerfile: str, **values: object) -> Iterator[str]:
    """An image on the trainer's base, its id; at the end the trainer's tag is the trainer's again."""
    image = build(dockerfile, **values)
    try:
        yield image
    finally:
        stack.tag("trainer")
        docker("rmi", "--force", image)


@contextmanager
def replaced(stack: Stack, dockerfile: str, **values: object) -> Iterator[None]:
    """Another image under the trainer's tag."""
    with another_image(stack, dockerfile, **values) as image:
        docker("tag", image, f"bulkhead/trainer:{stack.project}")
        yield


@contextmanager
def limited(stack: Stack, **settings: str) -> Iterator[None]:
    """Scheduler and launcher have ``settings``, and none of them afterwards."""
    stack.environment.update(settings)
    _apply(stack)
    try:
        yield
    finally:
        for name in settings:
            del stack.environment[name]
        _apply(stack)


def _apply(stack: Stack) -> None:
    stack.write_settings()
    stack.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "launcher", "scheduler")


@contextmanager
def large_table(stack: Stack, rows: int) -> Iterator[None]:
    path = stack.inputs / LARGE
    path.write_text("a,b,target\n" + "123456,7891011,12131415\n" * rows)
    try:
        yield
    finally:
        path.unlink()
