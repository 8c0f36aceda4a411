"""Who runs: the identity that Airflow hands to a step in its environment variables."""

from __future__ import annotations

import os
import socket
from typing import Self

import msgspec

from bulkhead.errors import Refused
from bulkhead.paths import run_path

Environment = str
"""The name of an environment; ``environments.py`` has them all, and commands take no other."""

AttemptKey = tuple[str | None, str | None, str | None, int | None, int | None]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one task: the keys that records and result files share.

    Every key has a default, so that a step run by hand needs no variables.
    """

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    try_number: int | None = None
    map_index: int | None = None
    image: str | None = None
    git_commit: str | None = None
    host: str | msgspec.UnsetType = msgspec.UNSET
    """On which host its container was, where there are several; the registrar says it, and no step."""

    @classmethod
    def from_environment(cls, task_id: str) -> Self:
        """The identity in ``BULKHEAD_*``; by hand: no DAG, run ``debug``, first try.

        Raises:
            Refused: a number is not one.
        """
        return cls(
            dag_id=os.environ.get("BULKHEAD_DAG_ID") or None,
            run_id=os.environ.get("BULKHEAD_RUN_ID") or "debug",
            task_id=os.environ.get("BULKHEAD_TASK_ID") or task_id,
            try_number=whole_number("BULKHEAD_TRY_NUMBER", 1),
            map_index=whole_number("BULKHEAD_MAP_INDEX", -1),
            image=os.environ.get("BULKHEAD_IMAGE") or None,
            git_commit=os.environ.get("BULKHEAD_GIT_COMMIT") or None,
        )

    @property
    def run_path(self) -> str:
        """The run folder of this attempt, relative to the project."""
        return run_path(self.dag_id, self.run_id or "debug")

    @property
    def attempt_key(self) -> AttemptKey:
        """What tells one attempt from another: DAG, run, task, try and map index."""
        return self.dag_id, self.run_id, self.task_id, self.try_number, self.map_index

    def same_attempt(self, other: Identity) -> bool:
        """Whether both name the same try of the same task of the same run."""
        return self.attempt_key == other.attempt_key


def container_id() -> str:
    """The short id of the container this runs in: Docker makes it the host name."""
    return socket.gethostname()


def whole_number(variable: str, default: int) -> int:
    """The number in the environment variable ``variable``; ``default`` where it is unset or empty.

    Raises:
        Refused: it is not one.
    """
    text = os.environ.get(variable) or str(default)
    try:
        return int(text)
    except ValueError:
        raise Refused(f"{variable} is {text!r}, not a whole number. Set it to one, or unset it.") from None
