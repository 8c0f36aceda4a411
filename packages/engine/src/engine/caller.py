"""What a step needs of the one who runs it, and how its end is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from engine.registrar_client import RegistrarClient
    from engine.verdict import Failed

GRACE_SECONDS = 3
"""Airflow's supervisor kills the task 5 s after SIGTERM; the container must be told before."""
AT_ONCE_SECONDS = 2
"""How long the registrar may take to say who ended a task: it is asked between that SIGTERM and the kill."""


class Log(Protocol):
    """Where the step's lines and the engine's own go."""

    def info(self, message: str, *values: Any) -> Any:
        """What happens, and a line on stdout."""

    def warning(self, message: str, *values: Any) -> Any:
        """What somebody should look at, and a line on stderr."""

    def error(self, message: str, *values: Any) -> Any:
        """Why the step failed."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """What a step needs of the one who runs it."""

    connect: Callable[[], APIClient]
    """A client of the engine, by way of the launcher."""
    connect_to_stop: Callable[[], APIClient]
    """Another one, that answers soon: a step may be stopped by a signal in the middle of the first one's request."""
    registrar: Callable[[], RegistrarClient]
    """A client of the registrar, with the time that recording takes."""
    registrar_at_once: Callable[[], RegistrarClient]
    """Another one, that answers within ``AT_ONCE_SECONDS`` or not at all."""
    log: Log
    mask: Callable[[str], str]
    """Hides secrets."""


class StepFailedError(Exception):
    """The step failed; recorded, where the registrar could be reached."""

    def __init__(self, sentence: str, failed: Failed) -> None:
        super().__init__(sentence)
        self.failed = failed


class StepLeftError(Exception):
    """This process ends, and the container runs on: the next try goes on with it."""
