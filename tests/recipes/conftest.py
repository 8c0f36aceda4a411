"""Clones to run recipes in: what git tracks, in a folder, project and image tag of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG, remove_containers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Clone:
    """A copy of the tracked files, and the settings that keep it apart from the user's own stack."""

    folder: Path
    project: str

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {"BULKHEAD_PROJECT": self.project, "BULKHEAD_TAG": TAG}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | own | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


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
