"""Where a run's files live, seen from the project and from inside a container.

Needs the standard library alone: ``just step`` reads it on a host that has nothing else.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

JournalName = Literal["training", "inference"]
"""What happened to models, decisions among it; and what models predicted."""

SHARED = "/shared"
MODELS = "/models"
INPUTS = "/inputs"
RUNS = "shared/runs"
"""All run folders, relative to the project."""

SAMPLE = "sample"
"""The source that stands for the built-in table."""

JOURNALS: dict[JournalName, str] = {"training": "log.txt", "inference": "log_inference.txt"}
"""The registry's journals, by the names of their files in ``models/``."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]|^[.-]")
_HASHED = re.compile(r"-[0-9a-f]{8}$")
_LONGEST = 100


def slug(name: str) -> str:
    """``name`` as one path component or container name that every system takes.

    A changed or shortened name ends in a piece of its hash, so two names never share a slug
    (run ids may hold ``: + ~``, which Airflow allows).
    """
    safe = _UNSAFE.sub("_", name)
    # One that ends like a hashed one is hashed too, or it could pass for another's.
    if safe == name and 0 < len(name) <= _LONGEST and not _HASHED.search(name):
        return name
    return f"{safe[: _LONGEST - 9] or '_'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def run_path(dag_id: str | None, run_id: str) -> str:
    """The run folder relative to the project: what records name, and what is mounted at ``/shared``."""
    return "/".join([RUNS, *([slug(dag_id)] if dag_id else []), slug(run_id)])


def input_path(name: str) -> str:
    """A file of ``/inputs`` relative to the project."""
    return f"shared/inputs/{name}"
