"""What ``just step`` and ``just registry`` share: a host made ready, its settings, an image by its id.

The host has Docker's command line and nothing of Python but its standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from airflow_client import read_env

ROOT = Path(__file__).resolve().parent.parent
# The seal's description, and what it needs: they take the standard library alone.
sys.path[:0] = [str(ROOT / "packages" / package / "src") for package in ("engine", "bulkhead")]

from bulkhead.errors import Refused  # noqa: E402  # found by the line above
from engine.settings import Settings  # noqa: E402  # as well


@dataclass(frozen=True)
class Image:
    """An image of this host: its tag for people, its id as the proof."""

    tag: str
    id: str

    def __str__(self) -> str:
        return f"{self.tag}@{self.id}"


def fail(what: str, next_step: str) -> NoReturn:
    """One line each for what is wrong and what to do about it."""
    sys.exit(f"bulkhead: {what}\nbulkhead: {next_step}")


def ready() -> dict[str, str]:
    """Settings by name, the environment's before ``.env``'s; the engine answers, and ``.env`` is whole."""
    for script in ("engine.sh", "env.sh"):
        if code := subprocess.run([ROOT / "scripts" / script], check=False).returncode:
            sys.exit(code)
    file = read_env(Path(os.environ.get("BULKHEAD_ENV_FILE") or ROOT / ".env"))
    # By hand it is always this clone that is worked on.
    own = {"BULKHEAD_HOST_DIR": file["BULKHEAD_HOST_DIR"], "AIRFLOW_HOME": str(ROOT)}
    return file | {name: value for name, value in os.environ.items() if value} | own


def settings_of(task_id: str, environment: dict[str, str]) -> Settings:
    """How ``task_id`` runs on this host."""
    try:
        return Settings.from_environment(task_id, environment=environment)
    except Refused as error:
        sys.exit(f"bulkhead: {error}")


def image_of(tag: str) -> Image:
    """The image called ``tag``."""
    inspect = ["docker", "image", "inspect", "--format", "{{.Id}}", tag]
    found = subprocess.run(inspect, capture_output=True, text=True, check=False)
    if found.returncode:
        fail(f"there is no image {tag} here.", "Run 'just build-images', then run this again.")
    return Image(tag, found.stdout.strip())


def touch(journal: Path) -> None:
    """Make the file, where it is missing: a bind needs it to be there."""
    if not journal.exists():
        journal.touch()
        journal.chmod(0o664)  # containers write it as group 0
