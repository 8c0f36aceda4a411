"""What ``just reap`` takes away, and what it must never touch."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG
from tests.system.support import ROOT

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = pytest.mark.system


def reap(stack: Stack, hours: str = "24", **settings: str) -> str:
    command = [sys.executable, str(ROOT / "scripts/reap.py")]
    others = {f"BULKHEAD_{name.upper()}": value for name, value in settings.items()}
    environment = stack.environment | {"BULKHEAD_KEEP_FAILED_HOURS": hours} | others
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def exists(container: str) -> bool:
    return subprocess.run(["docker", "inspect", container], check=False, capture_output=True).returncode == 0


def container_of(stack: Stack, run_id: str, *command: str, earlier: bool = False) -> str:
    """A container with the labels of a task, as a crashed Airflow leaves one behind."""
    labels = {"project": stack.project, "dag": "dev_train_model_dag", "run": run_id, "task": "train_model"}
    labels |= {"try": "1", "map-index": "-1"} | ({} if earlier else {"try-id": "0199c0de-0000-7000-8000-000000000001"})
    words = [word for key, value in labels.items() for word in ("--label", f"io.bulkhead.{key}={value}")]
    start = ["docker", "run", "--detach", "--init", *words, "--entrypoint", command[0], f"bulkhead/trainer:{TAG}"]
    return subprocess.run([*start, *command[1:]], check=True, capture_output=True, text=True).stdout.strip()


def test_a_failed_container_is_kept_for_its_time_and_then_removed(stack: Stack) -> None:
    run_id, _ = stack.run("dev_train_model_dag", {"source": "nowhere.csv"})
    (failed,) = [c for c in stack.step_containers() if c["Config"]["Labels"]["io.bulkhead.run"] == run_id]
    reap(stack)
    assert exists(failed["Id"])
    said = reap(stack, hours="0")
    assert failed["Name"].lstrip("/")[:60] in said
    assert not exists(failed["Id"])


def test_a_running_step_is_left_alone_and_so_is_one_that_ended_well(stack: Stack) -> None:
    stack.compose("pause", "registrar")  # it would stop the one and look after the other
    running, done = container_of(stack, "deleted", "sleep", "600"), container_of(stack, "deleted", "true")
    try:
        subprocess.run(["docker", "wait", done], check=True, capture_output=True)
        reap(stack, hours="0")
        assert exists(running)
        assert exists(done)
    finally:
        subprocess.run(["docker", "rm", "--force", running, done], check=True, capture_output=True)
        stack.compose("unpause", "registrar")


def test_what_an_earlier_version_has_left_goes_after_its_time_though_it_ended_well(stack: Stack) -> None:
    """The registrar does not know it: it has no id of its try."""
    left = container_of(stack, "deleted", "true", earlier=True)
    subprocess.run(["docker", "wait", left], check=True, capture_output=True)
    reap(stack)
    assert exists(left)
    reap(stack, hours="0")
    assert not exists(left)


def test_an_unrecorded_failure_is_left_to_its_task_and_without_one_removed_after_its_time(stack: Stack) -> None:
    stack.compose("pause", "registrar")
    try:
        of_nobody = container_of(stack, "deleted", "false")
        subprocess.run(["docker", "wait", of_nobody], check=True, capture_output=True)
        reap(stack)
        assert exists(of_nobody)
        assert "stay" in reap(stack, hours="0", port="1")
        assert exists(of_nobody)
        reap(stack, hours="0")
        assert not exists(of_nobody)
    finally:
        stack.compose("unpause", "registrar")


def test_a_step_run_by_hand_is_left_alone(stack: Stack) -> None:
    label = f"io.bulkhead.project={stack.project}"
    start = [
        "docker",
        "run",
        "--detach",
        "--init",
        "--label",
        label,
        "--entrypoint",
        "sleep",
        f"bulkhead/trainer:{TAG}",
    ]
    by_hand = subprocess.run([*start, "600"], check=True, capture_output=True, text=True).stdout.strip()
    reap(stack, hours="0")
    assert exists(by_hand)
    subprocess.run(["docker", "rm", "--force", by_hand], check=True, capture_output=True)
