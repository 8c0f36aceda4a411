"""A clone to run recipes in: what git tracks, in a folder, project and image tag of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.containers.support import TAG

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Clone:
    """A copy of the tracked files, and the settings that keep it apart from the user's own stack."""

    folder: Path
    project: str

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """``command`` in the clone, with these environment variables."""
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
