"""The registry as this server has read it: the state in memory, the index of attempts, and the journals behind both."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, get_args

import msgspec

from bulkhead.index import attempts, record_reader
from bulkhead.index.state_reader import StateReader
from bulkhead.paths import JournalName
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhead.index import Index, IndexProgress
    from bulkhead.index.state_reader import LoadedState

Place = tuple[str, str]
"""An environment, and the name of a model."""


class NotReady(Exception):  # a state, not an error
    """The registry is being read; the status says how far it is."""

    def __init__(self, status: IndexProgress) -> None:
        super().__init__("the registry is being read")
        self.status = status


class Readers:
    """The registry of ``index``."""

    def __init__(self, index: Index) -> None:
        self.models = index.models
        self._index = index
        self._reader = StateReader(index.models)

    def look(self) -> IndexProgress:
        """Bring everything up to date, first of all that a request does: what was just written is seen."""
        status = self._index.refresh()
        percent = 100
        with suppress(OSError, Untrusted):  # the index cannot read the journal either, and the status says why
            percent = self._reader.refresh()
        with self._reader.reading() as state:
            ready = status.trainings.ready and state is not None
        trainings = msgspec.structs.replace(
            status.trainings, ready=ready, percent=min(percent, status.trainings.percent)
        )
        return msgspec.structs.replace(status, trainings=trainings)

    def close(self) -> None:
        """Stop what reads in the background."""
        self._reader.close()
        self._index.close()

    def recorded_places(self) -> set[Place]:
        """Every environment and model that a record is of; of a journal that is not read yet, nothing is shown."""
        self.look()
        found: set[Place] = set()
        with suppress(NotReady), self.state() as state:
            found.update(state.places)
        for journal in get_args(JournalName):
            with suppress(NotReady), self.reading((journal,)) as db:
                found.update(attempts.places(db, (journal,)))
        return {place for place in found if place[0]}  # legacy records name no environment

    def seen(self) -> int:
        """How many bytes of ``log.txt`` are read: a page that has seen fewer is out of date."""
        with self._reader.reading() as state:
            return state.seen.upto if state is not None else 0

    @contextmanager
    def state(self) -> Iterator[LoadedState]:
        """The state of the registry, once all of ``log.txt`` is read; held still meanwhile, so be quick.

        Raises:
            NotReady: it is not.
        """
        # The index too: it knows of lines that cannot be read, without which no list of models is whole.
        with self.reading(), self._reader.reading() as state:
            if state is not None:
                yield state
                return
        raise NotReady(self.look())

    @contextmanager
    def reading(self, journals: Sequence[JournalName] = ("training",)) -> Iterator[sqlite3.Connection]:
        """The index, once it has read ``journals``.

        Raises:
            NotReady: it has not.
        """
        try:
            with self.outdated(), self._index.reading() as db:
                if not all(self._knows(db, journal) for journal in journals):
                    raise NotReady(self.look())
                yield db
        except (sqlite3.Error, OSError, Untrusted):
            raise NotReady(self.look()) from None

    @contextmanager
    def outdated(self) -> Iterator[None]:
        """Has everything read anew where a record is not where it was.

        Raises:
            NotReady: one is not.
        """
        try:
            yield
        except record_reader.IndexOutdated:
            self._reader.distrust()
            self._index.distrust()
            raise NotReady(self.look()) from None

    @staticmethod
    def _knows(db: sqlite3.Connection, journal: JournalName) -> bool:
        return (
            db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (f"{journal}_cause_here",)).fetchone() is not None
        )
