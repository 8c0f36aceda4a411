"""A publisher that kills itself: ``publish_and_die.py MODELS STAGE``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkhead.registry import appender, journal
from bulkhead.registry.lineage import Lineage
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Callable


def die() -> None:
    """End at once, as the kernel ends a process for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def dies_before(_real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a function: death."""
    return lambda *_arguments, **_named: die()


def dies_after(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a function: it is done, then death."""

    def done_and_dead(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        die()

    return done_and_dead


def half(_appender: appender.Appender, line: bytes) -> None:
    """In place of the write of a record: half of it, then death."""
    descriptor = os.open(Path(sys.argv[1]) / "log.txt", os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, line[: len(line) // 2])
    die()


def unsynced(_appender: appender.Appender, line: bytes) -> None:
    """In place of the write of a record: all of it, then death before the sync."""
    descriptor = os.open(Path(sys.argv[1]) / "log.txt", os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, line)
    die()


STAGES: dict[str, tuple[Any, str, Any]] = {
    "in the temporary file": (os, "fchmod", dies_before),
    "after the temporary file": (journal, "locked", dies_before),
    "after the link": (os, "link", dies_after),
    "before the append": (appender.Appender, "append", dies_before),
    "in the middle of the append": (appender.Appender, "_write", lambda _: half),
    "before the sync of the append": (appender.Appender, "_write", lambda _: unsynced),
    "after the append": (appender.Appender, "append", dies_after),
}

if __name__ == "__main__":
    place, name, makes = STAGES[sys.argv[2]]
    setattr(place, name, makes(getattr(place, name)))
    Registry(Path(sys.argv[1])).publish({"weights": [3.0]}, "prd", Lineage(run_id="killed"))
