"""The index's file: who writes it, who reads it, and when it is made anew.

It is temporary, and holds nothing that the journals do not. Any number of processes share it: one at a time
writes (an ``flock`` beside it), all read (SQLite's write-ahead log lets them). Whatever is wrong with it
is fixed by making it anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from bulkhead.index import file_state, journal_file, schema
from bulkhead.index.filling import Filler
from bulkhead.paths import JOURNALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.paths import JournalName

_BATCH_BYTES = 4 << 20
"""Of a journal, in one transaction."""
_SECONDS_OF_PATIENCE = 10


class Busy(Exception):  # a state, not an error
    """Another process is writing the index."""


class Store:
    """The index of the registry in ``models``; its file lies in ``folder``."""

    def __init__(self, models: Path, folder: Path | None = None) -> None:
        self.models = models
        self.folder = folder or own_folder()
        name = hashlib.sha256(str(models.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = self.folder / f"index-{schema.VERSION}-{name}.sqlite"
        self.lock = self.path.with_suffix(".lock")
        self.words = self.path.with_suffix(".txt")
        """What the process that filled it last had to say."""

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A view of the index that does not change while it is read.

        Raises:
            sqlite3.Error: there is none yet, or it is broken.
        """
        # Not mode=ro: a reader of a write-ahead log makes that log's files where nobody else has them open.
        db = sqlite3.connect(f"file:{self.path}?mode=rw", uri=True, timeout=_SECONDS_OF_PATIENCE, isolation_level=None)
        try:
            db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            yield db
        finally:
            db.close()

    @contextmanager
    def writing(self, *, wait: bool) -> Iterator[sqlite3.Connection]:
        """The index, to be written by nobody else.

        Raises:
            Busy: another process writes it, and ``wait`` is false.
            sqlite3.Error: it cannot be written.
        """
        with self.lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise Busy from None
            db = sqlite3.connect(self.path, timeout=_SECONDS_OF_PATIENCE, isolation_level=None)
            try:
                # Nothing is lost with a temporary file: no write waits for the disk.
                db.execute("PRAGMA synchronous = OFF")
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(schema.COMMON)
                yield db
            finally:
                db.close()

    def seen(self, db: sqlite3.Connection, journal: str) -> file_state.FileState:
        """What was indexed of ``journal``."""
        columns = ", ".join(file_state.FileState.__struct_fields__)
        row = db.execute(f"SELECT {columns} FROM journal WHERE name = ?", (journal,)).fetchone()
        return (
            file_state.NOTHING
            if row is None
            else file_state.FileState(**dict(zip(file_state.FileState.__struct_fields__, row, strict=True)))
        )

    def behind(self, db: sqlite3.Connection) -> int:
        """How many bytes must be read until the index is what the journals are; 0: it is.

        Raises:
            OSError: a journal cannot be read.
            Untrusted: a journal is a link, no plain file, or sparse.
        """
        return sum(self._behind(self.seen(db, journal), journal) for journal in JOURNALS)

    def _behind(self, seen: file_state.FileState, journal: JournalName) -> int:
        with _opened(self.models, journal) as file:
            if file is None:
                return 0 if seen.inode == file_state.NO_FILE else 1
            state = os.fstat(file.fileno())
            if file_state.unchanged(seen, state):
                return 0
            grown = file_state.has_grown(file, seen, state)
            return max(1, state.st_size - seen.upto if grown else state.st_size)

    def fill(self, db: sqlite3.Connection) -> None:
        """Bring the index to where the journals are now.

        Raises:
            OSError: a journal cannot be read.
            Untrusted: a journal is a link, no plain file, or sparse.
        """
        for journal in JOURNALS:
            self._fill(db, journal)

    def _fill(self, db: sqlite3.Connection, journal: JournalName) -> None:
        with _opened(self.models, journal) as file:
            seen = self.seen(db, journal)
            if file is None:
                if seen.inode != file_state.NO_FILE:
                    self._start_anew(db, journal)
                    _remember(db, journal, msgspec.structs.replace(file_state.NOTHING, inode=file_state.NO_FILE), 0, 0)
            else:
                state = os.fstat(file.fileno())
                if file_state.unchanged(seen, state):
                    return
                if not file_state.has_grown(file, seen, state):
                    self._start_anew(db, journal)
                while self._fill_a_batch(db, journal, file):
                    pass
            db.executescript(schema.indexes_of(journal))

    def _start_anew(self, db: sqlite3.Connection, journal: str) -> None:
        tables = [
            name
            for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if name.startswith(f"{journal}_") or (journal == "training" and name == "quarantined_line")
        ]
        db.execute("BEGIN IMMEDIATE")
        for name in tables:
            db.execute(f"DROP TABLE {name}")
        db.execute("DELETE FROM unreadable WHERE journal = ?", (journal,))
        db.execute("DELETE FROM journal WHERE name = ?", (journal,))
        for statement in schema.tables_of(journal).split(";"):
            db.execute(statement)
        db.execute("COMMIT")

    def _fill_a_batch(self, db: sqlite3.Connection, journal: JournalName, file: BinaryIO) -> bool:
        """Whether there is more."""
        row = db.execute("SELECT upto, last, unreadable FROM journal WHERE name = ?", (journal,)).fetchone()
        begin, last, unreadable = row or (0, 0, 0)
        filler = Filler(db, journal, last)
        state = os.fstat(file.fileno())
        upto = begin
        db.execute("BEGIN IMMEDIATE")
        for line in journal_file.lines(file, begin):
            if not filler.put(line):
                break
            upto += line.size
            if upto - begin > _BATCH_BYTES:
                break
        filler.flush()
        more = upto - begin > _BATCH_BYTES
        _remember(
            db, journal, file_state.look(file, state, upto, more=more), filler.last, unreadable + filler.unreadable
        )
        db.execute("COMMIT")
        return more

    def progress(self, db: sqlite3.Connection, journal: str) -> tuple[int, bool]:
        """How many bytes of ``journal`` are read, and whether its rows can be asked for."""
        row = db.execute("SELECT upto FROM journal WHERE name = ?", (journal,)).fetchone()
        last_index = f"{journal}_cause_here"
        ready = db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (last_index,)).fetchone()
        return row[0] if row else 0, ready is not None

    def unreadable(self, db: sqlite3.Connection, journal: str) -> int:
        """How many lines of ``journal`` cannot be read as records, without those that were put into quarantine."""
        (lines,) = db.execute("SELECT coalesce(max(unreadable), 0) FROM journal WHERE name = ?", (journal,)).fetchone()
        (known,) = db.execute("SELECT count(*) FROM quarantined_line WHERE journal = ?", (journal,)).fetchone()
        return max(0, int(lines) - int(known))

    def is_being_written(self) -> bool:
        """Whether a process is writing it."""
        with self.lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def last_words(self) -> str:
        """The last line of what the process that filled it last had to say."""
        lines = self.words.read_text(errors="replace").splitlines() if self.words.exists() else []
        return lines[-1] if lines else "It said nothing."

    def remove(self) -> None:
        """Forget everything: the next filling begins anew."""
        for path in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
            with suppress(FileNotFoundError):
                path.unlink()


def _remember(db: sqlite3.Connection, journal: str, seen: file_state.FileState, last: int, unreadable: int) -> None:
    values = (journal, *msgspec.structs.astuple(seen), last, unreadable)
    db.execute("INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


@contextmanager
def _opened(models: Path, journal: JournalName) -> Iterator[BinaryIO | None]:
    file = journal_file.opened(models, journal)
    if file is None:
        yield None
        return
    with file:
        yield file


def own_folder() -> Path:
    """A folder for temporary files that only this user can write to; its processes share it.

    Where somebody else has made the one of that name, each process has one of its own.
    """
    folder = Path(tempfile.gettempdir()) / f"bulkhead-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="bulkhead-"))
    return folder
