"""What happens to a step while nobody but the triggerer waits for it: each attempt has one outcome all the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import (
    clear,
    created,
    kill_scheduler,
    kill_service,
    mark_failed,
    steps_of,
    task,
    wait_until_stopped,
)
from tests.faults.deferring import (
    COUNTS,
    DEFER_AFTER,
    SHOWN_AGAIN,
    begun_training,
    deferred_training,
    go,
    told,
    wait_until_deferred,
    with_dags,
)
from tests.faults.shell import docker, limited, record_of, replaced
from tests.faults.support import AT_ONCE, TRAIN, Fault, left_over, status, wait_until
from tests.system.support import Stack

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]

SWEEP = 20
"""Seconds until the registrar's next round has come to a container and stopped it."""
PATIENT = "dev_patient_dag"
LIMIT = 40
"""Seconds that a step may run."""
FILLS = """
FROM {base}
COPY <<"EOF" /fill.py
import os, sys, time
if sys.argv[1] == "train_model":
    while not os.path.exists("/shared/go"):
        time.sleep(0.1)
    for number in range(4):  # each is less than a single file may have
        with open(f"/shared/large-{{number}}", "wb") as file:
            file.write(os.urandom(20 << 20))
    time.sleep(60)
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/fill.py"]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that lets go of its steps soon."""
    folder = tmp_path_factory.mktemp("stack")
    settings = {"BULKHEAD_DEFER_AFTER": DEFER_AFTER, "BULKHEAD_STEP_SLOTS": "3"}
    with status(made := Stack(folder, **settings, **with_dags(folder), **AT_ONCE)):
        yield made


def ends_once(fault: Fault, run_id: str, since: float, *, tries: int = 1) -> None:
    """The run ends as a success, with one model of one container, in a task that was waited for."""
    wait_until(lambda: task(fault.stack, run_id).get("state") == "success", 120, "no success")
    fault.row.recovered_seconds = time.monotonic() - since
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(fault.stack, run_id) == 1
    assert task(fault.stack, run_id)["try_number"] == tries


def wait_for_proof(stack: Stack, run_id: str) -> None:
    """Until the step has ended, whoever has seen it."""
    proof = stack.folder / run_path(TRAIN, run_id) / "train_model.json"
    wait_until(proof.exists, 60, "the step does not end")


# A person ends the task.


def test_a_deferred_task_marked_failed_stops_its_container_and_publishes_nothing(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, _):
        marked = time.monotonic()
        mark_failed(stack, run_id)
        fault.row.recovered_seconds = wait_until_stopped(stack, run_id, SWEEP) - marked
    wait_until(lambda: stack.trainings(run_id), 10, "no record")
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "killed")])


@pytest.mark.deferred
def test_a_deferred_task_cleared_is_stopped_and_run_afresh(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, before):
        cleared = time.monotonic()
        clear(stack, run_id)
        wait_until(lambda: before["Id"] not in {one["Id"] for one in stack.running_steps()}, SWEEP, "it runs on")
    fault.row.recovered_seconds = time.monotonic() - cleared
    fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "killed")])
    assert created(stack, run_id) == 2
    assert task(stack, run_id)["try_number"] == 2


@pytest.mark.deferred
def test_a_deferred_task_cleared_while_the_registrar_rests_is_run_afresh_once_it_answers(
    stack: Stack, fault: Fault
) -> None:
    """Its round and the next try find the old container at the same time."""
    with deferred_training(stack) as (run_id, before):
        docker("pause", stack.service("registrar"))
        try:
            clear(stack, run_id)
            wait_until(lambda: task(stack, run_id).get("state") == "running", 60, "no next try")
        finally:
            docker("unpause", stack.service("registrar"))
        wait_until(lambda: before["Id"] not in {one["Id"] for one in stack.running_steps()}, SWEEP, "it runs on")
    fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "killed")])
    assert created(stack, run_id) == 2


@pytest.mark.deferred
def test_a_run_deleted_while_its_step_is_deferred_leaves_no_container_running(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, _):
        run = f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}"
        stack.airflow.request("PATCH", run, {"state": "failed"})
        deleted = time.monotonic()
        stack.airflow.request("DELETE", run)
        fault.row.recovered_seconds = wait_until_stopped(stack, run_id, SWEEP) - deleted
    wait_until(lambda: stack.trainings(run_id), 10, "no record")
    fault.check(run_id, models=0, failures=[(1, "killed")])


@pytest.mark.deferred
def test_a_deferred_task_marked_a_success_is_stopped_and_publishes_nothing(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, _):
        path = f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}/taskInstances/train_model"
        stack.airflow.request("PATCH", path, {"new_state": "success"})
        wait_until_stopped(stack, run_id, SWEEP)
    wait_until(lambda: left_over(stack, run_id) == [], 30, "its container is in the way")
    fault.check(run_id, models=0, failures=[])


# Limits.


def test_a_deferred_step_over_its_time_limit_is_stopped_and_not_run_again(stack: Stack, fault: Fault) -> None:
    with limited(stack, BULKHEAD_STEP_SECONDS_TRAIN_MODEL=str(LIMIT)), deferred_training(stack) as (run_id, _):
        wait_until_stopped(stack, run_id, LIMIT + 30)
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "timed_out")])
    record = record_of(stack, run_id, 1)
    assert LIMIT <= record["evidence"]["duration_seconds"] < LIMIT + 15
    assert f"not done after {LIMIT} s" in record["detail"]


