"""The registry and what the registrar knows of it: the index of outcomes, and the ends of the logs.

Nothing is recorded before the logs were compared with the ends that Postgres keeps, nor after they were found to be
others: then a person has to look (``registrar accept``).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from bulkhead.paths import JOURNALS
from bulkhead.registry import lock
from bulkhead.registry.lock import LockHeld
from registrar.database import Away
from registrar.outcome_index import NotTheLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhead.registry.records import Failure, ModelRecord, Success
    from bulkhead.registry.store import Registry
    from registrar.heads import Heads
    from registrar.outcome_index import OutcomeIndex
    from registrar.own_tables import OwnTables

T = TypeVar("T")
logger = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 5.0
_LOOK_SECONDS = 2.0
"""How long a look waits for the lock: appends take milliseconds."""


class Books:
    """The registry with its index.

    Args:
        registry: where records go.
        index: of its outcomes.
        tables: in which the ends of the logs are kept.
        heads: what writes those.
    """

    def __init__(self, registry: Registry, index: OutcomeIndex, tables: OwnTables, heads: Heads) -> None:
        self.registry = registry
        self._index = index
        self._tables = tables
        self._heads = heads
        self._lock = threading.Lock()
        self._is_open = False
        self._trouble: str | None = None
        self._looked = 0.0

    @property
    def trouble(self) -> str | None:
        """Why nothing is recorded: the logs are not those that were seen; None: they are, or nobody has looked yet."""
        return self._trouble

    @property
    def heads_trouble(self) -> str | None:
        """Why the ends of the logs are not kept now; None: they are."""
        return self._heads.trouble

    def open(self) -> None:
        """Compare the logs with their ends as Postgres keeps them, where that was not done or they were others.

        Raises:
            Away: Postgres does not answer, or the logs are not those that were seen.
        """
        if self._trouble is not None and time.monotonic() - self._looked < _LOOK_AGAIN_SECONDS:
            raise Away(self._trouble)
        # Before the registry's lock is taken: Postgres may take its time. An older end is a line of the log, too.
        heads = self._tables.heads()
        with lock.locked(self.registry.folder), self._lock:
            if self._is_open:
                return
            with self._reading():
                self._looked = time.monotonic()
                self._end_torn_lines()
                self._index.rebuild(heads)
                self._is_open, self._trouble = True, None
        self.follow()

    def follow(self) -> None:
        """Take over what others have appended, by hand.

        Raises:
            Away: as :meth:`open`.
        """
        self._follow()

    def _follow(self, seconds: float | None = None) -> None:
        self._opened()
        with lock.locked(self.registry.folder, seconds=seconds), self._reading():
            # With the lock held, so that a newer end is never followed by an older one.
            self._heads.note(self._index.follow())

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Hold the registry's lock, with the index up to date; what is appended meanwhile is noted at the end.

        Raises:
            Away: as :meth:`open`.
        """
        self._opened()
        with lock.locked(self.registry.folder):
            self._end_torn_lines()
            self.follow()
            yield
            self.follow()

    def outcome(self, first_try: str) -> Success | None:
        """The outcome with this key; None: there is none.

        Raises:
            Away: as :meth:`open`.
        """
        return self._found(self._index.outcome, first_try)

    def has_failure(self, try_id: str) -> bool:
        """Whether the failure of this try is recorded.

        Raises:
            Away: as :meth:`open`.
        """
        return self._found(self._index.has_failure, try_id)

    def promotion_by(self, approval: str) -> ModelRecord | None:
        """The promotion that the approval with this id was for; None: it was for none yet.

        Raises:
            Away: as :meth:`open`.
        """
        return self._found(self._index.promotion_by, approval)

    def has_rejection(self, try_id: str) -> bool:
        """Whether the rejection of what this try asked is recorded.

        Raises:
            Away: as :meth:`open`.
        """
        return self._found(self._index.has_rejection, try_id)

    def record_failure(self, journal: str, failure: Failure) -> None:
        """Append ``failure``; to be called while :meth:`recording`.

        Raises:
            OSError: the journal cannot be written; it is as it was.
        """
        self.registry.record_failure(journal, failure)  # type: ignore[arg-type]  # checked where it came in

    def _found(self, find: Callable[[str], T], key: str) -> T:
        # Where somebody holds the lock for long, what was read so far has to do: before anything is recorded it is
        # looked at again, with the lock held.
        with suppress(LockHeld):
            self._follow(_LOOK_SECONDS)
        with self._reading():
            return find(key)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever goes wrong, the index is read anew: a wrong one could cost an outcome."""
        try:
            yield
        except NotTheLog as error:
            raise self._shut(error) from None
        except (OSError, sqlite3.Error) as error:
            self._is_open = False
            raise Away(f"the logs cannot be read ({error})") from error

    def _end_torn_lines(self) -> None:
        """A last line without its end is whole or torn, and nobody is at it any more; readers differ about it."""
        for journal in JOURNALS:
            if self.registry.journal_of(journal).exists():
                with self.registry.locked(journal) as appender:
                    appender.end_line()

    def _opened(self) -> None:
        if not self._is_open:
            self.open()

    def _shut(self, error: NotTheLog) -> Away:
        if self._trouble != str(error):
            logger.error("%s", error)
        self._is_open, self._trouble = False, str(error)
        self._looked = time.monotonic()
        return Away(str(error))
