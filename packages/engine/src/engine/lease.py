"""Another engine may run a logical task's container still, so nothing is started beside it for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.caller import StepLeftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.caller import Log
    from engine.external_id import ExternalId

_LOOK_SECONDS = 10.0
_SLEEP_SECONDS = 1.0
"""A signal does not end a sleep, and leaves five seconds."""


def wait_for_outcome(
    kept: ExternalId, seconds: float, look: Callable[[], bool], is_stopped: Callable[[], bool], log: Log
) -> bool:
    """Whether the outcome of a container that cannot be asked for has come before its lease is over.

    Args:
        kept: the container, and on which engine it is.
        seconds: how long the lease is, from now.
        look: whether the logical task has its outcome.
        is_stopped: whether this process has to end.
        log: where the waiting is told.

    Raises:
        StepLeftError: this process has to end before.
    """
    until = time.monotonic() + seconds
    log.warning(
        "container %s of this task is on another engine (%s); waiting for its outcome, at most %.0f s",
        kept.container[:12],
        kept.engine,
        seconds,
    )
    while time.monotonic() < until and not is_stopped():
        if look():
            return True
        again = min(time.monotonic() + _LOOK_SECONDS, until)
        while time.monotonic() < again and not is_stopped():
            time.sleep(min(_SLEEP_SECONDS, max(0.0, again - time.monotonic())))
    if is_stopped():
        raise StepLeftError("told to end while it waited for another engine")
    return look()
