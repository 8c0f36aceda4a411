"""States that the fast tests start from."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.support.command import Command
from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS, publish
from tests.support.registry_project import RegistryProject

from bulkhead import environments
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(__file__).parent / "programs"

# The same examples on every machine; a slow first import is no failure.
settings.register_profile(
    "bulkhead", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("bulkhead")


@pytest.fixture(autouse=True)
def prd_promotes_from_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """The promotion path that comes with the project, whatever environments somebody has put between the two."""
    path = (replace(one, promotes_from="dev") if one.name == "prd" else one for one in environments.ENVIRONMENTS)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tuple(path))


@pytest.fixture
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``BULKHEAD_*`` variable is set: a step run by hand."""
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def empty_registry(tmp_path: Path) -> Registry:
    """A registry that nothing was published to."""
    folder = tmp_path / "models"
    folder.mkdir()
    return Registry(folder)


@pytest.fixture
def registry_with_a_model(empty_registry: Registry) -> Registry:
    """A registry with one model, of prd."""
    publish(empty_registry, "prd")
    return empty_registry


@pytest.fixture
def registry_with_two_models(empty_registry: Registry) -> Registry:
    """A registry with a model of prd, then one of dev."""
    publish(empty_registry, "prd")
    publish(empty_registry, "dev")
    return empty_registry


@pytest.fixture
def registry_of_legacy_records(empty_registry: Registry) -> Registry:
    """Both logs and a model file with legacy records, which this project's predecessor wrote."""
    empty_registry.training_journal.write_bytes(LEGACY_TRAININGS)
    empty_registry.inference_journal.write_bytes(LEGACY_INFERENCES)
    (empty_registry.folder / "model_2024-01-31:23-59-59_3f2a.pkl").write_bytes(b"\x80\x04N.")
    return empty_registry


@pytest.fixture
def registry_with_a_torn_record(registry_with_a_model: Registry) -> Registry:
    """After the one model, the first half of another record."""
    whole = registry_with_a_model.training_journal.read_bytes()
    registry_with_a_model.training_journal.write_bytes(whole + whole[: len(whole) // 2])
    return registry_with_a_model


@pytest.fixture
def registry_with_a_long_log(registry_with_two_models: Registry) -> Registry:
    """Eight megabytes of log, the newest models at its end."""
    old = registry_with_two_models.training_journal.read_bytes()
    registry_with_two_models.training_journal.write_bytes(old * (8_000_000 // len(old)))
    publish(registry_with_two_models, "dev")
    publish(registry_with_two_models, "prd")
    return registry_with_two_models


@pytest.fixture
def clean_project(tmp_path: Path) -> RegistryProject:
    """A project that is clean: models of both environments, one promoted, and an inference with each that is served."""
    clean_project = RegistryProject(tmp_path / "project")
    clean_project.publish("prd")
    dev = clean_project.publish("dev")
    prd = clean_project.publish("prd")
    clean_project.append(clean_project.promoted(dev, replaces=prd.model_filename))
    clean_project.infer(dev)
    clean_project.infer(dev, environment="prd", dag_id="prd_inference_pipe_dag")
    return clean_project


@pytest.fixture
def killed_publish() -> Callable[[Registry, str], None]:
    """A function that publishes in another process, which SIGKILLs itself at a stage."""

    def publish_and_die(registry: Registry, stage: str) -> None:
        command = [sys.executable, str(PROGRAMS / "publish_and_die.py"), str(registry.folder), stage]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == -9, f"it did not reach {stage!r}: {ended.stderr}"

    return publish_and_die


@pytest.fixture
def registry(empty_registry: Registry, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line of the registry that the test's states are put into."""
    made = Command(empty_registry, capsys)
    (made.shared / "inputs").mkdir(parents=True)
    return made
