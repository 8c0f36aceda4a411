"""Waiting for the registrar: while it is away nothing is lost, and nothing is recorded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine.registrar_client import RegistrarAwayError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_AGAIN_SECONDS = 1.0
_SAY_SECONDS = 60.0


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
    began = said = None
    while True:
        try:
            return ask()
        except RegistrarAwayError as error:
            now = time.monotonic()
            began = now if began is None else began
            if is_given_up() or now - began >= seconds:
                raise
            if said is None or now - said >= _SAY_SECONDS:
                said = now
                log.warning("waiting for the registrar, for %.0f s now: %s", now - began, error)
            time.sleep(_AGAIN_SECONDS)
