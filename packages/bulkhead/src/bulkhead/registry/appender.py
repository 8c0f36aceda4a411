"""Appends lines to a journal whose lock this process holds: whole, synced, and each a link of the chain."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from bulkhead import clock
from bulkhead.files import sha256
from bulkhead.paths import JOURNALS
from bulkhead.registry import chain, records
from bulkhead.registry.chain import Head
from bulkhead.registry.records import Anchor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.chain import Key, KeyRing
    from bulkhead.registry.records import Record

_BLOCK = 1 << 16
_PIECE = 1 << 20


class _Tail:
    """The end of a journal: the last line's hash, and the chain's last number."""

    def __init__(self, seq: int | None, last: str, size: int, *, torn: bool) -> None:
        self.seq = seq
        """None: no line of it is part of a chain."""
        self.last = last
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

    def append(self, record: Record) -> Head:
        """Append ``record`` as one line and sync it; returns its place in the chain.

        Raises:
            OSError: the line could not be written whole; the journal is as it was.
        """
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
        content = b"\n" * tail.torn + b"".join(line + b"\n" for line in lines)
        try:
            self._write(content)
        except BaseException:
            os.ftruncate(self._descriptor, tail.size)
            self._tail = None
            raise
        self._tail = _Tail(seq, last, tail.size + len(content), torn=False)
        _remember(self._descriptor, self._tail)
        return Head(self._name, seq, last)

    def head(self) -> Head | None:
        """The last line of the chain; None: there is no chain yet."""
        tail = self._end()
        return None if tail.seq is None else Head(self._name, tail.seq, tail.last)

    @property
    def _name(self) -> JournalName:
        return next(name for name, file in JOURNALS.items() if file == self.path.name)

    def _end(self) -> _Tail:
        size = os.fstat(self._descriptor).st_size
        if self._tail is None or self._tail.size != size:
            self._tail = _remembered(self._descriptor, size) or _find_tail(self._descriptor, size)
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
            lines=count + tail.torn,
            size_bytes=tail.size,
            sha256=digest.hexdigest(),
        )

    def _write(self, content: bytes) -> None:
        if os.write(self._descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self._descriptor)


def _linked(record: Record, seq: int, prev: str, key: Key | None) -> bytes:
    return chain.link(records.encode(record).rstrip(b"\n"), seq, prev, key)


_known: dict[tuple[int, int], _Tail] = {}
"""By device and inode, the end that this process wrote or read last: as long as the size is the same, it still is."""


def _remember(descriptor: int, tail: _Tail) -> None:
    found = os.fstat(descriptor)
    if len(_known) > 16:  # noqa: PLR2004  # two are in use; tests have many
        _known.clear()
    _known[found.st_dev, found.st_ino] = tail


def _remembered(descriptor: int, size: int) -> _Tail | None:
    found = os.fstat(descriptor)
    tail = _known.get((found.st_dev, found.st_ino))
    if tail is None or tail.size != size or tail.torn or size == 0:
        return None
    # The same size is not the same content: somebody may have edited the file in place.
    last = _last_line(descriptor, size)
    return tail if last is not None and sha256(last) == tail.last else None


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


def _last_line(descriptor: int, size: int) -> bytes | None:
    content = os.pread(descriptor, min(size, _BLOCK), max(0, size - _BLOCK)).rstrip(b"\n")
    start = content.rfind(b"\n")
    if start < 0 and size > _BLOCK:
        return None
    return content[start + 1 :]
