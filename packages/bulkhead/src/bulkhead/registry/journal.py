"""Append-only journals of records.

Writers: any number of processes on one host. Each takes an exclusive ``flock`` on the journal itself,
waits for it, and appends its line in one write, synced before the lock is let go. A writer that
finds a torn last line ends that line first; one that cannot finish its own (a full disk) cuts it
off again. On a network file system this holds only where ``flock`` reaches the other hosts (NFS 4
on Linux does); without that, keep the registry on a local disk.

Readers take no lock: a line is a record only when it is whole, so a reader beside a writer sees
the record or does not see it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulkhead.files import SHARED_MODE, sync_folder
from bulkhead.registry import records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bulkhead.registry.records import Record, Unreadable

logger = logging.getLogger(__name__)

_BLOCK = 1 << 16


class Appender:
    """A journal whose lock this process holds."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def append(self, record: Record) -> None:
        """Append ``record`` as one line and sync it.

        Raises:
            OSError: the line could not be written whole; the journal is as it was.
        """
        end = os.fstat(self._descriptor).st_size
        torn = end > 0 and os.pread(self._descriptor, 1, end - 1) != b"\n"
        line = b"\n" * torn + records.encode(record)
        try:
            self._write(line)
        except BaseException:
            os.ftruncate(self._descriptor, end)
            raise

    def _write(self, line: bytes) -> None:
        if os.write(self._descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self._descriptor)


@contextmanager
def locked(path: Path) -> Iterator[Appender]:
    """The journal at ``path``, made where it is missing, with its lock held; waits for other writers.

    Raises:
        OSError: the journal cannot be opened for writing.
    """
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Appender(path, descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL)
    except FileExistsError:  # another writer made it since
        return os.open(path, flags)
    os.fchmod(descriptor, SHARED_MODE)  # whatever the umask
    sync_folder(path.parent)
    return descriptor


def make(path: Path) -> None:
    """Make an empty journal at ``path`` where there is none; waits for nobody.

    Raises:
        OSError: the journal cannot be opened for writing.
    """
    os.close(_open(path))


def append(path: Path, record: Record) -> None:
    """Append ``record`` to the journal at ``path``.

    Raises:
        OSError: the journal cannot be written; it is as it was.
    """
    with locked(path) as appender:
        appender.append(record)


def read(path: Path, since: int = 0) -> Iterator[Record | Unreadable]:
    """Every line of the journal from byte ``since`` on, oldest first; nothing where there is no journal."""
    return (records.decode(line, offset) for offset, line in lines(path, since))


def read_newest_first(path: Path) -> Iterator[Record | Unreadable]:
    """Every line of the journal, newest first, read in blocks from its end."""
    return (records.decode(line, offset) for offset, line in lines_newest_first(path))


def lines(path: Path, since: int = 0) -> Iterator[tuple[int, bytes]]:
    """The lines that :func:`read` decodes, each with its first byte's place: to pick few out of many."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        offset = file.seek(since)
        for line in file:
            if line.strip():
                yield offset, line.rstrip(b"\n")
            offset += len(line)


def lines_newest_first(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that :func:`read_newest_first` decodes, each with its first byte's place."""
    return ((offset, line) for offset, line in _lines_from_end(path) if line.strip())


def report(line: Unreadable, path: Path) -> None:
    """Say in this process's log that ``line`` was passed over."""
    logger.warning("%s: passed over an unreadable line at byte %d: %s", path.name, line.offset, line.reason)


def _lines_from_end(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        position = file.seek(0, os.SEEK_END)
        # Pieces of a line whose beginning is not read yet, last piece first: joined once, so that a
        # line of many blocks is not copied at each.
        pieces: list[bytes] = []
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            lines = file.read(size).split(b"\n")
            pieces.append(lines.pop())
            start = position + size - len(pieces[-1])
            while lines:
                yield start, b"".join(reversed(pieces))
                pieces = [lines.pop()]
                start -= len(pieces[0]) + 1
        yield 0, b"".join(reversed(pieces))
