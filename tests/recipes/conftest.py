"""Clones to run recipes in: what git tracks, in a folder, project and image tag of its own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import remove_containers
from tests.support.clone import Clone, copy_of_tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clone(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Clone]:
    folder = tmp_path / "clone"
    copy_of_tracked_files(pytestconfig.rootpath, folder)
    made = Clone(folder, f"bulkhead-test-{uuid.uuid4().hex[:8]}")
    yield made
    remove_containers(f"io.bulkhead.project={made.project}")
