"""Faults of the step and of what it stands on: kills, images, mounts, locks, torn lines."""

from __future__ import annotations

import fcntl
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.acts import journal_of
from tests.faults.shell import (
    LARGE,
    another_image,
    docker,
    ends_well,
    hidden_files,
    large_table,
    record_of,
    replaced,
    training,
)
from tests.faults.support import TRAIN, Fault, wait_until

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = [pytest.mark.system, pytest.mark.fault]

FIRST_TRY_ENDS_AT_ONCE = """
FROM {base}
ENTRYPOINT ["sh", "-c", "test $BULKHEAD_TRY_NUMBER = 1 || exec trainer $0 $@"]
"""


# Kills.


def test_a_step_killed_by_sigkill_is_run_again_and_publishes_one_model(stack: Stack, fault: Fault) -> None:
    with training(fault, [(1, "killed")]) as (run_id, container):
        docker("kill", container["Id"])
    assert record_of(stack, run_id, 1)["evidence"]["exit_code"] == 137


def test_a_step_killed_by_sigterm_stops_and_leaves_nothing_half_written(stack: Stack, fault: Fault) -> None:
    with large_table(stack, 6_000_000):
        run_id = stack.airflow.trigger(TRAIN, {"source": LARGE})
        container = stack.wait_for_step("preprocessing")
        at_work(stack, run_id)
        docker("kill", "--signal", "TERM", container["Id"])
        ends_well(fault, run_id, [(1, "killed")], time.time())
    assert "SIGTERM: stopped before the end, nothing stored" in record_of(stack, run_id, 1)["detail"]
    assert hidden_files(stack.folder / run_path(TRAIN, run_id)) == []


def test_a_table_many_times_larger_than_the_limit_is_trained_on(stack: Stack, fault: Fault) -> None:
    with large_table(stack, 20_000_000):  # 480 MB as CSV and as numbers; a step has 400
        run_id = stack.airflow.trigger(TRAIN, {"source": LARGE})
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])


def test_docker_stop_of_a_step_about_to_publish_is_one_kill_and_one_model(fault: Fault) -> None:
    with training(fault, [(1, "killed")]) as (_, container):
        docker("stop", "--time", "1", container["Id"])


def test_a_container_removed_by_force_is_one_kill_and_one_model(fault: Fault) -> None:
    with training(fault, [(1, "killed")]) as (_, container):
        docker("rm", "--force", container["Id"])


# Images.


def test_a_missing_image_fails_once_and_says_what_builds_it(stack: Stack, fault: Fault) -> None:
    stack.untag("trainer")
    try:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "image_missing")])
    finally:
        stack.tag("trainer")
    assert "just build-images" in record_of(stack, run_id, 1)["detail"]


def test_an_image_replaced_while_its_step_runs_leaves_each_record_with_the_one_that_ran(
    stack: Stack, fault: Fault
) -> None:
    with (
        another_image(stack, "FROM {base}\nLABEL another=yes\n") as new,
        training(fault, [(1, "killed")]) as (run_id, container),
    ):
        docker("tag", new, f"bulkhead/trainer:{stack.project}")
        docker("kill", container["Id"])
    assert container["Image"] != new
    assert record_of(stack, run_id, 1)["image"].endswith(f"@{container['Image']}")
    assert model_of(stack, run_id)["image"].endswith(f"@{new}")


def test_a_step_that_ends_well_without_a_result_is_no_success(stack: Stack, fault: Fault) -> None:
    with replaced(stack, FIRST_TRY_ENDS_AT_ONCE):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "no_result"), (1, "no_result")])
    assert [record["step"] for record in stack.trainings(run_id) if "cause" in record] == [
        "preprocessing",
        "train_model",
    ]


# Folders.


def test_a_folder_that_cannot_be_mounted_fails_once_and_says_which(stack: Stack, fault: Fault) -> None:
    away = stack.inputs.rename(stack.inputs.with_name("away"))
    try:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "mount_missing")])
    finally:
        away.rename(stack.inputs)
    assert "shared/inputs" in record_of(stack, run_id, 1)["detail"]


def test_a_registry_that_cannot_be_written_loses_no_work(stack: Stack, fault: Fault) -> None:
    stack.models.chmod(0o555)
    try:
        run_id = stack.airflow.trigger(TRAIN)
        said = "the registry cannot be written"
        wait_until(lambda: said in journal_of(stack, run_id, 1), 90, "the task does not say what it waits for")
        assert stack.trainings(run_id) == []
        since = time.time()
    finally:
        stack.models.chmod(0o775)
    ends_well(fault, run_id, [], since)


def test_a_finished_step_waits_for_another_holder_of_the_lock_and_publishes_one_model(
    stack: Stack, fault: Fault
) -> None:
    with (stack.models / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_id = stack.airflow.trigger(TRAIN)
        folder = stack.folder / run_path(TRAIN, run_id)
        wait_until((folder / "train_model.json").exists, 90, "the step does not end")
        time.sleep(3)
        assert stack.trainings(run_id) == []
        since = time.time()
    ends_well(fault, run_id, [], since)


def test_a_torn_last_line_stays_alone_is_explained_by_repair_and_the_next_record_is_whole(
    stack: Stack, fault: Fault
) -> None:
    log = stack.models / "log.txt"
    before = log.read_bytes()
    torn = b'{"model_hash": "cut by a po'
    with log.open("ab") as file:
        file.write(torn)
    run_id, state = stack.run(TRAIN)
    assert state == "success"
    assert log.read_bytes().startswith(before + torn + b"\n{")
    docker("exec", stack.service("registrar"), "registry", "repair", "--yes", "--by", "a test")
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])


def at_work(stack: Stack, run_id: str) -> None:
    """Wait until the step has reserved its result: its signal handlers are set, its work begins."""
    folder = stack.folder / run_path(TRAIN, run_id)
    wait_until(lambda: hidden_files(folder), 60, "the step did not begin its work")


def model_of(stack: Stack, run_id: str) -> dict[str, Any]:
    (record,) = (r for r in stack.trainings(run_id) if "model_filename" in r)
    return record
