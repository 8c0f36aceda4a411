"""An index of the attempts in the two journals, for readers who may not read a million lines for an answer.

The journals are the truth: the index is a temporary file, filled from them, and it knows of each record little
more than where it lies. :class:`Index` keeps it in step. Models are few enough to be kept in memory, and what is served
is decided there: :class:`~bulkhead.index.state_reader.StateReader`.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead.index import journal_file
from bulkhead.index.store import Busy, Store
from bulkhead.paths import JOURNALS
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bulkhead.paths import JournalName

__all__ = ["Index", "IndexProgress", "JournalProgress"]

_SMALL = 1 << 20
"""Bytes of a journal that a reader waits for; what is more is read by a process of its own."""
_WAIT_SECONDS = 0.1
"""For another process that is adding the same few lines."""
_RETRY_SECONDS = 30


class JournalProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the index of one journal is."""

    ready: bool
    percent: int
    missing: bool
    unreadable: int
    """Lines that cannot be read as records; those put into quarantine are not counted."""


class IndexProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the index is."""

    trainings: JournalProgress
    inferences: JournalProgress
    trouble: str | None
    """What keeps it from being what the journals are: what, where and what to do next."""

    @property
    def percent(self) -> int:
        """Of the work of making it; 100: it is made."""
        return min(self.trainings.percent, self.inferences.percent)


_NOT_BEGUN = JournalProgress(ready=False, percent=0, missing=False, unreadable=0)


class Index:
    """The index of the registry in ``models``.

    Args:
        models: the registry's folder.
        folder: where the index lies; None: a folder of this user's temporary files.
    """

    def __init__(self, models: Path, folder: Path | None = None) -> None:
        self.models = models
        self._store = Store(models, folder)
        self.folder = self._store.folder
        """Where it lies; others may keep temporary files there too."""
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._failed_at = -float(_RETRY_SECONDS)
        self._failure: str | None = None

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A view of the index that does not change while it is read.

        Raises:
            sqlite3.Error: there is none yet, or it is broken.
        """
        return self._store.reading()

    def refresh(self) -> IndexProgress:
        """Bring the index up to the journals where that is quick; otherwise start a process that does. Never raises."""
        trouble = None
        try:
            behind = self._behind()
            if 0 < behind <= _SMALL:
                self._fill_now()
            elif behind:
                self._fill_beside()
            else:
                self._reap(wait=False)
                self._failure = None
        except Untrusted as error:
            trouble = f"{error} What is shown is what was read before."
        except OSError as error:
            trouble = self._words(error)
        except sqlite3.Error as error:
            trouble = _not_kept(error)
        return self._status(trouble or self._failure)

    def wait(self, seconds: float = 600) -> IndexProgress:
        """Refresh until the index is what the journals are.

        Raises:
            TimeoutError: it is not, after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while True:
            status = self.refresh()
            if status.trainings.ready and status.inferences.ready and self._behind() == 0:
                self._reap(wait=True)
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(f"the index of {self.models} is not ready after {seconds} s: {status}")
            time.sleep(0.05)

    def close(self) -> None:
        """Stop the process beside, if there is one; what it has not done the next one does."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait()

    def distrust(self) -> None:
        """Make it all anew: a record is not where the index says, so a journal was edited in its middle."""
        with self._store.writing(wait=True) as db:
            db.execute("UPDATE journal SET inode = 0")

    def _behind(self) -> int:
        try:
            with self._store.reading() as db:
                return self._store.behind(db)
        except sqlite3.Error:
            pass  # none yet, or broken
        return max(1, sum(journal_file.size(self.models, journal) or 0 for journal in JOURNALS))

    def _fill_now(self) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                with self._store.writing(wait=False) as db:
                    self._store.fill(db)
            except Busy:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.005)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._store.remove()  # no database any more
            else:
                return

    def _fill_beside(self) -> None:
        """In a process of its own: a thread would slow down everything that this process does besides."""
        with self._lock:
            self._reap(wait=False)
            if self._child is not None:
                return
            if time.monotonic() - self._failed_at < _RETRY_SECONDS or self._store.is_being_written():
                return
            with self._store.words.open("wb") as words:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "bulkhead.index", str(self.models), str(self._store.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                )

    def _words(self, error: OSError) -> str:
        path = Path(str(error.filename or ""))
        if path.name not in JOURNALS.values():
            return _not_kept(error)
        return f"models/{path.name} cannot be read: {error.strerror}. What is shown is what was read before."

    def _reap(self, *, wait: bool) -> None:
        """Take note of how the process beside ended, if it did."""
        code = None if self._child is None else self._child.wait() if wait else self._child.poll()
        if code is None:
            return
        self._child = None
        if code:
            self._failed_at = time.monotonic()
            self._failure = f"The index could not be made. {self._store.last_words()}"

    def _status(self, trouble: str | None) -> IndexProgress:
        states: dict[JournalName, JournalProgress] = {}
        for journal in JOURNALS:
            try:
                with self._store.reading() as db:
                    states[journal] = self._state(db, journal)
            except (sqlite3.Error, OSError):
                states[journal] = _NOT_BEGUN
        return IndexProgress(trainings=states["training"], inferences=states["inference"], trouble=trouble)

    def _state(self, db: sqlite3.Connection, journal: JournalName) -> JournalProgress:
        size = journal_file.size(self.models, journal)
        upto, ready = self._store.progress(db, journal)
        unreadable = self._store.unreadable(db, journal)
        # The last part is the making of SQLite's own indexes.
        percent = 100 if ready else min(95, 95 * upto // max(1, size or 0))
        return JournalProgress(ready=ready, percent=percent, missing=size is None, unreadable=unreadable)


def _not_kept(error: Exception) -> str:
    return f"The index cannot be kept: {error}. Is the disk of temporary files full?"
