"""What every fault ends with: the same checks, and a row in the table."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.system.support import Stack

TRAIN = "dev_train_model_dag"
INFER = "dev_inference_pipe_dag"
AT_ONCE = {"BULKHEAD_STEP_RETRIES": "2", "BULKHEAD_STEP_RETRY_SECONDS": "1"}
"""Settings of a stack: a crashed step is tried again at once."""


@dataclass
class Row:
    """A line of the table that is printed at the end."""

    fault: str
    recovered_seconds: float | None = None
    outcomes: str = "-"
    models: str = "-"
    containers: str = "-"
    note: str = ""


@dataclass
class Fault:
    """One fault on one run: what was there before, and the checks after."""

    stack: Stack
    row: Row
    before: set[str] = field(default_factory=set)

    def begin(self) -> None:
        self.before = self.stack.model_files()

    def end(  # what a run comes to
        self,
        dag_id: str,
        run_id: str,
        *,
        state: str,
        models: int,
        failures: list[tuple[int, str]],
        seconds: float = 300,
    ) -> None:
        """Wait for the run's end and check it.

        Args:
            dag_id: its DAG.
            run_id: the run.
            state: ``success`` or ``failed``.
            models: how many models the run must have published.
            failures: the failure records it must have left: (try number, cause), in order.
            seconds: within which it must end.
        """
        *_, (ended, _) = self.stack.airflow.states(dag_id, run_id, seconds)
        self.check(run_id, models=models, failures=failures)
        assert ended == state
        wait_until(lambda: left_over(self.stack, run_id) == [], 30, "a container is left that nobody needs")

    def check(self, run_id: str, *, models: int, failures: list[tuple[int, str]]) -> None:
        """The checks alone: also for a run that Airflow no longer knows."""
        records = self.stack.trainings(run_id) + self.stack.inferences(run_id)
        failed = [(record["try_number"], record["cause"]) for record in records if "cause" in record]
        published = [record for record in records if "model_filename" in record]
        running = self.stack.running_steps()
        self.row.outcomes = ", ".join(f"try {number}: {cause}" for number, cause in failed) or "success"
        self.row.models = str(len(published))
        self.row.containers = str(len(running))
        assert failed == failures, records
        assert len(published) == models, records
        assert len(self.stack.model_files() - self.before) == models
        assert running == []
        verify(self.stack)


@contextmanager
def status(stack: Stack) -> Iterator[None]:
    """``stack`` is up, and has trained a model."""
    with stack.status():
        stack.run(TRAIN)
        yield


def verify(stack: Stack) -> None:
    """The registry is what its records say, the chain is whole, and its end is the one that was seen."""
    registrar = stack.service("registrar")
    # One that was killed again and again rests for longer each time before Docker starts it, longer than a run takes.
    wait_until(lambda: _is_running(registrar), 60, "Docker does not restart the registrar")
    command = ["docker", "exec", registrar, "registry", "verify", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot be told" not in done.stdout, "the registrar has not said where the logs end"


def _is_running(container: str) -> bool:
    command = ["docker", "inspect", "--format", "{{.State.Status}}", container]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "running"


def left_over(stack: Stack, run_id: str) -> list[str]:
    """The containers of a run but those that are kept as evidence of a failure."""
    return [
        container["Name"]
        for container in stack.step_containers()
        if container["Config"]["Labels"]["io.bulkhead.run"] == run_id and ".failed-" not in container["Name"]
    ]


def wait_until(what: Callable[[], Any], seconds: float, message: str) -> Any:
    """The first truthy answer of ``what()``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{message}: not within {seconds} s")
