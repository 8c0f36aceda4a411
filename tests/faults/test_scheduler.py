"""The scheduler dies at every place of a step's life, and the step has one container and one outcome."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import (
    created,
    held_training,
    kill_scheduler,
    started,
    steps_of,
    task,
    wait_until_followed,
)
from tests.faults.proxy import Proxy
from tests.faults.shell import docker
from tests.faults.support import AT_ONCE, TRAIN, Fault, status, wait_until
from tests.system.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]

RECOVERED = 30
"""Seconds from a kill until the step is followed again, or its task is done."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Proxy]:
    """The socket that this stack takes for the engine's."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        made = Proxy(Path(folder) / "docker.sock")
        yield made
        made.close()


@pytest.fixture(scope="module")
def stack(engine: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack that reaches the engine through the proxy."""
    made = Stack(tmp_path_factory.mktemp("stack"), BULKHEAD_DOCKER_SOCKET=str(engine.path), **AT_ONCE)
    with status(made):
        yield made


def ends_once(fault: Fault, run_id: str) -> None:
    """The run ends as a success, with one model of one container that ever ran, and was gone on with soon."""
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    ran = started(fault.stack, run_id)
    assert sum(count for (task_id, _), count in ran.items() if task_id == "train_model") == 1
    assert fault.row.recovered_seconds is not None
    assert fault.row.recovered_seconds < RECOVERED


def test_a_step_is_followed_again_within_30_s_of_the_schedulers_sigkill(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, step):
        before = step["Id"]
        killed = kill_scheduler(stack)
        fault.row.recovered_seconds = wait_until_followed(stack, run_id, 2) - killed
        assert [step["Id"] for step in steps_of(stack, run_id)] == [before]
    ends_once(fault, run_id)


def test_a_scheduler_killed_before_create_starts_the_step_once(stack: Stack, engine: Proxy, fault: Fault) -> None:
    with engine.held(r"POST .*/containers/create.*\.train_m") as create:
        run_id = stack.airflow.trigger(TRAIN)
        create.wait_reached()
        killed = kill_scheduler(stack)
    stack.wait_for_step("train_model")
    fault.row.recovered_seconds = time.monotonic() - killed
    ends_once(fault, run_id)


def test_a_scheduler_killed_between_create_and_start_starts_the_step_once(
    stack: Stack, engine: Proxy, fault: Fault
) -> None:
    with engine.held(r"POST .*/containers/create.*\.train_m", answers=True) as create:
        run_id = stack.airflow.trigger(TRAIN)
        create.wait_reached()
        killed = kill_scheduler(stack)
    (left,) = steps_of(stack, run_id)
    assert left["State"]["Status"] == "created"
    stack.wait_for_step("train_model")
    fault.row.recovered_seconds = time.monotonic() - killed
    ends_once(fault, run_id)


def test_a_scheduler_killed_before_the_id_of_a_running_step_is_stored_finds_it_by_its_name(
    stack: Stack, engine: Proxy, fault: Fault
) -> None:
    with engine.held(r"POST .*/start", answers=True) as start:
        run_id = stack.airflow.trigger(TRAIN)
        start.wait_reached()
        assert steps_of(stack, run_id, "preprocessing")
        killed = kill_scheduler(stack)
    wait_until(lambda: task(stack, run_id).get("state"), 60, "preprocessing is not gone on with")
    fault.row.recovered_seconds = time.monotonic() - killed
    ends_once(fault, run_id)
    assert created(stack, run_id, "preprocessing") == 1


def test_a_scheduler_killed_after_a_steps_exit_and_before_its_judgement_judges_it_in_the_next_try(
    stack: Stack, engine: Proxy, fault: Fault
) -> None:
    with ExitStack() as holds:
        with held_training(stack) as (run_id, step):
            holds.enter_context(engine.held(rf"GET .*/containers/{step['Id']}/json")).wait_reached()
        wait_until(lambda: not stack.running_steps(), 30, "the step does not end")
        assert task(stack, run_id)["state"] == "running"
        killed = kill_scheduler(stack)
    wait_until(lambda: task(stack, run_id).get("state") == "success", 60, "not judged")
    fault.row.recovered_seconds = time.monotonic() - killed
    ends_once(fault, run_id)


def test_a_success_that_is_recorded_and_that_airflow_has_not_seen_is_not_run_again(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, _):
        docker("pause", stack.service("api-server"))
    try:
        wait_until(lambda: stack.trainings(run_id), 60, "not recorded")
        killed = kill_scheduler(stack)
    finally:
        docker("unpause", stack.service("api-server"))
    wait_until(lambda: task(stack, run_id).get("state") == "success", 90, "not adopted")
    fault.row.recovered_seconds = time.monotonic() - killed
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(stack, run_id) == 1


def test_a_restart_of_the_scheduler_stops_no_step_and_the_next_one_follows_it(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, step):
        before = step["Id"]
        asked = time.monotonic()
        stack.compose("restart", "scheduler")
        fault.row.recovered_seconds = wait_until_followed(stack, run_id, 2) - asked
        assert [step["Id"] for step in steps_of(stack, run_id)] == [before]
    ends_once(fault, run_id)
