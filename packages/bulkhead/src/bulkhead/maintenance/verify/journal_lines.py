"""The lines of a journal as ``verify`` reads them: up to a point that no writer moves, each with its place.

Under the journal's shared lock no writer is in the middle of a line, so what stands before the journal's end at
that moment is final: only later bytes can still change. A torn line before it was torn for good.
"""

from __future__ import annotations

import fcntl
import os
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulkhead.files import sha256
from bulkhead.maintenance.verify.findings import Finding, finding
from bulkhead.registry.records import (
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Quarantine,
    Removal,
    Revocation,
    Rollback,
    TrainingFailure,
    Unreadable,
    decode,
)
from bulkhead.registry.store import TRAININGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bulkhead.maintenance.verify.findings import Kind
    from bulkhead.registry.records import Record

    Progress = Callable[[int], object]
    """Called with the number of bytes that were dealt with since the last call."""

_BLOCK = 1 << 20


@contextmanager
def end_of(path: Path) -> Iterator[int]:
    """The end of the journal at ``path``, which no writer moves during the block; 0 where there is no journal.

    Raises:
        OSError: the journal cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield 0
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def nobody(_size: int) -> None:
    """The default progress: does nothing."""


class JournalLines:
    """The lines of one journal; read once from the start, and then on from where it ended.

    Lines that are no record of this journal are kept as two numbers each until the end: a quarantine
    is recorded after the line it is about, and any number of lines may be bad.
    """

    def __init__(self, path: Path, progress: Progress = nobody) -> None:
        self.path = path
        self.shown = f"models/{path.name}"
        self.offset = 0
        """Where the next line begins."""
        self.number = 1
        """Of the next line."""
        self._progress = progress
        self._bad = array("q")
        self._quarantined: set[tuple[int, int, str]] = set()

    def until(self, end: int) -> Iterator[bytes]:
        """Every line that begins before ``end``, without blank ones; meanwhile offset and number are that line's."""
        if self.offset >= end:
            return
        reported = self.offset
        with self.path.open("rb", buffering=_BLOCK) as file:
            file.seek(self.offset)
            for line in file:
                if not line.isspace():
                    yield line
                self.offset += len(line)
                self.number += line.endswith(b"\n")
                if self.offset - reported >= _BLOCK:
                    self._progress(self.offset - reported)
                    reported = self.offset
                if self.offset >= end:
                    break
        self._progress(self.offset - reported)

    def decoded(self, line: bytes) -> Record | Unreadable:
        """The record in ``line``, as every reader of the journal sees it."""
        return decode(line.rstrip(b"\n"), self.offset)

    def at(self, kind: Kind, sentence: str) -> Finding:
        """A finding about the current line."""
        return finding(kind, self.shown, sentence, offset=self.offset, line=self.number)

    def is_bad(self) -> None:
        """The current line is no record of this journal."""
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
            mark = (offset, len(line), sha256(line))
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

    def _bad_line(self, line: bytes, offset: int, number: int) -> Finding:
        record = decode(line, offset)
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
        return (ModelRecord, TrainingFailure, Rollback, Revocation, Removal, Quarantine)
    return (InferenceRecord, InferenceFailure, Quarantine)


def line_at(path: Path, offset: int) -> bytes:
    """The line that begins at ``offset``, without its end."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.readline().rstrip(b"\n")