@pytest.mark.deferred
def test_a_deferred_step_that_takes_too_much_disk_is_stopped_and_not_run_again(stack: Stack, fault: Fault) -> None:
    with limited(stack, BULKHEAD_STEP_DISK="30m"), replaced(stack, FILLS):
        run_id = stack.airflow.trigger(TRAIN)
        wait_until_deferred(stack, run_id)
        go(stack, run_id)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "disk_full")])


@pytest.mark.deferred
def test_airflows_own_time_limit_counts_while_a_step_is_deferred(stack: Stack, fault: Fault) -> None:
    stack.airflow.wait_for_dag(PATIENT)
    with replaced(stack, COUNTS, lines=0, pause=0, held=True):
        run_id = stack.airflow.trigger(PATIENT)
        wait_until_deferred(stack, run_id, dag_id=PATIENT)
        fault.end(PATIENT, run_id, state="failed", models=0, failures=[(1, "timed_out")])
    record = record_of(stack, run_id, 1)
    assert "execution_timeout" in record["detail"]
    assert LIMIT - 15 <= record["evidence"]["duration_seconds"] < LIMIT + 20  # less what came before its container


# What waits, or is asked, dies.


@pytest.mark.parametrize(
    "act",
    [
        "SIGKILL",
        pytest.param("SIGTERM", marks=pytest.mark.deferred),
        pytest.param("stopped until its end", marks=pytest.mark.deferred),
    ],
)
def test_a_triggerer_that_dies_loses_no_step(stack: Stack, fault: Fault, act: str) -> None:
    with deferred_training(stack) as (run_id, _):
        if act == "SIGKILL":
            kill_service(stack, "triggerer")
        elif act == "SIGTERM":
            stack.compose("restart", "triggerer")
        else:
            stack.compose("stop", "triggerer")
        since = time.monotonic()
    if act == "stopped until its end":
        wait_for_proof(stack, run_id)
        wait_until(lambda: stack.trainings(run_id), 30, "the registrar does not record what nobody waits for")
        assert task(stack, run_id)["state"] == "deferred"
        stack.compose("start", "triggerer")
        since = time.monotonic()
    ends_once(fault, run_id, since)
    assert any(SHOWN_AGAIN in line for _, line in told(stack, run_id))


@pytest.mark.deferred
@pytest.mark.parametrize("service", ["launcher", "registrar", "api-server", "postgres"])
def test_a_service_restarted_while_a_step_is_deferred_does_it_no_harm(stack: Stack, fault: Fault, service: str) -> None:
    with deferred_training(stack) as (run_id, _):
        stack.compose("restart", service)
        since = time.monotonic()
    ends_once(fault, run_id, since)


@pytest.mark.deferred
@pytest.mark.parametrize("service", ["launcher", "registrar"])
def test_what_ends_deferred_while_a_service_is_away_is_recorded_when_it_is_back(
    stack: Stack, fault: Fault, service: str
) -> None:
    with deferred_training(stack) as (run_id, _):
        stack.compose("stop", service)
    wait_for_proof(stack, run_id)
    time.sleep(8)
    assert stack.trainings(run_id) == []
    stack.compose("start", service)
    ends_once(fault, run_id, time.monotonic())


def test_a_scheduler_killed_while_a_step_is_deferred_takes_no_try_of_it(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, before):
        since = kill_scheduler(stack)
        assert [step["Id"] for step in steps_of(stack, run_id)] == [before["Id"]]
    ends_once(fault, run_id, since)


@pytest.mark.deferred
def test_a_scheduler_killed_when_a_task_has_come_back_gives_it_to_the_next_try(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, _):
        stack.compose("stop", "registrar")
    wait_until(lambda: task(stack, run_id).get("state") == "running", 60, "the task does not come back")
    since = kill_scheduler(stack)
    stack.compose("start", "registrar")
    ends_once(fault, run_id, since, tries=2)


@pytest.mark.deferred
def test_the_whole_stack_goes_down_and_up_while_a_step_is_deferred(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, before):
        stack.compose("down")
        stack.compose("up", "--detach", "--wait", "--no-build")
        since = time.monotonic()
        assert [step["Id"] for step in steps_of(stack, run_id)] == [before["Id"]]
    ends_once(fault, run_id, since)


# Slots, and the moment of letting go.


def test_a_deferred_step_keeps_its_slot(stack: Stack, fault: Fault) -> None:
    with deferred_training(stack) as (run_id, _):
        pool = stack.airflow.request("GET", "/api/v2/pools/steps")
        assert (pool["include_deferred"], pool["deferred_slots"], pool["open_slots"]) == (True, 1, pool["slots"] - 1)
        since = time.monotonic()
    ends_once(fault, run_id, since)


@pytest.mark.deferred
@pytest.mark.parametrize("pause", [6.0, 8.0, 9.0])
def test_a_step_that_ends_as_it_is_deferred_is_judged(stack: Stack, fault: Fault, pause: float) -> None:
    with begun_training(stack) as (run_id, _):
        time.sleep(pause)
    ends_once(fault, run_id, time.monotonic())
