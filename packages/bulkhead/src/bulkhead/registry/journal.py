"""Append-only journals of records.

Writers: any number of processes on one host. Each takes the registry's lock (:mod:`bulkhead.registry.lock`), waits for
it, and appends its line in one write, synced before the lock is let go. A writer that finds a torn last line ends that
line first; one that cannot finish its own (a full disk) cuts it off again. Each line is a link of the journal's chain
(:mod:`bulkhead.registry.chain`); a journal that was written before there was one is anchored by the next line.

Readers take no lock: a line is a record only when it is whole, so a reader beside a writer sees the record or does not
see it. They read as :mod:`bulkhead.untrusted` does, and hold one line in memory, of bounded length.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.files import SHARED_MODE, sha256, sync_folder
from bulkhead.registry import lock, record_lines
from bulkhead.registry.appender import Appender
from bulkhead.registry.records import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

    from bulkhead.registry.chain import Head, KeyRing
    from bulkhead.registry.records import Record

logger = logging.getLogger(__name__)

_BLOCK = 1 << 16


@contextmanager
def locked(path: Path, ring: KeyRing | None = None) -> Iterator[Appender]:
    """The journal at ``path``, made where it is missing, with the registry's lock held; waits for other writers.

    Raises:
        Refused: the lock was held by another for too long.
        OSError: the journal cannot be opened for writing.
    """
    with lock.locked(path.parent):
        descriptor = _open(path)
        try:
            yield Appender(path, descriptor, ring)
        finally:
            os.close(descriptor)


def _open(path: Path) -> int:
    # Not through a link, nor a FIFO that would wait: the folder may have been another's for a while.
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return _plain(os.open(path, flags), path)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL)
    except FileExistsError:  # another writer made it since
        return _plain(os.open(path, flags), path)
    os.fchmod(descriptor, SHARED_MODE)  # whatever the umask
    sync_folder(path.parent)
    return descriptor


def _plain(descriptor: int, path: Path) -> int:
    try:
        untrusted.check_plain(descriptor, f"models/{path.name}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def has_line(path: Path, digest: str) -> bool:
    """Whether the journal has a line with this SHA-256; looked for from its end, where the last one seen should be.

    Raises:
        Untrusted: as :func:`read`.
    """
    return any(sha256(line) == digest for _, line in lines_newest_first(path))


def make(path: Path) -> None:
    """Make an empty journal at ``path`` where there is none; waits for nobody.

    Raises:
        OSError: the journal cannot be opened for writing.
    """
    os.close(_open(path))


def append(path: Path, record: Record, ring: KeyRing | None = None) -> Head:
    """Append ``record`` to the journal at ``path``; returns its place in the chain.

    Raises:
        OSError: the journal cannot be written; it is as it was.
    """
    with locked(path, ring) as appender:
        return appender.append(record)


def read(path: Path, since: int = 0) -> Iterator[Record | Unreadable]:
    """Every line of the journal from byte ``since`` on, oldest first; nothing where there is no journal.

    Raises:
        Untrusted: it is no plain file, or a sparse one.
    """
    return (_decoded(line, offset) for offset, line in lines(path, since))


def read_newest_first(path: Path) -> Iterator[Record | Unreadable]:
    """Every line of the journal, newest first, read in blocks from its end.

    Raises:
        Untrusted: as :func:`read`.
    """
    return (_decoded(line, offset) for offset, line in lines_newest_first(path))


def _decoded(line: bytes, offset: int) -> Record | Unreadable:
    if is_too_long(line):
        text = line[:80].decode(errors="replace")
        return Unreadable(offset, f"the line is longer than {untrusted.LINE_LIMIT >> 20} MiB", text)
    return record_lines.decode(line, offset)


def is_too_long(line: bytes) -> bool:
    """Whether ``line`` is the beginning of one that is too long to be a record."""
    return len(line) > untrusted.LINE_LIMIT


def lines(path: Path, since: int = 0) -> Iterator[tuple[int, bytes]]:
    """The lines that :func:`read` decodes, each with its first byte's place: to pick few out of many.

    Of a line that is longer than a record may be, one byte more than that is handed on.
    """
    file = _reader(path)
    if file is None:
        return
    with file:
        offset = file.seek(since)
        while line := file.readline(untrusted.LINE_LIMIT + 1):
            length = len(line)
            if length > untrusted.LINE_LIMIT and not line.endswith(b"\n"):
                length += _skip_line(file)
            else:
                line = line.removesuffix(b"\n")  # what the loop is about
            if line.strip():
                yield offset, line
            offset += length


def lines_newest_first(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that :func:`read_newest_first` decodes, each with its first byte's place."""
    return ((offset, line) for offset, line in _lines_from_end(path) if line.strip())


def report(line: Unreadable, path: Path) -> None:
    """Say in this process's log that ``line`` was passed over."""
    logger.warning("%s: passed over an unreadable line at byte %d: %s", path.name, line.offset, line.reason)


def _reader(path: Path) -> BufferedReader | None:
    try:
        return untrusted.open_file(path.parent, path.name, called=f"models/{path.name}")
    except FileNotFoundError:
        return None


def _skip_line(file: BufferedReader) -> int:
    """Read on to the end of the line; returns how many bytes that were."""
    skipped = 0
    while piece := file.readline(_BLOCK):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


def _lines_from_end(path: Path) -> Iterator[tuple[int, bytes]]:
    file = _reader(path)
    if file is None:
        return
    with file:
        position = file.seek(0, os.SEEK_END)
        pieces = _Pieces()
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            found = file.read(size).split(b"\n")
            pieces.put_before(found.pop())
            start = position + size - pieces.newest
            while found:
                yield start, pieces.joined()
                pieces = _Pieces()
                pieces.put_before(found.pop())
                start -= pieces.newest + 1
        yield 0, pieces.joined()


class _Pieces:
    """The pieces of a line whose beginning is not read yet, last one first: joined once, and of bounded size."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.newest = 0

    def put_before(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        self.newest = len(piece)
        while self._size - len(self._pieces[0]) > untrusted.LINE_LIMIT:  # its beginning says enough
            self._size -= len(self._pieces.pop(0))

    def joined(self) -> bytes:
        return b"".join(reversed(self._pieces))
