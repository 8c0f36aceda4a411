"""The registrar and the launcher die, or are away, while a step runs or ends: its work is not lost, nor done twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import created, held_training, kill_service, task
from tests.faults.support import TRAIN, Fault, wait_until

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]


def ends_once(fault: Fault, run_id: str, since: float) -> None:
    """The run ends as a success, with one model of one container."""
    wait_until(lambda: task(fault.stack, run_id).get("state") == "success", 120, "no success")
    fault.row.recovered_seconds = time.monotonic() - since
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(fault.stack, run_id) == 1


@pytest.mark.parametrize("service", ["registrar", "launcher"])
def test_a_service_killed_while_a_step_runs_does_it_no_harm(stack: Stack, fault: Fault, service: str) -> None:
    with held_training(stack) as (run_id, _):
        kill_service(stack, service)
        since = time.monotonic()
    ends_once(fault, run_id, since)


def test_a_registrar_killed_again_and_again_while_steps_end_records_each_once(stack: Stack, fault: Fault) -> None:
    for _ in range(3):
        fault.begin()
        with held_training(stack) as (run_id, _):
            since = time.monotonic()
        folder = stack.folder / run_path(TRAIN, run_id)
        wait_until((folder / "train_model.json").exists, 60, "the step does not end")
        kill_service(stack, "registrar")
        ends_once(fault, run_id, since)


@pytest.mark.parametrize("service", ["registrar", "launcher"])
def test_what_ends_while_a_service_is_away_is_recorded_when_it_is_back(
    stack: Stack, fault: Fault, service: str
) -> None:
    with held_training(stack) as (run_id, _):
        stack.compose("stop", service)
    folder = stack.folder / run_path(TRAIN, run_id)
    wait_until((folder / "train_model.json").exists, 60, "the step does not end")
    time.sleep(10)
    assert stack.trainings(run_id) == []
    stack.compose("start", service)
    ends_once(fault, run_id, time.monotonic())


def test_what_ends_while_registrar_and_scheduler_are_away_is_recorded_when_they_are_back(
    stack: Stack, fault: Fault
) -> None:
    with held_training(stack) as (run_id, _):
        stack.compose("stop", "registrar", "scheduler")
    folder = stack.folder / run_path(TRAIN, run_id)
    wait_until((folder / "train_model.json").exists, 60, "the step does not end")
    stack.compose("start", "registrar")
    wait_until(lambda: stack.trainings(run_id), 60, "the registrar does not record what nobody asks it to")
    stack.compose("start", "scheduler")
    ends_once(fault, run_id, time.monotonic())
