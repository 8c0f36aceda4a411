"""Airflow is told to stop, loses its parts, or is asked twice: each attempt has one outcome all the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from airflow_client import AirflowError
from tests.faults.acts import (
    clear,
    created,
    held_training,
    is_alive,
    mark_failed,
    steps_of,
    task,
    terminate_task,
    wait_until_followed,
    wait_until_stopped,
)
from tests.faults.support import INFER, TRAIN, Fault, wait_until
from tests.system.support import ROOT

from bulkhead.registry import journal, record_lines
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]

OUTAGE = int(os.environ.get("BULKHEAD_OUTAGE_SECONDS") or 75)
"""Seconds without the API server; CONTRIBUTING says how to make it five minutes."""
STOPPED = 12
"""Seconds until a task's process notices that it must stop (5 s between heartbeats), and its container is gone."""


def test_a_task_marked_failed_while_it_runs_stops_its_container_and_publishes_nothing(
    stack: Stack, fault: Fault
) -> None:
    with held_training(stack) as (run_id, _):
        marked = time.monotonic()
        mark_failed(stack, run_id)
        fault.row.recovered_seconds = wait_until_stopped(stack, run_id, STOPPED) - marked
    wait_until(lambda: stack.trainings(run_id), 10, "no record")
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "killed")])


def test_a_task_marked_failed_while_the_registrar_is_away_is_stopped_and_recorded_when_it_is_back(
    stack: Stack, fault: Fault
) -> None:
    with held_training(stack) as (run_id, _):
        process = task(stack, run_id)["pid"]
        stack.compose("stop", "registrar")
        mark_failed(stack, run_id)
        wait_until(lambda: not is_alive(stack, process), 20, "Airflow has not killed the task's process")
        assert stack.running_steps()  # nobody could say that a person wanted that
        stack.compose("start", "registrar")
        back = time.monotonic()
        fault.row.recovered_seconds = wait_until_stopped(stack, run_id, 30) - back
    wait_until(lambda: stack.trainings(run_id), 10, "no record")
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "killed")])
    clear(stack, run_id)
    fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "killed")])


def test_a_task_cleared_while_it_runs_is_stopped_and_run_afresh(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, _):
        cleared = time.monotonic()
        clear(stack, run_id)
        wait_until_stopped(stack, run_id, STOPPED)
    stack.wait_for_step("train_model")
    fault.row.recovered_seconds = time.monotonic() - cleared
    fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "killed")])
    assert created(stack, run_id) == 2


def test_a_sigterm_that_no_person_meant_stops_no_step_and_the_next_try_goes_on_with_it(
    stack: Stack, fault: Fault
) -> None:
    with held_training(stack) as (run_id, step):
        asked = time.monotonic()
        terminate_task(stack, run_id)
        fault.row.recovered_seconds = wait_until_followed(stack, run_id, 2) - asked
        assert [step["Id"]] == [running["Id"] for running in steps_of(stack, run_id)]
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(stack, run_id) == 1
    assert task(stack, run_id)["try_number"] == 1  # nothing has failed, so no retry is used up


def test_a_run_deleted_while_its_step_runs_leaves_no_container_running(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, _):
        run = f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}"
        with pytest.raises(AirflowError, match="cannot be deleted in running state"):
            stack.airflow.request("DELETE", run)
        # Its last state has to be a final one, and its task's process goes on until its next heartbeat.
        stack.airflow.request("PATCH", run, {"state": "failed"})
        deleted = time.monotonic()
        stack.airflow.request("DELETE", run)
        fault.row.recovered_seconds = wait_until_stopped(stack, run_id, STOPPED) - deleted
    wait_until(lambda: stack.trainings(run_id), 10, "no record")
    fault.check(run_id, models=0, failures=[(1, "killed")])


def test_the_whole_stack_goes_down_and_up_and_follows_the_step_that_ran_on(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, before):
        stack.compose("down")
        back = time.monotonic()
        stack.compose("up", "--detach", "--wait", "--no-build")
        fault.row.recovered_seconds = wait_until_followed(stack, run_id, 2) - back
        assert [step["Id"] for step in steps_of(stack, run_id)] == [before["Id"]]
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])


