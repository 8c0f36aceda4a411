"""Limits of a step and of what it writes to: memory, time, processes, disks."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import held_training, journal_of
from tests.faults.shell import hidden_files, limited, record_of
from tests.faults.support import AT_ONCE, TRAIN, Fault, Row, status, wait_until
from tests.support.uploads import Sender
from tests.system.support import Stack

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.system, pytest.mark.fault]

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
TRAIN_SECONDS = 15
TOO_LITTLE = "64m"
"""Not even what a step imports fits into that."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose models/, inputs and run folders are disks of a megabyte; mounted before its containers look."""
    if AS_ROOT and subprocess.run([*AS_ROOT, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root, or sudo without a password")
    made = Stack(tmp_path_factory.mktemp("stack"), **AT_ONCE)
    disks = (made.models, made.runs, made.inputs)
    options = f"size=1m,mode=0775,uid={os.geteuid()},gid={os.getegid()}"
    try:
        for folder in disks:
            subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        for folder in (made.inputs / ".uploads", made.inputs / ".uploads/arriving"):
            folder.mkdir()
            folder.chmod(0o775)
        with status(made):
            yield made
    finally:
        for folder in disks:
            subprocess.run([*AS_ROOT, "umount", str(folder)], check=False, capture_output=True)


def test_a_full_disk_under_the_registry_loses_no_work_and_leaves_no_half_file(stack: Stack, fault: Fault) -> None:
    with filled(stack.models):
        run_id = stack.airflow.trigger(TRAIN)
        said = "the registry cannot be written"
        wait_until(lambda: said in journal_of(stack, run_id, 1), 90, "the task does not say what it waits for")
        assert [name for name in hidden_files(stack.models) if name != ".lock"] == []
        assert stack.trainings(run_id) == []
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])


def test_a_full_disk_under_the_run_folders_fails_once_and_leaves_no_half_file(stack: Stack, fault: Fault) -> None:
    with filled(stack.runs):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "disk_full")])
        record = record_of(stack, run_id, 1)
        assert record["step"] == "preprocessing"
        assert "No space left on device" in record["detail"]
        assert hidden_files(stack.folder / run_path(TRAIN, run_id)) == []
    the_next_run_publishes(stack)


def test_a_full_disk_under_the_inputs_takes_no_table_and_leaves_none(stack: Stack) -> None:
    sender = Sender(stack)
    whole, pieces = b"a,b\n" + b"1,2\n" * 500_000, iter([b"a,b\n", *[b"1,2\n" * 10_000] * 50])
    for name, content in (("whole.csv", whole), ("pieces.csv", pieces)):
        status, said = sender.send(name, content)
        assert status == 507, said
        assert "Free some space" in said["detail"]
        assert sender.files() == []
    assert sender.send("small.csv", b"a,b\n1,2\n")[0] == 201
    (stack.inputs / "small.csv").unlink()


def test_a_step_over_its_time_limit_is_stopped_and_not_run_again(stack: Stack, fault: Fault) -> None:
    seconds = {"BULKHEAD_STEP_SECONDS_TRAIN_MODEL": str(TRAIN_SECONDS)}
    with limited(stack, **seconds), held_training(stack) as (run_id, container):
        wait_until(lambda: not stack.running_steps(), TRAIN_SECONDS + 15, "the step was not stopped")
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "timed_out")])
    record = record_of(stack, run_id, 1)
    assert TRAIN_SECONDS <= record["evidence"]["duration_seconds"] < TRAIN_SECONDS + 10
    assert f"not done after {TRAIN_SECONDS} s" in record["detail"]
    # Kept as evidence, out of the way of the next try.
    assert container["Id"] in {left["Id"] for left in stack.step_containers()}


@pytest.mark.parametrize("pids", [1, 2, 3])
def test_a_step_that_can_start_no_thread_fails_once_and_says_so(stack: Stack, fault: Fault, pids: int) -> None:
    with limited(stack, BULKHEAD_STEP_PIDS=str(pids)):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "crashed")])
    assert "BULKHEAD_STEP_PIDS" in record_of(stack, run_id, 1)["detail"]


def test_preprocessing_out_of_memory_fails_once_with_its_limit(stack: Stack, fault: Fault) -> None:
    with limited(stack, BULKHEAD_STEP_MEMORY_PREPROCESSING=TOO_LITTLE):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "out_of_memory")])
    record = record_of(stack, run_id, 1)
    assert record["step"] == "preprocessing"
    assert TOO_LITTLE in record["detail"]


def test_training_out_of_memory_fails_once_with_its_limit(stack: Stack, fault: Fault) -> None:
    with limited(stack, BULKHEAD_STEP_MEMORY_TRAIN_MODEL=TOO_LITTLE):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "out_of_memory")])
    record = record_of(stack, run_id, 1)
    assert record["step"] == "train_model"
    assert TOO_LITTLE in record["detail"]


def the_next_run_publishes(stack: Stack) -> None:
    healed = Fault(stack, Row("healed"))
    healed.begin()
    healed.end(TRAIN, stack.airflow.trigger(TRAIN), state="success", models=1, failures=[])


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No block is free on the disk under ``folder``."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        assert os.statvfs(folder).f_bfree == 0
        yield
    finally:
        filler.unlink()
