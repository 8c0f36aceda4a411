"""Clones to run recipes in: what git tracks, in a folder, project and image tag of its own."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import remove_containers
from tests.support.clone import Clone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clone(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Clone]:
    root = pytestconfig.rootpath
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    folder = tmp_path / "clone"
    for name in filter(None, listed.split("\0")):
        if (root / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    made = Clone(folder, f"bulkhead-test-{uuid.uuid4().hex[:8]}")
    yield made
    remove_containers(f"io.bulkhead.project={made.project}")
