"""An image of the trainer with two of ``examples/`` in its project, built in a clone of its own."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.clone import Clone, copy_of_tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def built(folder: Path) -> Iterator[str]:
    """The tag of the images with churn's and LightGBM's models; they go with the block."""
    tag = f"benchmark-{uuid.uuid4().hex[:8]}"
    copy_of_tracked_files(ROOT, folder)
    shutil.rmtree(folder / "project")
    shutil.copytree(ROOT / "tests/box/project", folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("churn", "lightgbm"):
        shutil.copytree(ROOT / "examples" / name / "project", folder / "project", dirs_exist_ok=True)
    clone = Clone(folder, f"bulkhead-{tag}")
    try:
        for recipe in (["lock"], ["build-images", "trainer"]):
            ended = clone.run("just", *recipe, BULKHEAD_TAG=tag, BULKHEAD_PROJECT_FOLDER="project")
            if ended.returncode:
                raise SystemExit(f"just {recipe[0]} of the examples: {ended.stderr[-2000:]}")
        yield tag
    finally:
        subprocess.run(["docker", "rmi", f"bulkhead/trainer:{tag}"], capture_output=True, check=False)
