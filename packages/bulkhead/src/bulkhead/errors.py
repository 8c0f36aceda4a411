"""The errors that a person is meant to read, and the exit codes they become.

A message says what is wrong, where, and what to do next, in one line. Anything that is not a
:class:`BulkheadError` is a bug, and keeps its traceback.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_REFUSED = 1
"""Refused for a reason that a retry cannot fix."""
EXIT_USAGE = 2
"""Wrong command line (click's own code)."""
EXIT_BUSY = 75
"""Another container does the same work in the same place; later it may not (EX_TEMPFAIL)."""
EXIT_CRASHED = 70
"""A bug; Python's own code for one, 1, would read as a refusal."""
EXIT_KILLED = 143
"""Stopped by SIGTERM: 128 + 15, as shells and Docker count."""

EXIT_INTERRUPTED = 130
"""SIGINT: by hand, or by a library that raises it at itself (OpenBLAS, where it cannot start its threads)."""

EXIT_UNKNOWN = 255
"""What an engine says of a container that ended while it was away; no step of ours ends so."""

EXIT_UNREAD = 141
"""Whoever read the output has gone (``| head``): 128 + SIGPIPE, as a program that dies of it."""

_NO_THREAD = ("can't start new thread", "Resource temporarily unavailable")

_NEXT = {
    errno.ENOSPC: "The disk is full: free some space, then run this again.",
    errno.EDQUOT: "The disk quota is used up: free some space, then run this again.",
    errno.EFBIG: (
        "It is larger than a step's file may be (BULKHEAD_STEP_DISK): raise that in .env or give less data, then run"
        " this again."
    ),
    errno.EROFS: "The folder is mounted read-only: mount it without ':ro', then run this again.",
    errno.EACCES: "This user may not: run as the folder's owner (docker run --user UID:0), then run this again.",
    errno.EPERM: "This user may not: run as the folder's owner (docker run --user UID:0), then run this again.",
}


class BulkheadError(Exception):
    """Root of Bulkhead's own errors."""


class Refused(BulkheadError):
    """The step's input, or the place it runs in, is not usable; a retry would fail the same way."""


class DiskFull(Refused):
    """There is no room for what was to be written."""


class Busy(Refused):
    """Another container does this work in this place."""


class NotVerified(Refused):
    """A model file is not provably the one that was published."""


class NoModel(Refused):
    """The registry has no such model."""


class NotGoodEnough(Refused):
    """The model did not pass the gate; its failure's record keeps ``metrics``."""

    def __init__(self, message: str, metrics: dict[str, Any]) -> None:
        super().__init__(message)
        self.metrics = metrics


class Drifted(Refused):
    """The input is not as training's was; its failure's record keeps ``metrics``."""

    def __init__(self, message: str, metrics: dict[str, Any]) -> None:
        super().__init__(message)
        self.metrics = metrics


class OutOfService(Refused):
    """The model was revoked, removed or quarantined."""


class Overtaken(Refused):
    """Somebody else changed what is served between the look and the decision."""


class Stopped(BaseException):
    """SIGTERM arrived. No ``Exception``: a broad ``except`` in a user's transformation must not swallow it."""


def short(name: str, limit: int = 60) -> str:
    """``name`` in quotes, cut at ``limit`` characters: a message must keep room for what to do next."""
    return repr(name if len(name) <= limit else name[: limit - 1] + "…")


def listed(names: Iterable[str], most: int = 20) -> str:
    """``'a', 'b'``, with the rest counted after ``most`` names and long names cut."""
    shown = [short(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def one_line(text: str, limit: int = 2000) -> str:
    """``text`` with every line break and control character escaped, cut at ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def wants_threads(text: str) -> bool:
    """Whether ``text`` is what Python or a library says when it may not start another thread or process."""
    return any(words in text for words in _NO_THREAD)


def refusal_of(error: OSError, path: str) -> Refused | None:
    """The refusal that says what a full disk or a missing permission at ``path`` means; None for any other error."""
    if error.errno not in _NEXT:
        return None
    kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else Refused
    return kind(f"{path}: {error.strerror}. {_NEXT[error.errno]}")
