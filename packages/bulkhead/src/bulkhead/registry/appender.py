"""Appends lines to a journal whose lock this process holds: whole, synced, and each a link of the chain."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from bulkhead import clock
from bulkhead.files import sha256
from bulkhead.paths import JOURNALS
from bulkhead.registry import chain, record_lines
from bulkhead.registry.chain import Head
from bulkhead.registry.records import Anchor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.chain import Key, KeyRing
    from bulkhead.registry.records import Record

_PIECE = 1 << 20


class _Tail:
    """The end of a journal: the last line's hash, and the chain's last number."""

    def __init__(self, seq: int | None, last: str, size: int, *, torn: bool, length: int = 0) -> None:
        self.seq = seq
        """None: no line of it is part of a chain."""
        self.last = last
        self.length = length
        """Bytes of the last line, where this process wrote it; 0: it did not."""
        self.size = size
        self.torn = torn


class Appender:
    """A journal whose lock this process holds.

    Args:
        path: the journal.
        descriptor: it, open for reading and appending.
        ring: what signs; None: nothing does.
    """

    def __init__(self, path: Path, descriptor: int, ring: KeyRing | None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._key = ring.current if ring else None
        self._tail: _Tail | None = None
        self._file = (0, 0)  # device and inode, once the tail is known

    def append(self, record: Record) -> Head:
        """Append ``record`` as one line and sync it; returns its place in the chain.

        Raises:
            OSError: the line could not be written whole; the journal is as it was, and its last line has an end.
        """
        self.end_line()
        tail = self._end()
        lines: list[bytes] = []
        seq, last = tail.seq, tail.last
        if seq is None and tail.size:
            anchor = self._anchor(tail)
            lines.append(_linked(anchor, 1, last, self._key))
            seq, last = 1, sha256(lines[0])
        seq = (seq or 0) + 1
        lines.append(_linked(record, seq, last, self._key))
        last = sha256(lines[-1])
        length = len(lines[-1])
        content = b"".join(line + b"\n" for line in lines)
        try:
            self._write(content)
        except BaseException:
            os.ftruncate(self._descriptor, tail.size)
            self._tail = None
            raise
        self._tail = _Tail(seq, last, tail.size + len(content), torn=False, length=length)
        _remember(self._file, self._tail)
        return Head(self._name, seq, last)

    def end_line(self) -> None:
        """End the last line where it has no end: a writer was killed in it, or somebody edited the journal.

        Raises:
            OSError: the journal cannot be written; it is as it was.
        """
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._write(b"\n")
            self._tail = None

    def head(self) -> Head | None:
        """The last line of the chain; None: there is no chain yet."""
        tail = self._end()
        return None if tail.seq is None else Head(self._name, tail.seq, tail.last)

    @property
    def _name(self) -> JournalName:
        return next(name for name, file in JOURNALS.items() if file == self.path.name)

    def _end(self) -> _Tail:
        found = os.fstat(self._descriptor)
        if self._tail is None or self._tail.size != found.st_size:
            self._file = found.st_dev, found.st_ino
            remembered = _remembered(self._descriptor, self._file, found.st_size)
            self._tail = remembered or _find_tail(self._descriptor, found.st_size)
        return self._tail

    def _anchor(self, tail: _Tail) -> Anchor:
        """What stands in the journal by now, which no chain covers."""
        digest = hashlib.sha256()
        count = 0
        for offset in range(0, tail.size, _PIECE):
            piece = os.pread(self._descriptor, min(_PIECE, tail.size - offset), offset)
            digest.update(piece)
            count += piece.count(b"\n")
        return Anchor(
            anchor_time=clock.in_record(clock.now()),
            lines=count,
            size_bytes=tail.size,
            sha256=digest.hexdigest(),
        )

    def _write(self, content: bytes) -> None:
        if os.write(self._descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self._descriptor)


def _linked(record: Record, seq: int, prev: str, key: Key | None) -> bytes:
    return chain.link(record_lines.encode(record).rstrip(b"\n"), seq, prev, key)


_known: dict[tuple[int, int], _Tail] = {}
"""By device and inode, the end that this process wrote last: as long as the size is the same, it still is."""


def _remember(file: tuple[int, int], tail: _Tail) -> None:
    if len(_known) > 16:  # noqa: PLR2004  # two are in use; tests have many
        _known.clear()
    _known[file] = tail


def _remembered(descriptor: int, file: tuple[int, int], size: int) -> _Tail | None:
    tail = _known.get(file)
    if tail is None or tail.size != size or not tail.length:
        return None
    # The same size is not the same content: somebody may have edited the file in place.
    line = os.pread(descriptor, tail.length + 1, size - tail.length - 1)
    return tail if line.endswith(b"\n") and sha256(line[:-1]) == tail.last else None


def _find_tail(descriptor: int, size: int) -> _Tail:
    """The end of a journal that this process does not know: read backwards, a piece in memory at a time.

    Of a chained journal that is its last line. Of one that no chain covers it is all of it, once: it is anchored then.
    """
    if size == 0:
        return _Tail(None, chain.ZEROS, 0, torn=False)
    torn = os.pread(descriptor, 1, size - 1) != b"\n"
    return _Tail(_last_seq(descriptor, size), _hash_of_last_line(descriptor, size), size, torn=torn)


def _last_seq(descriptor: int, size: int) -> int | None:
    """The number of the last line that is part of a chain, whatever stands behind it; None: there is none.

    However far that is from the end: a number that is given twice would break the chain by ourselves.
    """
    end = size
    while end > 0:
        start = max(0, end - _PIECE)
        lines = os.pread(descriptor, end - start, start).split(b"\n")
        if end < size:
            lines.pop()  # its end was in the piece before
        for line in reversed(lines):
            if (found := chain.parse(line)) is not None:
                return found.seq
        # A line's place in the chain stands in its last bytes: what is cut there is read again, whole.
        end = start and start + chain.LONGEST_END + 1
    return None


def _hash_of_last_line(descriptor: int, size: int) -> str:
    """The hash of the last line that is not empty, of whatever length."""
    inside = next((start + len(piece.rstrip()) for start, piece in _backwards(descriptor, size) if piece.strip()), 0)
    if inside == 0:
        return chain.ZEROS
    start = next((at + piece.rfind(b"\n") + 1 for at, piece in _backwards(descriptor, inside) if b"\n" in piece), 0)
    digest = hashlib.sha256()
    while start < size:
        line, end, _ = os.pread(descriptor, min(_PIECE, size - start), start).partition(b"\n")
        digest.update(line)
        if end:
            break
        start += len(line)
    return digest.hexdigest()


def _backwards(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The first ``size`` bytes in pieces, the last one first, each with its place."""
    while size > 0:
        start = max(0, size - _PIECE)
        yield start, os.pread(descriptor, size - start, start)
        size = start