def test_an_outage_of_the_api_server_harms_neither_a_step_that_ends_meanwhile_nor_one_that_goes_on(
    stack: Stack, fault: Fault
) -> None:
    with held_training(stack) as (ends, _):
        goes_on = stack.airflow.trigger(INFER)
        with stack.held("model_inference"):
            stack.compose("stop", "api-server")
            stopped = time.monotonic()
            (step,) = steps_of(stack, ends)
            subprocess.run(["docker", "unpause", step["Id"]], check=True, capture_output=True)
            wait_until(lambda: stack.trainings(ends), 60, "not published")
            time.sleep(max(0.0, OUTAGE - (time.monotonic() - stopped)))
            stack.compose("start", "api-server")
            back = time.monotonic()
            wait_until(lambda: task(stack, ends).get("state") == "success", 90, "the step that ended is not seen")
            fault.row.recovered_seconds = time.monotonic() - back
            fault.row.note = f"{OUTAGE} s"
    *_, _ = stack.airflow.states(INFER, goes_on)
    fault.end(TRAIN, ends, state="success", models=1, failures=[])
    fault.begin()
    fault.end(INFER, goes_on, state="success", models=0, failures=[])
    assert created(stack, ends) == created(stack, goes_on, "model_inference") == 1


def test_a_restart_of_postgres_while_a_step_runs_does_it_no_harm(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, _):
        stack.compose("restart", "postgres")
        back = time.monotonic()
    wait_until(lambda: task(stack, run_id).get("state") == "success", 60, "no success")
    fault.row.recovered_seconds = time.monotonic() - back
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(stack, run_id) == 1


def test_two_runs_of_one_dag_at_once_publish_a_model_each_of_their_own_data(stack: Stack, fault: Fault) -> None:
    shutil.copy(ROOT / "shared/inputs/diabetes.csv", stack.inputs)
    sources = {"sample": 20, "diabetes.csv": 442}
    runs = {stack.airflow.trigger(TRAIN, {"source": source}): rows for source, rows in sources.items()}
    for run_id in runs:
        *_, _ = stack.airflow.states(TRAIN, run_id)
    for run_id, rows in runs.items():
        fault.before = stack.model_files() - {record["model_filename"] for record in stack.trainings(run_id)}
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
        (record,) = stack.trainings(run_id)
        assert record["data"]["rows"] == rows


def test_after_a_clock_set_back_the_model_published_last_serves(stack: Stack, fault: Fault) -> None:
    newest = stack.trainings()[-1]
    future = newest | {"training_timestamp": "2099-01-01T00:00:00.000000+00:00", "run_id": "of a clock that ran ahead"}
    future["first_try"] = None  # it is of no task of Airflow's
    future["version"] = None  # as records of earlier commits, which count by their place: two of one number are damage
    future["model_filename"] = f"model_20990101T000000000000Z_{newest['model_hash']}.joblib"
    shutil.copy2(stack.models / newest["model_filename"], stack.models / future["model_filename"])
    record = record_lines.decode(json.dumps(future).encode())
    assert isinstance(record, ModelRecord)
    journal.append(stack.models / "log.txt", record)  # by hand: the registrar takes it over
    fault.begin()
    run_id = stack.airflow.trigger(TRAIN)
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    (trained,) = stack.trainings(run_id)
    fault.begin()
    run_id = stack.airflow.trigger(INFER)
    fault.end(INFER, run_id, state="success", models=0, failures=[])
    (predicted,) = stack.inferences(run_id)
    assert predicted["model_used"] == trained["model_filename"]


def test_a_clear_of_a_finished_task_runs_it_afresh(stack: Stack, fault: Fault) -> None:
    run_id, _ = stack.run(TRAIN)
    clear(stack, run_id)
    fault.end(TRAIN, run_id, state="success", models=2, failures=[])
    assert [record["try_number"] for record in stack.trainings(run_id)] == [1, 2]


def test_a_failed_container_stays_to_be_inspected_and_is_not_in_the_retrys_way(stack: Stack, fault: Fault) -> None:
    with held_training(stack) as (run_id, step):
        killed = time.monotonic()
        subprocess.run(["docker", "kill", step["Id"]], check=True, capture_output=True)
    wait_until(lambda: task(stack, run_id).get("try_number") == 2, 30, "no retry")
    stack.wait_for_step("train_model")
    fault.row.recovered_seconds = time.monotonic() - killed
    fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "killed")])
    (kept,) = steps_of(stack, run_id)
    assert (kept["Id"], kept["State"]["ExitCode"]) == (step["Id"], 137)
    assert kept["Name"].endswith(f".failed-{step['Id'][:12]}")
