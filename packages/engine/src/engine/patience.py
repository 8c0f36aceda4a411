"""Waiting for the registrar and for the engine: while they are away nothing is lost, and nothing is recorded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from docker.errors import APIError

from engine.launch import ENGINE_ERRORS
from engine.registrar_client import RegistrarAwayError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ENGINE_SECONDS = 900.0
"""How long launcher and engine may be away, whether a step runs meanwhile or not."""
_AGAIN_SECONDS = 1.0
_SAY_SECONDS = 60.0
_SERVER_ERROR = 500


class Warner(Protocol):
    """Where it is said that somebody waits."""

    def warning(self, message: str, *values: Any) -> Any:
        """What somebody should look at."""


def wait_for_registrar(
    ask: Callable[[], T], log: Warner, seconds: float, is_given_up: Callable[[], bool] = lambda: False
) -> T:
    """The registrar's answer to ``ask``, however long it is away; a line says so each minute.

    Args:
        ask: one request; safe to repeat, as all of the registrar's are.
        log: where the waiting is told.
        seconds: how long an outage may last.
        is_given_up: whether the caller has no time left.

    Raises:
        RegistrarAwayError: it has been away for longer, or the caller has given up.
    """
    return _wait("registrar", lambda error: isinstance(error, RegistrarAwayError), ask, log, seconds, is_given_up)


def wait_for_engine(ask: Callable[[], T], log: Warner, is_given_up: Callable[[], bool]) -> T:
    """The engine's answer to ``ask``, however long it or the launcher before it is away.

    Args:
        ask: what is safe to repeat.
        log: where the waiting is told.
        is_given_up: whether the caller has no time left.

    Raises:
        DockerException: it has been away for longer, or the caller has given up; or it has refused.
        OSError: it has been away for longer.
    """
    return _wait("engine", _is_engine_away, ask, log, ENGINE_SECONDS, is_given_up)


def _is_engine_away(error: Exception) -> bool:
    if isinstance(error, APIError):  # an answer
        return (error.status_code or 0) >= _SERVER_ERROR
    return isinstance(error, ENGINE_ERRORS)


def _wait(  # once for both
    whom: str,
    is_away: Callable[[Exception], bool],
    ask: Callable[[], T],
    log: Warner,
    seconds: float,
    is_given_up: Callable[[], bool],
    /,
) -> T:
    began = said = None
    while True:
        try:
            return ask()
        except Exception as error:
            if not is_away(error):
                raise
            now = time.monotonic()
            began = now if began is None else began
            if is_given_up() or now - began >= seconds:
                raise
            if said is None or now - said >= _SAY_SECONDS:
                said = now
                log.warning("waiting for the %s, for %.0f s now: %s", whom, now - began, error)
            time.sleep(_AGAIN_SECONDS)
