"""A machine that is too busy: heartbeats come late, Airflow gives up its tasks, and nothing is done twice for it."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG
from tests.faults.acts import container_of, started
from tests.faults.outcomes import count_outcomes
from tests.faults.shell import WAITS, docker, replaced
from tests.faults.support import AT_ONCE, TRAIN, Fault, status, wait_until
from tests.system.support import Stack

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]

AT_A_TIME = 6
BURNERS = 3
THRESHOLD = "15"
"""Seconds after which a scheduler counts as dead; far fewer than comes with the stack, so that it is too few here."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that takes a scheduler for dead after a few seconds."""
    folder = tmp_path_factory.mktemp("stack")
    more = folder / "more.yaml"
    late = {"environment": {"AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": THRESHOLD}}
    more.write_text(json.dumps({"services": {"scheduler": late}}))
    settings = {**AT_ONCE, "BULKHEAD_STEP_SLOTS": str(AT_A_TIME), "COMPOSE_FILE": f"docker-compose.yaml:{more}"}
    made = Stack(folder, **settings)
    with status(made):
        yield made


@contextmanager
def burning(count: int) -> Iterator[None]:
    """So many containers beside, each of which takes what it can get of the processor."""
    burns = ("--entrypoint", "sh", f"bulkhead/trainer:{TAG}", "-c", "while :; do :; done")
    burners = [docker("run", "--detach", "--rm", *burns).strip() for _ in range(count)]
    try:
        yield
    finally:
        docker("rm", "--force", *burners)


def test_a_scheduler_that_stands_still_with_steps_running_costs_no_work(stack: Stack, fault: Fault) -> None:
    with replaced(stack, WAITS), burning(BURNERS):
        runs = [stack.airflow.trigger(TRAIN) for _ in range(AT_A_TIME)]
        wait_until(lambda: all(is_training(stack, run_id) for run_id in runs), 240, "not all steps run")
        scheduler = container_of(stack, "scheduler")
        to_main("STOP", scheduler)
        time.sleep(3 * int(THRESHOLD))
        to_main("CONT", scheduler)
        since = time.monotonic()
        wait_until(lambda: "Reset the following" in logs_of(scheduler), 90, "Airflow has not taken its tasks away")
        for run_id in runs:
            (stack.folder / run_path(TRAIN, run_id) / "go").touch()
        for run_id in runs:
            *_, (state, _) = stack.airflow.states(TRAIN, run_id, 300)
            assert state == "success"
        fault.row.recovered_seconds = time.monotonic() - since
    fault.row.outcomes = count_outcomes(stack, dict.fromkeys(runs, TRAIN), killed=[])
    fault.row.models = str(len(stack.model_files() - fault.before))


def to_main(signal: str, container: str) -> None:
    """A signal to the scheduler's main process; those that wait for steps go on."""
    script = f"read -r main _ < /proc/1/task/1/children; kill -{signal} $main"
    subprocess.run(["docker", "exec", container, "bash", "-c", script], check=True)


def is_training(stack: Stack, run_id: str) -> bool:
    return started(stack, run_id)["train_model", 1] > 0


def logs_of(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr
