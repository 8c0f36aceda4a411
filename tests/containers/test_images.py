"""What the images hold, and what they must not."""

from __future__ import annotations

import importlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import own_packages
import pytest
from tests.containers.support import TAG

if TYPE_CHECKING:
    from tests.containers.support import Docker, Folders

pytestmark = pytest.mark.container

IMAGES = own_packages.images()
STEP_IMAGES = [image for image in IMAGES if image != "airflow"]
LIBRARIES = ("scikit-learn", "pandas", "numpy", "scipy", "joblib", "pyarrow")
MEGABYTES = {"airflow": 240, "launcher": 20, "registrar": 30}
MEGABYTES_OF_A_STEP_IMAGE = 340
IMPORT_ALL = """
import importlib, json, pkgutil, sys, warnings

warnings.simplefilter("ignore")
LIBRARIES = ("joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn")
OPTIONAL = ("pyarrow._cuda", "pyarrow._flight")
failed, names = {}, list(LIBRARIES)
while names:
    name = names.pop()
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        missing = getattr(error, "name", None) or ""
        is_optional = missing in OPTIONAL or missing.partition(".")[0] not in LIBRARIES
        failed[name] = f"{'optional' if is_optional else 'lost'}: {error}"
        continue
    for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not found.name.startswith(("_", "lib")) and found.name not in ("conftest", "setup", "tests"):
            names.append(f"{name}.{found.name}")
print(json.dumps({"failed": failed, "imported": len([n for n in sys.modules if n.partition(".")[0] in LIBRARIES])}))
"""


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


def versions(docker: Docker, image: str) -> dict[str, str]:
    """Which of LIBRARIES the image has, in which version."""
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    return {name: version for name, version in json.loads(python(docker, image, code)).items() if name in LIBRARIES}


def test_images_of_the_same_versions_and_the_record_name_the_same_versions(docker: Docker, folders: Folders) -> None:
    trainer = versions(docker, "trainer")
    assert set(trainer) == set(LIBRARIES)
    assert versions(docker, "inference") == trainer
    for image, reference in own_packages.resolutions():
        if reference:
            assert versions(docker, image).items() <= versions(docker, reference).items(), image
    for step in ("preprocessing", "train_model"):
        assert docker.run("trainer", step, options=folders.mounts()).returncode == 0
    recorded = json.loads((folders.models / "log.txt").read_text())["libraries"]
    python_version = recorded.pop("python")
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {[*recorded]}}}))"
    assert recorded == json.loads(python(docker, "trainer", code))
    assert {"scikit-learn", "pandas", "numpy", "joblib", "scipy"} < set(recorded)
    assert python(docker, "trainer", "import platform; print(platform.python_version())").strip() == python_version


def test_training_and_inference_transform_alike(docker: Docker) -> None:
    code = "from modeling.fingerprint import fingerprint; print(fingerprint('model'))"
    assert python(docker, "trainer", code) == python(docker, "inference", code)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root_and_starts_its_program_itself(image: str) -> None:
    config = inspect(f"bulkhead/{image}:{TAG}")["Config"]
    user, group = config["User"].split(":")
    assert user.isdigit()
    assert int(user) > 0
    assert group == "0"
    (program,) = config["Entrypoint"]
    assert program in (image, "step", "main")
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"bulkhead/{image}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.description"]
    assert f"BULKHEAD_GIT_COMMIT={labels['org.opencontainers.image.revision']}" in config["Env"]
    assert not [name for name in labels if name.startswith("com.docker.compose.")]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_weighs_no_more_than_its_limit_above_the_base(image: str) -> None:
    weight = inspect(f"bulkhead/{image}:{TAG}")["Size"] - inspect("python:3.13-slim-trixie")["Size"]
    assert weight < MEGABYTES.get(image, MEGABYTES_OF_A_STEP_IMAGE) * 1_000_000


@pytest.mark.parametrize("image", ["trainer", "inference"])
def test_all_that_is_public_in_the_libraries_can_still_be_imported(docker: Docker, image: str) -> None:
    found = json.loads(python(docker, image, IMPORT_ALL))
    assert found["imported"] > 500
    # What a library asks for that its users may install or not, as Matplotlib or CUDA; nothing that it had itself.
    assert {name: why for name, why in found["failed"].items() if not why.startswith("optional")} == {}


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
    steps = vars(importlib.import_module(f"{image}.cli"))[image].commands
    assert steps
    for step in steps:
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
