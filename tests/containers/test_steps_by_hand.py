"""Each step by plain ``docker run``: what works, and what a wrong mount or user is told."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG, records

if TYPE_CHECKING:
    from tests.containers.support import Docker, Folders

pytestmark = pytest.mark.container

CHAIN = (
    ("trainer", "preprocessing"),
    ("trainer", "train_model"),
    ("inference", "generate_inf_data"),
    ("inference", "preprocess_inf_data"),
    ("inference", "model_inference"),
)
SEAL = (
    *("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--pids-limit", "256", "--init"),
)


@pytest.fixture
def trained(docker: Docker, folders: Folders) -> Folders:
    for image, step in CHAIN[:2]:
        assert docker.run(image, step, options=folders.mounts()).returncode == 0
    return folders


@pytest.mark.parametrize("seal", [(), SEAL], ids=["plain", "sealed"])
def test_the_five_steps_train_and_predict_in_empty_folders(
    docker: Docker, folders: Folders, seal: tuple[str, ...]
) -> None:
    for image, step in CHAIN:
        ended = docker.run(image, step, options=(*folders.mounts(inputs=""), *seal))
        assert (ended.returncode, ended.stderr) == (0, ""), step
        assert (folders.shared / f"{step}.json").exists()
    (model,) = records(folders.models / "log.txt")
    (inference,) = records(folders.models / "log_inference.txt")
    assert (folders.models / model["model_filename"]).exists()
    assert inference["model_used"] == model["model_filename"]
    assert inference["predictions"] == pytest.approx(list(range(40, 60)))


def test_the_model_in_the_registry_is_the_one_that_the_record_describes(docker: Docker, trained: Folders) -> None:
    (record,) = records(trained.models / "log.txt")
    assert record["model_hash"] in record["model_filename"]
    # By the Python that wrote it: the project's code in the file is of one version.
    script = f"import joblib; print(*joblib.load('/models/{record['model_filename']}')[-1].feature_names_in_)"
    loaded = docker.run("trainer", "-c", script, options=(*trained.mounts(), "--entrypoint", "python"))
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == record["features"] == ["feature1", "feature2"]


@pytest.mark.parametrize(("image", "step"), CHAIN)
def test_a_read_only_registry_is_refused_with_a_sentence(
    docker: Docker, folders: Folders, image: str, step: str
) -> None:
    ended = docker.run(image, step, options=folders.mounts(models="ro"))
    assert ended.returncode == 1
    assert "models/log" in ended.stderr
    assert "mounted read-only" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("image", "step"), CHAIN)
def test_a_missing_registry_is_refused_with_the_option_to_add(
    docker: Docker, folders: Folders, image: str, step: str
) -> None:
    ended = docker.run(image, step, options=folders.mounts(models=""))
    assert ended.returncode == 1
    assert '-v "$PWD/models:/models"' in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("image", "step"), CHAIN)
def test_a_missing_run_folder_is_refused_and_recorded(docker: Docker, folders: Folders, image: str, step: str) -> None:
    ended = docker.run(image, step, options=folders.mounts(shared=""))
    assert ended.returncode == 1
    assert '-v "$PWD/shared/runs/debug:/shared"' in ended.stderr
    assert "Traceback" not in ended.stderr
    (record,) = records(folders.models / ("log.txt" if image == "trainer" else "log_inference.txt"))
    assert (record["step"], record["cause"]) == (step, "refused")


@pytest.mark.parametrize(("image", "step"), CHAIN)
def test_a_user_who_may_not_write_is_told_how_to_run_as_another(
    docker: Docker, folders: Folders, image: str, step: str
) -> None:
    ended = docker.run(image, step, options=(*folders.mounts(), "--user", "4242:4242"))
    assert ended.returncode == 1
    assert "--user" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("image", "step", "before"),
    [
        ("trainer", "train_model", "preprocessing"),
        ("inference", "preprocess_inf_data", "generate_inf_data"),
        ("inference", "model_inference", "preprocess_inf_data"),
    ],
)
def test_a_step_without_the_one_before_names_it(
    docker: Docker, folders: Folders, image: str, step: str, before: str
) -> None:
    ended = docker.run(image, step, options=folders.mounts())
    assert ended.returncode == 1
    assert f"Run {before} first" in ended.stderr
    assert not list(folders.models.glob("*.joblib"))


def test_a_stopped_step_says_so_and_stores_nothing(docker: Docker, folders: Folders) -> None:
    # Reading a FIFO in the place of an input would be refused; a table that takes seconds is what is left.
    rows = "".join(f"{i},{i % 97},{i % 89}\n" for i in range(3_000_000))
    (folders.inputs / "large.csv").write_text("a,b,target\n" + rows)
    name = docker.label.replace("=", "-")
    arguments = ["docker", "run", "--rm", "--name", name, "--label", docker.label, "--init", *folders.mounts()]
    command = [*arguments, f"bulkhead/trainer:{TAG}", "preprocessing", "--source", "large.csv"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as step:
        deadline = time.monotonic() + 60
        while not list(folders.shared.glob(".preprocessing.json.*")):  # it has taken room for its result: it works
            assert time.monotonic() < deadline
            assert step.poll() is None
            time.sleep(0.02)
        subprocess.run(["docker", "kill", "--signal", "TERM", name], check=True, capture_output=True)
        _, errors = step.communicate(timeout=60)
    assert step.returncode == 128 + signal.SIGTERM
    assert "SIGTERM" in errors
    assert "Traceback" not in errors
    assert list(folders.shared.iterdir()) == []
    (record,) = records(folders.models / "log.txt")
    assert record["cause"] == "killed"


def test_a_wrong_command_line_exits_with_two_and_shows_the_usage(docker: Docker) -> None:
    ended = docker.run("trainer", "train_model", "--test-fraction", "a lot")
    assert ended.returncode == 2
    assert "Usage: trainer train_model" in ended.stderr
