"""States of a project, and its steps run in this process."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.project import Project
from tests.support.project_files import ProjectFiles, own_project

from bulkhead import paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_identity: None
) -> Iterator[Project]:
    """A project where nothing has run; its steps run by hand, in dev."""
    del no_identity
    project = Project(tmp_path, capsys)
    monkeypatch.setattr(paths, "SHARED", str(project.shared))
    monkeypatch.setattr(paths, "MODELS", str(project.models))
    monkeypatch.setattr(paths, "INPUTS", str(project.inputs))
    # A step sets both for its process, which is this one here.
    umask, handler = os.umask(0o022), signal.getsignal(signal.SIGTERM)
    yield project
    os.umask(umask)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def trained_project(project: Project) -> Project:
    """A project with a model of dev, trained on the sample."""
    project.train()
    return project


@pytest.fixture
def project_with_a_table(project: Project) -> Project:
    """``table.csv`` in the inputs: whole numbers ``a``, fractions ``b``, and ``target``."""
    rows = "".join(f"{i},{i * i}.5,{2 * i + 1}\n" for i in range(20))
    project.put("table.csv", "a,b,target\n" + rows)
    return project


@pytest.fixture
def project_trained_on_the_table(project_with_a_table: Project) -> Project:
    """A project with a model of dev, trained on ``table.csv``."""
    project_with_a_table.train("--source", "table.csv")
    return project_with_a_table


@pytest.fixture
def code(tmp_path: Path) -> Iterator[ProjectFiles]:
    """An empty ``project/`` of the test's own, which every step in this process imports."""
    with own_project(tmp_path / "own") as files:
        yield files
