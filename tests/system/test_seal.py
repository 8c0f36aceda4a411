"""A running step, as ``docker inspect`` sees it, and what becomes of one that is broken on purpose."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkhead.paths import run_path
from engine import seal
from engine.settings import Settings
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = [pytest.mark.system, pytest.mark.fault]


def test_a_running_step_is_sealed(stack: Stack) -> None:
    stack.airflow.wait_for_dag("dev_train_model_dag")
    run_id = stack.airflow.trigger("dev_train_model_dag")
    with stack.held("train_model") as container:
        pass
    list(stack.airflow.states("dev_train_model_dag", run_id))
    host = container["HostConfig"]
    wanted = sealed_config(stack, StepSpec(image="trainer", command=["train_model"], journal="training"))
    assert {name: host[name] for name in wanted} == wanted
    assert host["Memory"] == 400 * 1024 * 1024
    assert host["CapAdd"] is None
    assert host["Privileged"] is False
    user, group = container["Config"]["User"].split(":")
    assert int(user) > 0
    assert group == "0"
    assert container["Image"].startswith("sha256:")
    assert "docker.sock" not in str(container["Mounts"])
    assert mounts_of(stack, container) == {
        "/shared": ("rw", run_path("dev_train_model_dag", run_id)),
        "/inputs": ("ro", "shared/inputs"),
        "/models": ("ro", "models"),
    }


def test_a_step_can_write_its_run_folder_and_nothing_of_the_registry(stack: Stack) -> None:
    stack.run("dev_train_model_dag")
    stack.run("dev_inference_pipe_dag")
    run_id = stack.airflow.trigger("dev_inference_pipe_dag")
    with stack.held("model_inference") as container:
        mounts = mounts_of(stack, container)
    list(stack.airflow.states("dev_inference_pipe_dag", run_id))
    # The same container again, with a shell in it: what is mounted how is the engine's word, this is the kernel's.
    options = [
        word
        for target, (mode, source) in mounts.items()
        for word in ("--volume", f"{stack.folder / source}:{target}:{mode}")
    ]
    start = ["docker", "run", "--rm", "--read-only", "--user", container["Config"]["User"], *options]
    places = (
        "/shared/new",
        "/models/log_inference.txt",
        "/models/log.txt",
        "/models/new",
        "/models/.lock",
        "/inputs/new",
    )
    script = "; ".join(f"( : >> {place} ) 2>/dev/null && echo {place}" for place in places) + "; true"
    written = subprocess.run(
        [*start, "--entrypoint", "sh", container["Image"], "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert written == ["/shared/new"]
    assert mounts["/models"] == ("ro", "models")
    assert {target for target, (mode, _) in mounts.items() if mode == "rw"} == {"/shared"}


def test_a_step_killed_from_outside_fails_with_its_cause_and_one_record(stack: Stack) -> None:
    stack.run("dev_train_model_dag")
    models = stack.model_files()
    run_id = stack.airflow.trigger("dev_train_model_dag")
    with stack.held("train_model") as container:
        subprocess.run(["docker", "kill", container["Id"]], check=True, capture_output=True)
    *_, (state, _) = stack.airflow.states("dev_train_model_dag", run_id)
    assert state == "failed"
    (record,) = stack.trainings(run_id)
    assert (record["cause"], record["step"]) == ("killed", "train_model")
    assert "137" in record["detail"]
    assert stack.model_files() == models
    assert stack.running_steps() == []


def test_a_step_out_of_memory_fails_with_the_limit_and_one_record(stack: Stack) -> None:
    # Of thousands of columns each has its buffers: rows alone fill no memory any more.
    wide = {f"c{number}": np.random.default_rng(number).normal(size=5000) for number in range(2000)}
    pq.write_table(pa.table({**wide, "target": np.arange(5000.0)}), stack.inputs / "large.parquet")
    run_id, state = stack.run("dev_train_model_dag", {"source": "large.parquet"})
    (stack.inputs / "large.parquet").unlink()
    assert state == "failed"
    (record,) = stack.trainings(run_id)
    assert (record["cause"], record["step"]) == ("out_of_memory", "preprocessing")
    assert "400m" in record["detail"]


def test_a_missing_image_fails_with_the_command_that_builds_it(stack: Stack) -> None:
    stack.untag("inference")
    try:
        run_id, state = stack.run("dev_inference_pipe_dag")
    finally:
        stack.tag("inference")
    assert state == "failed"
    (record,) = stack.inferences(run_id)
    assert record["cause"] == "image_missing"
    assert "just build-images" in record["error_message"]


def sealed_config(stack: Stack, spec: StepSpec) -> dict[str, Any]:
    """The ``HostConfig`` that the seal's description asks for, but for the mounts."""
    settings = Settings.from_environment(spec.task_id, environment=stack.environment)
    made: dict[str, Any] = seal.of_step(spec, settings, "", {}).body("sha256:0", spec.command)["HostConfig"]
    return {name: value for name, value in made.items() if name != "Mounts"}


def mounts_of(stack: Stack, container: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Target → (mode, source relative to the stack's folder)."""
    return {
        mount["Destination"]: ("rw" if mount["RW"] else "ro", str(Path(mount["Source"]).relative_to(stack.folder)))
        for mount in container["Mounts"]
    }
