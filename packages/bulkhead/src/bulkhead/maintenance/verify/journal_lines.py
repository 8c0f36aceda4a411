"""The lines of a journal as ``verify`` reads them: up to a point that no writer moves, each with its place.

No lock is taken: it needs the right to write, and verify has none. A writer appends a line in one write, so what
stands before the journal's end is final, but for a line that has no end yet: that is looked at again for a while, until
it has one, or is taken for torn. A journal that is no plain file, or that is sparse, is refused; a line that is longer
than a line may be is passed over in pieces.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from bulkhead import untrusted
from bulkhead.files import sha256
from bulkhead.maintenance.verify.findings import Finding, finding
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.record_lines import decode
from bulkhead.registry.records import (
    Acceptance,
    Anchor,
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Quarantine,
    Rejection,
    Removal,
    Revocation,
    Rollback,
    TrainingFailure,
    Unreadable,
)
from bulkhead.registry.store import TRAININGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bulkhead.maintenance.verify.chain import ChainCheck
    from bulkhead.maintenance.verify.findings import Kind
    from bulkhead.registry.records import Record

    Progress = Callable[[int], object]
    """Called with the number of bytes that were dealt with since the last call."""

_BLOCK = 1 << 20
_BEGINNING = 80
"""Bytes of a line that is too long."""


PATIENCE_SECONDS = 10.0
"""For a writer in the middle of a line, or between a file and its record: an fsync on a busy disk takes seconds."""
IN_THE_MAKING = 60
"""Seconds that a writer may take for a line, or from a file to its record; what is older is not waited for."""
_LOOK_SECONDS = 0.02


def opened(path: Path) -> BinaryIO:
    """The journal at ``path``.

    Raises:
        FileNotFoundError: there is none.
        Untrusted: it is a link, no plain file, or sparse.
    """
    return untrusted.open_file(path.parent, path.name, called=f"models/{path.name}")


def end_of(path: Path) -> int:
    """The end of the journal at ``path``, that of a whole line where it has one; 0 where there is no journal.

    Raises:
        OSError: the journal cannot be read.
        Untrusted: it is a link, no plain file, or sparse.
    """
    try:
        file = opened(path)
    except FileNotFoundError:
        return 0
    with file:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = os.fstat(file.fileno())
            end = found.st_size
            if end == 0 or os.pread(file.fileno(), 1, end - 1) == b"\n":
                return end
            if time.monotonic() > deadline or time.time() > found.st_mtime + IN_THE_MAKING:
                return end
            time.sleep(_LOOK_SECONDS)


def nobody(_size: int) -> None:
    """The default progress: does nothing."""


class JournalLines:
    """The lines of one journal; read once from the start, and then on from where it ended.

    Lines that are no record of this journal are kept as two numbers each until the end: a quarantine
    is recorded after the line it is about, and any number of lines may be bad.
    """

    def __init__(self, path: Path, progress: Progress = nobody, chain: ChainCheck | None = None) -> None:
        self.path = path
        self.chain = chain
        self.shown = f"models/{path.name}"
        self.offset = 0
        """Where the next line begins."""
        self.number = 1
        """Of the next line."""
        self._progress = progress
        self._told: deque[Finding] = deque()
        self._is_bad = False
        self._unfinished: tuple[int, int, bool] | None = None
        self._bad = array("q")
        self._quarantined: set[tuple[int, int, str]] = set()

    def until(self, end: int) -> Iterator[bytes]:
        """Every line that begins before ``end``, without blank ones; meanwhile offset and number are that line's.

        Of a line that is longer than a line may be only the beginning is given, which is no record.
        """
        if self.offset >= end:
            return
        reported = self.offset
        with opened(self.path) as file:
            file.seek(self.offset)
            rest = self._feed_unfinished()
            while self.offset < end:
                line = file.readline(untrusted.LINE_LIMIT + 1)
                if not line:
                    break
                self._is_bad = line.isspace()
                whole, digest, size = line.endswith(b"\n"), "", len(line)
                if size > untrusted.LINE_LIMIT and not whole:
                    size, digest, whole = self._pass_over(file, line)
                    yield line[:_BEGINNING]
                elif not self._is_bad:
                    yield line
                if not whole:
                    self._unfinished = (self.offset, self.number, not self._is_bad)
                elif not rest:
                    self._feed(None if digest else line, digest, self.offset, self.number, is_record=not self._is_bad)
                rest = False
                self.offset += size
                self.number += whole
                if self.offset - reported >= _BLOCK:
                    self._progress(self.offset - reported)
                    reported = self.offset
        self._progress(self.offset - reported)

    def _feed(self, raw: bytes | None, digest: str, offset: int, number: int, *, is_record: bool) -> None:
        if self.chain is not None:
            known = digest or sha256((raw or b"").rstrip(b"\n"))
            self._told += self.chain.feed(raw, known, number, offset, is_record=is_record and raw is not None)

    def _feed_unfinished(self) -> bool:
        """Feed the last line, which had no end, as it is now; whether there was one."""
        if self._unfinished is None:
            return False
        (offset, number, is_record), self._unfinished = self._unfinished, None
        if self.chain is not None:
            line = line_at(self.path, offset)
            is_short = line.size == len(line.content)
            self._feed(line.content + b"\n" if is_short else None, line.sha256, offset, number, is_record=is_record)
        return True

    def _pass_over(self, file: BinaryIO, line: bytes) -> tuple[int, str, bool]:
        """The size of a line that begins with ``line``, its hash without its end, and whether it has one."""
        digest, size, piece = hashlib.sha256(), 0, line
        while piece:
            size += len(piece)
            digest.update(piece.rstrip(b"\n"))
            if self.chain is not None:
                self.chain.piece(piece)
            if piece.endswith(b"\n"):
                return size, digest.hexdigest(), True
            piece = file.readline(_BLOCK)
        return size, digest.hexdigest(), False

    def told(self) -> Iterator[Finding]:
        """What the chain tells of the lines that were read since the last call."""
        while self._told:
            yield self._told.popleft()

    def ended(self) -> Iterator[Finding]:
        """What the chain tells when there is no further line."""
        self._feed_unfinished()
        yield from self.told()
        if self.chain is not None:
            yield from self.chain.end()

    def decoded(self, line: bytes) -> Record | Unreadable:
        """The record in ``line``, as every reader of the journal sees it."""
        return decode(line.rstrip(b"\n"), self.offset)

    def at(self, kind: Kind, sentence: str) -> Finding:
        """A finding about the current line."""
        return finding(kind, self.shown, sentence, offset=self.offset, line=self.number)

    def is_bad(self) -> None:
        """The current line is no record of this journal."""
        self._is_bad = True
        self._bad.extend((self.offset, self.number))

    def is_quarantined(self, record: Quarantine) -> None:
        """``record`` explains a line, of this journal or of another."""
        if record.offset is not None and record.path == self.shown:
            self._quarantined.add((record.offset, record.size_bytes, record.sha256))

    def unexplained(self) -> Iterator[Finding]:
        """The bad lines that no quarantine explains, and the quarantines that explain no line."""
        unfounded = set(self._quarantined)
        pairs = iter(self._bad)
        for offset, number in zip(pairs, pairs, strict=True):
            line = line_at(self.path, offset)
            mark = (offset, line.size, line.sha256)
            if mark in self._quarantined:
                unfounded.discard(mark)
            else:
                yield self._bad_line(line, offset, number)
        for offset, size, _ in sorted(unfounded):
            yield finding(
                "unfounded_quarantine",
                self.shown,
                f"{self.shown}, byte {offset}: a quarantine was recorded of a line of {size} bytes there, and another"
                " stands there now, so the journal was edited in place. Restore it from a backup.",
                offset=offset,
            )

    def _bad_line(self, line: WholeLine, offset: int, number: int) -> Finding:
        record = line.decoded(offset)
        where = f"{self.shown}, line {number}, byte {offset}"
        next_step = "Run 'just registry repair'."
        if not isinstance(record, Unreadable):
            what = f"a {type(record).__name__} does not belong in this journal, and no reader takes it there"
            return finding("foreign_line", self.shown, f"{where}: {what}. {next_step}", offset=offset, line=number)
        torn = "truncated" in record.reason
        what = "the line was cut off" if torn else "the line is no record"
        sentence = f"{where}: {what} ({record.reason}). Readers pass it over. {next_step}"
        return finding("torn_line" if torn else "foreign_line", self.shown, sentence, offset=offset, line=number)


def kinds_in(path: Path) -> tuple[type[Record], ...]:
    """The kinds of record that belong in the journal at ``path``."""
    if path.name == TRAININGS:
        decided = (Rollback, Revocation, Removal, Quarantine, Rejection)
        return (ModelRecord, TrainingFailure, *decided, Note, Tag, Anchor, Acceptance)
    return (InferenceRecord, InferenceFailure, Quarantine, Anchor, Acceptance)


class WholeLine(msgspec.Struct, frozen=True):
    """A line of any length, without its end."""

    size: int
    sha256: str
    content: bytes
    """All of it, or the beginning of one that is longer than a line may be."""

    def decoded(self, offset: int) -> Record | Unreadable:
        """The record in it, as every reader sees it."""
        if self.size > untrusted.LINE_LIMIT:
            return too_long(self.content, offset)
        return decode(self.content, offset)


def line_at(path: Path, offset: int) -> WholeLine:
    """The line that begins at ``offset``.

    Raises:
        OSError: the journal cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    content = b""
    for piece in pieces_at(path, offset):
        if size + len(piece) <= untrusted.LINE_LIMIT:
            content += piece
        size += len(piece)
        digest.update(piece)
    return WholeLine(size, digest.hexdigest(), content if size == len(content) else content[:_BEGINNING])


def pieces_at(path: Path, offset: int) -> Iterator[bytes]:
    """The line that begins at ``offset`` in pieces, without its end."""
    with opened(path) as file:
        file.seek(offset)
        while piece := file.readline(_BLOCK):
            if piece.endswith(b"\n"):
                yield piece[:-1]
                return
            yield piece


def too_long(line: bytes, offset: int) -> Unreadable:
    """What every reader makes of a line that is longer than a line may be."""
    reason = f"longer than {untrusted.LINE_LIMIT >> 20} MiB"
    return Unreadable(offset, reason, line[:80].decode(errors="replace"))
