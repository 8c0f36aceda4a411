"""Which logical task has which outcome, found without reading the logs: an index that can be thrown away.

It is filled from the logs and follows them, reading what was appended since. What it says is looked up in the log, so a
wrong index can cost a search, and never an outcome. While it reads it follows the chain, and so notices where a log is
not the one that it was: shorter, or with another end.

It is called with the registry's lock held, so that no line is read that is not on disk yet, or taken back again.

One row for each outcome, failure, used approval or rejection, of two numbers: half a hash of the try's id, and the
line's place.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

import msgspec

from bulkhead import untrusted
from bulkhead.files import sha256
from bulkhead.maintenance.seen_heads import not_the_log
from bulkhead.paths import JOURNALS
from bulkhead.registry import chain, record_lines, records
from bulkhead.registry.chain import Head
from bulkhead.registry.records import FailedAttempt, ModelRecord, Rejection
from registrar.own_tables import JOURNAL_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registrar_protocol import SeenHead
    from bulkhead.registry.records import Record, Success, Unreadable

_BATCH = 10_000
_PIECE = 1 << 20


class NotTheLog(Exception):
    """A log is not the one that was seen before: its end is missing, or it was set back or replaced."""


class _Promoted(msgspec.Struct, gc=False):
    first_try: str | None = None
    approval: str | None = None


class _Line(msgspec.Struct, gc=False):
    """The little that the index needs of a line."""

    first_try: str | None = None
    try_id: str | None = None
    rejection_time: str | None = None
    promotion: _Promoted | None = None


_decode = msgspec.json.Decoder(_Line).decode


class _Position:
    """How far a journal was read, and how its last line is known again."""

    def __init__(self) -> None:
        self.offset = 0
        self.last_offset = self.last_end = 0
        """Where the last line that is not blank begins and ends."""
        self.last = chain.ZEROS
        self.seq: int | None = None
        self.inode: tuple[int, int] | None = None


class OutcomeIndex:
    """By logical task, its outcome; by try, its failure.

    Args:
        folder: the registry.
        path: the index's file; what is there is thrown away.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._lock = threading.RLock()
        self._positions: dict[JournalName, _Position] = {}
        self._db: sqlite3.Connection
        self._expected: dict[JournalName, SeenHead] = {}
        self._found: set[JournalName] = set()
        self._clear()

    def rebuild(self, heads: Mapping[JournalName, SeenHead]) -> None:
        """Fill the index anew, and look whether each log has the line that was seen as its last.

        Raises:
            NotTheLog: one has not; the index is filled all the same.
        """
        with self._lock:
            self._clear()
            self._expected = dict(heads)
            self._found = set()
            for journal in JOURNAL_NAMES:
                self._read_on(journal, is_followed=False)
            for journal, head in heads.items():
                if journal not in self._found:
                    raise NotTheLog(not_the_log(journal, head.seq, self._positions[journal].seq, head.seen_at))

    def follow(self) -> dict[JournalName, Head]:
        """Read what was appended since; returns the last line of each journal that has a chain.

        Raises:
            NotTheLog: a log is not the one that was read before.
        """
        with self._lock:
            for journal in JOURNAL_NAMES:
                self._read_on(journal, is_followed=True)
            return {
                journal: Head(journal, at.seq, at.last) for journal, at in self._positions.items() if at.seq is not None
            }

    def outcome(self, first_try: str) -> Success | None:
        """The outcome with this key, in what was read; None: there is none."""
        found = self._record("outcome", first_try)
        if isinstance(found, records.Success) and records.first_try_of(found) == first_try:
            return found
        return None

    def has_failure(self, try_id: str) -> bool:
        """Whether the failure of this try is recorded, in what was read."""
        found = self._record("failure", try_id)
        return isinstance(found, FailedAttempt) and found.try_id == try_id

    def promotion_by(self, approval: str) -> ModelRecord | None:
        """The promotion that the approval with this id was for, in what was read; None: there is none."""
        found = self._record("approval", approval)
        if isinstance(found, ModelRecord) and found.promotion is not None and found.promotion.approval == approval:
            return found
        return None

    def has_rejection(self, try_id: str) -> bool:
        """Whether the rejection of what this try asked is recorded, in what was read."""
        found = self._record("rejection", try_id)
        return isinstance(found, Rejection) and found.try_id == try_id

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _record(self, kind: str, try_id: str) -> Record | Unreadable | None:
        with self._lock:
            row = self._db.execute("SELECT place FROM seen WHERE key = ?", (_key(kind, try_id),)).fetchone()
            if row is None:
                return None
            offset, number = divmod(row[0], len(JOURNAL_NAMES))
            return record_lines.decode(self._line_at(JOURNAL_NAMES[number], offset), offset)

    def _line_at(self, journal: JournalName, offset: int) -> bytes:
        name = JOURNALS[journal]
        with untrusted.open_file(self._folder, name, called=f"models/{name}") as file:
            file.seek(offset)
            return file.readline(untrusted.LINE_LIMIT + 1).rstrip(b"\n")

    def _clear(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()
        for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
            with suppress(FileNotFoundError):
                path.unlink()
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA cache_size = -2048")
        self._db.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, place INTEGER NOT NULL)")
        self._positions = {journal: _Position() for journal in JOURNAL_NAMES}

    def _read_on(self, journal: JournalName, *, is_followed: bool) -> None:
        # On a copy: what is not read to its end, or not kept, is read again.
        name, at = JOURNALS[journal], copy(self._positions[journal])
        try:
            file = untrusted.open_file(self._folder, name, called=f"models/{name}")
        except FileNotFoundError:
            if at.offset:
                raise NotTheLog(not_the_log(journal, at.seq, None)) from None
            return
        with file:
            found = os.fstat(file.fileno())
            if at.last_end and _line_in(file, at) != at.last:
                raise NotTheLog(not_the_log(journal, at.seq, None))
            if at.inode == (found.st_dev, found.st_ino) and found.st_size == at.offset:
                return
            at.inode = (found.st_dev, found.st_ino)
            file.seek(at.offset)
            self._read_lines(journal, at, file, is_followed=is_followed)
        self._positions[journal] = at

    def _read_lines(self, journal: JournalName, at: _Position, file: object, *, is_followed: bool) -> None:
        expected = self._expected.get(journal)
        rows: list[tuple[int, int]] = []
        readline = file.readline  # type: ignore[attr-defined]  # a binary file
        offset = at.offset
        while line := readline(untrusted.LINE_LIMIT + 1):
            start, digest, whole = offset, None, line
            offset += len(line)
            if not line.endswith(b"\n"):
                # Too long, or not written whole yet.
                digest, length, ended = _rest(readline, line)
                offset += length
                if not ended:
                    break
                whole = b""
            if whole and not whole.strip():
                at.offset = offset
                continue
            text = whole[:-1]
            link = chain.parse(text)
            if is_followed and link is not None and at.seq is not None and link.prev != at.last:
                raise NotTheLog(not_the_log(journal, at.seq, link.seq))
            at.last = digest or sha256(text)
            at.offset = at.last_end = offset
            at.last_offset = start
            if link is not None:
                at.seq = link.seq
            if expected is not None and at.last == expected.hash:
                self._found.add(journal)
            # What is not part of the chain nobody has recorded.
            if link is not None:
                place = start * len(JOURNAL_NAMES) + JOURNAL_NAMES.index(journal)
                rows += ((key, place) for key in _keys_of(text))
            if len(rows) >= _BATCH:
                self._insert(rows)
        self._insert(rows)

    def _insert(self, rows: list[tuple[int, int]]) -> None:
        # The first outcome of a task counts, should an edited log have two.
        rows.sort()
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        self._db.execute("COMMIT")
        rows.clear()


