"""What the images hold, and what they must not."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.containers.support import TAG

if TYPE_CHECKING:
    from tests.containers.support import Docker, Folders

pytestmark = pytest.mark.container

IMAGES = ("airflow", "trainer", "inference")
STEP_IMAGES = {
    "trainer": ["preprocessing", "train_model", "example_data"],
    "inference": ["generate_inf_data", "preprocess_inf_data", "model_inference"],
}
LIBRARIES = ("scikit-learn", "pandas", "numpy", "scipy", "joblib", "pyarrow")
MEGABYTES = {"airflow": 280, "trainer": 520, "inference": 520}


def inspect(name: str) -> dict[str, Any]:
    output = subprocess.run(["docker", "image", "inspect", name], check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output)[0])


def python(docker: Docker, image: str, code: str) -> str:
    ended = docker.run(image, "-c", code, options=("--entrypoint", "python"))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("library", ["sklearn", "pandas", "numpy", "joblib", "scipy", "pyarrow"])
def test_the_orchestrator_has_no_ml_library(docker: Docker, library: str) -> None:
    assert docker.run("airflow", "-c", f"import {library}", options=("--entrypoint", "python")).returncode == 1


def test_both_step_images_and_the_record_name_the_same_versions(docker: Docker, folders: Folders) -> None:
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {LIBRARIES}}}))"
    trainer, inference = (json.loads(python(docker, image, code)) for image in STEP_IMAGES)
    assert trainer == inference
    for step in ("preprocessing", "train_model"):
        assert docker.run("trainer", step, options=folders.mounts()).returncode == 0
    recorded = json.loads((folders.models / "log.txt").read_text())["libraries"]
    python_version = recorded.pop("python")
    assert recorded == {name: trainer[name] for name in recorded}
    assert set(recorded) == {"scikit-learn", "pandas", "numpy", "joblib"}
    assert python(docker, "trainer", "import platform; print(platform.python_version())").strip() == python_version


def test_both_step_images_transform_alike(docker: Docker) -> None:
    code = "import transformation; print(transformation.fingerprint())"
    assert python(docker, "trainer", code) == python(docker, "inference", code)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root_and_starts_its_program_itself(image: str) -> None:
    config = inspect(f"bulkhead/{image}:{TAG}")["Config"]
    user, group = config["User"].split(":")
    assert user.isdigit()
    assert int(user) > 0
    assert group == "0"
    assert config["Entrypoint"] == [image]
    assert config["Labels"]["org.opencontainers.image.title"] == f"bulkhead/{image}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_weighs_no_more_than_its_limit_above_the_base(image: str) -> None:
    weight = inspect(f"bulkhead/{image}:{TAG}")["Size"] - inspect("python:3.13-slim-trixie")["Size"]
    assert weight < MEGABYTES[image] * 1_000_000


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_of_the_network_that_built_an_image_is_left_in_it(docker: Docker, image: str) -> None:
    name = f"bulkhead/{image}:{TAG}"
    history = subprocess.run(
        ["docker", "history", "--no-trunc", name], check=True, capture_output=True, text=True
    ).stdout
    config = inspect(name)["Config"]
    for place in (history, json.dumps(config["Env"])):
        for word in ("INDEX_URL=", "SSL_CERT_FILE=", "PROXY=", "ca-certificates.crt"):
            assert word not in place
    assert "secret" not in python(docker, image, "import os; print(os.listdir('/run'))")


@pytest.mark.parametrize("image", STEP_IMAGES)
def test_help_explains_every_step_without_loading_an_ml_library(docker: Docker, image: str) -> None:
    ended = docker.run(image, "--help")
    assert ended.returncode == 0
    for step in STEP_IMAGES[image]:
        assert step in ended.stdout
        explained = docker.run(image, step, "--help")
        assert explained.returncode == 0
        assert f"Usage: {image} {step}" in explained.stdout
    loaded = python(
        docker,
        image,
        f"import sys, {image}.cli; print(*{{'numpy', 'pandas', 'sklearn', 'pyarrow'}} & set(sys.modules))",
    )
    assert loaded.strip() == ""


def test_the_shipped_example_is_what_the_trainer_image_exports(docker: Docker, pytestconfig: pytest.Config) -> None:
    exported = docker.run("trainer", "example_data")
    assert exported.stdout == (pytestconfig.rootpath / "shared/inputs/diabetes.csv").read_text()
