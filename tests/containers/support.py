"""Containers and folders that tests run steps with."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TAG = os.environ.get("BULKHEAD_TAG", "latest")


@dataclass
class Docker:
    """``docker run`` with a label."""

    label: str

    def run(
        self, image: str, *command: str, options: tuple[str, ...] = (), tag: str = TAG
    ) -> subprocess.CompletedProcess[str]:
        arguments = ["docker", "run", "--rm", "--label", self.label, *options, f"bulkhead/{image}:{tag}", *command]
        return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)


@dataclass
class Folders:
    """An empty registry, run folder and inputs folder, as ``just build-images`` leaves those of a clone."""

    models: Path
    shared: Path
    inputs: Path

    def mounts(self, **modes: str) -> tuple[str, ...]:
        """Options that mount all three; ``models="ro"`` mounts one otherwise, ``models=""`` leaves it out."""
        wanted = {"models": "rw", "shared": "rw", "inputs": "ro"} | modes
        return tuple(
            word for name, mode in wanted.items() if mode for word in ("-v", f"{getattr(self, name)}:/{name}:{mode}")
        )


def records(log: Path) -> list[dict[str, Any]]:
    """The records in ``log``, oldest first; a torn line is none, and is verify's to find."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def remove_containers(label: str) -> None:
    """Remove every container with ``label``, running or not."""
    listed = ["docker", "ps", "--all", "--quiet", "--filter", f"label={label}"]
    if left := subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split():
        subprocess.run(["docker", "rm", "--force", "--volumes", *left], capture_output=True, check=True)
