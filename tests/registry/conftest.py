"""States of a registry, and a process that dies where it is told to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.helpers import ORIGINAL_INFERENCES, ORIGINAL_TRAININGS, Ended, publish
from tests.helpers_care import Kept

from bulkhead import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.registry import Registry

HELPERS = Path(__file__).parents[1]


@pytest.fixture
def registry_of_the_original_program(empty_registry: Registry) -> Registry:
    """Both logs and a model file as the original program left them."""
    empty_registry.trainings.write_bytes(ORIGINAL_TRAININGS)
    empty_registry.inferences.write_bytes(ORIGINAL_INFERENCES)
    (empty_registry.folder / "model_2024-01-31:23-59-59_3f2a.pkl").write_bytes(b"\x80\x04N.")
    return empty_registry


@pytest.fixture
def registry_with_a_torn_record(registry_with_a_model: Registry) -> Registry:
    """After the one model, the first half of another record."""
    whole = registry_with_a_model.trainings.read_bytes()
    registry_with_a_model.trainings.write_bytes(whole + whole[: len(whole) // 2])
    return registry_with_a_model


@pytest.fixture
def registry_with_a_long_log(registry_with_two_models: Registry) -> Registry:
    """Eight megabytes of log, the newest models at its end."""
    old = registry_with_two_models.trainings.read_bytes()
    registry_with_two_models.trainings.write_bytes(old * (8_000_000 // len(old)))
    publish(registry_with_two_models, "dev")
    publish(registry_with_two_models, "prd")
    return registry_with_two_models


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A project that is clean: models of both environments, one promoted, and an inference with each that is served."""
    kept = Kept(tmp_path / "project")
    kept.publish("prd")
    dev = kept.publish("dev")
    prd = kept.publish("prd")
    kept.append(kept.promoted(dev, replaces=prd.model_filename))
    kept.infer(dev)
    kept.infer(dev, environment="prd", dag_id="prd_inference_pipe_dag")
    return kept


@pytest.fixture
def killed_publish() -> Callable[[Registry, str], None]:
    """A function that publishes in another process, which SIGKILLs itself at a stage."""

    def publish_and_die(registry: Registry, stage: str) -> None:
        command = [sys.executable, str(HELPERS / "helpers_publish_and_die.py"), str(registry.folder), stage]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == -9, f"it did not reach {stage!r}: {ended.stderr}"

    return publish_and_die


class Command:
    """``registry`` on the command line, in this process."""

    def __init__(self, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
        self.registry = registry
        self.shared = registry.folder.parent / "shared"
        self._capsys = capsys

    def __call__(self, *argv: str) -> Ended:
        """Run it with the folders of the test."""
        self._capsys.readouterr()
        code = cli.main(["--models", str(self.registry.folder), "--shared", str(self.shared), *argv])
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def done(self, *argv: str) -> str:
        """Run what must succeed; returns what it printed."""
        ended = self(*argv)
        assert ended.code == 0, ended.err
        return ended.out

    def refused(self, *argv: str) -> str:
        """Run what must be refused; returns its one sentence."""
        ended = self(*argv)
        assert (ended.code, ended.out) == (1, ""), ended
        (sentence,) = ended.said
        assert sentence.startswith("registry: ")
        return sentence


@pytest.fixture
def registry(empty_registry: Registry, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line of the registry that the test's states are put into."""
    made = Command(empty_registry, capsys)
    (made.shared / "inputs").mkdir(parents=True)
    return made
