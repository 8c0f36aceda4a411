"""The registry's one lock: whoever appends to a journal, or takes a name in ``models/``, holds it.

It is a file that nobody may read and its owner and group may write (mode 0220), so it can be opened only for writing:
a step has ``models/`` mounted read-only, and cannot hold up a decision by taking the lock. A thread that holds it may
take it again: looking for an outcome, and recording one where there is none, is one critical section.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = ".lock"
_MODE = 0o220
_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.005

_held = threading.local()


class LockHeld(Refused):
    """Somebody has held the lock for longer than anything takes; later it may be free."""


@contextmanager
def locked(folder: Path, *, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of the registry in ``folder``; waits for whoever has it.

    Raises:
        LockHeld: somebody has held it for ``seconds``, a minute if not given.
        Refused: it is no plain file.
        OSError: the folder cannot be written.
    """
    mine: set[tuple[int, int]] = _held.__dict__.setdefault("folders", set())
    found = folder.stat()
    key = found.st_dev, found.st_ino  # whatever path leads there
    if key in mine:
        yield
        return
    descriptor = _taken(folder / NAME, _WAIT_SECONDS if seconds is None else seconds)
    try:
        mine.add(key)
        yield
    finally:
        mine.discard(key)
        os.close(descriptor)


def _taken(path: Path, seconds: float) -> int:
    end = time.monotonic() + seconds
    while True:
        descriptor = _open(path)
        try:
            untrusted.check_plain(descriptor, f"models/{NAME}")
            _wait(descriptor, end, seconds)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody removed or replaced the file between open and lock: others lock the new one


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    # At once or not at all: a FIFO would wait for a reader.
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE)
    except FileExistsError:  # another writer made it since
        return os.open(path, flags)
    os.fchmod(descriptor, _MODE)  # whatever the umask
    return descriptor


def _wait(descriptor: int, end: float, seconds: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
        else:
            return
        if time.monotonic() > end:
            raise LockHeld(
                f"models/{NAME} has been held by another process for {seconds:g} s, so nothing was recorded."
                " Look who holds it (fuser models/.lock), then try again."
            )
        time.sleep(_PAUSE_SECONDS)
