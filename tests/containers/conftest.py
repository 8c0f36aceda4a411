"""Real containers, each with a label of this session, and gone when it ends."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import Docker, Folders, remove_containers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    label = f"io.bulkhead.test={uuid.uuid4().hex}"
    yield Docker(label)
    remove_containers(label)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "models", tmp_path / "shared", tmp_path / "inputs")
    for folder in (made.models, made.shared, made.inputs):
        folder.mkdir()
        folder.chmod(0o775)
    return made