def _line_in(file: BufferedReader, at: _Position) -> str:
    """The hash of what stands now where the last line was."""
    return sha256(os.pread(file.fileno(), at.last_end - at.last_offset, at.last_offset).removesuffix(b"\n"))


def _rest(readline: object, line: bytes) -> tuple[str, int, bool]:
    """The hash of a line that was begun, how much of it was left, and whether it has an end."""
    digest = hashlib.sha256(line)
    length = 0
    while piece := readline(_PIECE):  # type: ignore[operator]  # a file's method
        length += len(piece)
        digest.update(piece.removesuffix(b"\n"))
        if piece.endswith(b"\n"):
            return digest.hexdigest(), length, True
    return digest.hexdigest(), length, False


def _keys_of(line: bytes) -> Iterator[int]:
    if b'_try"' not in line and b'"try_id"' not in line:
        return
    try:
        found = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if found.try_id is not None:
        yield _key("failure" if found.rejection_time is None else "rejection", found.try_id)
        return
    first = found.promotion.first_try if found.promotion is not None else found.first_try
    if first is not None:
        yield _key("outcome", first)
    if found.promotion is not None and found.promotion.approval is not None:
        yield _key("approval", found.promotion.approval)


def _key(kind: str, try_id: str) -> int:
    digest = hashlib.blake2b(f"{kind} {try_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
