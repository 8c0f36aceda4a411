"""The verdict on an ended container, reached in bounded time whatever a step has left behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from bulkhead.errors import BulkheadError
from bulkhead.step import result
from engine import verdict, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from bulkhead.step.result import StepResult
    from engine.attempt import Attempt
    from engine.settings import Settings
    from engine.verdict import Failed

T = TypeVar("T")
_SECONDS = 600
"""Judging asks the engine thrice, which a loaded one answers in minutes, and reads a small file."""


def judge(
    client: APIClient,
    container: str,
    attempt: Attempt,
    settings: Settings,
    mask: Callable[[str], str],
    peak_memory_bytes: int | None,
) -> Failed | StepResult | None:
    """How the container ended, by its proof and by the engine; None: it has gone.

    Raises:
        TimeoutError: that took too long.
    """

    def verdict_on_it() -> Failed | StepResult | None:
        found = watch.inspect(client, container)
        if found is None:
            return None
        tail = watch.last_lines(client, container, mask)
        proof = _proof(attempt, settings)
        return verdict.judge(found["State"], proof, container, tail, settings, peak_memory_bytes)

    try:
        return within(_SECONDS, verdict_on_it)
    except TimeoutError:
        raise TimeoutError(f"container {container[:12]} could not be judged within {_SECONDS} s") from None


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises.

    Raises:
        TimeoutError: it has not done so in time; it goes on in a thread of which nobody hears again.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  # raised again, by the one who waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="judging")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def _proof(attempt: Attempt, settings: Settings) -> StepResult | None:
    """The result file; one that is refused (a link, too large) is none, and the verdict says that there is none."""
    try:
        return result.read(attempt.folder(settings), str(attempt.identity.task_id))
    except (BulkheadError, OSError):
        return None
