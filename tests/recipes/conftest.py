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

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"BULKHEAD_PROJECT": self.project, "BULKHEAD_TAG": TAG}

    def docker_run(self, *command: str, **variables: str) -> list[str]:
        """The arguments that ``command`` starts ``docker run`` with, which is not started."""
        real = shutil.which("docker")
        fake = self.with_docker(f'[ "$1" = run ] || exec {real} "$@"\nprintf "%s\\n" "$@"\n')
        ended = self.run(*command, PATH=fake, **variables)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    def with_docker(self, script: str) -> str:
        """A ``PATH`` on which ``docker`` is ``script``."""
        fake = self.folder.parent / "bin/docker"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f"#!/bin/sh\n{script}")
        fake.chmod(0o755)
        return f"{fake.parent}:{os.environ['PATH']}"

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | variables,
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
