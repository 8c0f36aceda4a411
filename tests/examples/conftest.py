"""Clones into which an example was copied as its README says, with images of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.clone import Clone, copy_of_tracked_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Example:
    """A clone with an example in it."""

    clone: Clone
    tag: str

    def just(self, *words: str) -> None:
        """Run a recipe, which must succeed."""
        ended = self._run(*words)
        assert ended.returncode == 0, ended.stderr[-3000:]

    def refused(self, *words: str) -> str:
        """Run a recipe, which must be refused; returns what it said."""
        ended = self._run(*words)
        assert ended.returncode == 1, ended.stderr[-3000:]
        return ended.stderr

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.clone.run("just", *words, BULKHEAD_TAG=self.tag, BULKHEAD_PROJECT_FOLDER="project")


@pytest.fixture(scope="session")
def table() -> bytes:
    """The table of customers, as the examples' README makes it: 20,000 rows."""
    made = subprocess.run([sys.executable, ROOT / "examples/churn/make_table.py"], capture_output=True, check=True)
    return made.stdout


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Callable[..., Example]]:
    """Makes a clone with the examples of these names in its project; its images go with the test."""
    made: list[str] = []

    def copied(*names: str) -> Example:
        tag = f"example-{uuid.uuid4().hex[:8]}"
        made.append(tag)
        folder = tmp_path / "clone"
        copy_of_tracked_files(ROOT, folder)
        # The project as it comes, whatever somebody has made of the one in the root.
        shutil.rmtree(folder / "project")
        shutil.copytree(ROOT / "tests/box/project", folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
        for name in names:
            shutil.copytree(ROOT / "examples" / name / "project", folder / "project", dirs_exist_ok=True)
        return Example(Clone(folder, f"bulkhead-test-{uuid.uuid4().hex[:8]}"), tag)

    yield copied
    for tag in made:
        for image in ("trainer", "inference"):
            subprocess.run(["docker", "rmi", f"bulkhead/{image}:{tag}"], capture_output=True, check=False)
