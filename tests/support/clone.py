"""A clone to run recipes in: what git tracks, in a folder, project and image tag of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_client import read_env
from tests.containers.support import TAG

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Clone:
    """A copy of the tracked files, and the settings that keep it apart from the user's own stack.

    Without a project it chooses one itself, as a fresh clone does.
    """

    folder: Path
    project: str

    @property
    def environment(self) -> dict[str, str]:
        """What its commands see."""
        return os.environ | {"BULKHEAD_TAG": TAG} | ({"BULKHEAD_PROJECT": self.project} if self.project else {})

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
        """``command`` in the clone, with these environment variables."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


def copy_of_tracked_files(root: Path, folder: Path) -> None:
    """Copy what git tracks in ``root``, as it stands."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)


def settings(clone: Clone) -> dict[str, str]:
    """The names and values of a clone's ``.env``."""
    return read_env(clone.folder / ".env")
