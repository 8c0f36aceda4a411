"""Keeps the last line of each journal in Postgres: beside the logs, where whoever can cut them cannot reach it.

It is written after the append, by a thread of its own, so that no step waits for it; of many appends in a row the last
one is written. Where Postgres is away it is written later.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from registrar.database import Away

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.paths import JournalName
    from bulkhead.registry.chain import Head
    from registrar.own_tables import OwnTables

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 2.0


class Heads:
    """What writes heads behind everybody's back.

    Args:
        tables: where they are kept.
    """

    def __init__(self, tables: OwnTables) -> None:
        self._tables = tables
        self._wanted: dict[JournalName, Head] = {}
        self._written: dict[JournalName, Head] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Why the ends are not kept now; None: they are."""
        return self._trouble

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def note(self, heads: Mapping[JournalName, Head]) -> None:
        """Have ``heads`` written soon."""
        with self._changed:
            self._wanted.update(heads)
            self._changed.notify_all()

    def stop(self) -> None:
        """Write what is left, once, and end."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._wanted != self._written)
                wanted, ending = dict(self._wanted), self._ending
            if wanted != self._written:
                try:
                    self._tables.keep_heads({k: v for k, v in wanted.items() if self._written.get(k) != v})
                    self._written, self._trouble = wanted, None
                except Exception as error:  # whatever it is, this thread is the only one that keeps them
                    self._trouble = f"the ends of the logs are kept later: {error}"
                    logger.warning("%s", self._trouble, exc_info=not isinstance(error, Away))
                    with self._changed:
                        self._changed.wait_for(lambda: self._ending, timeout=_AGAIN_SECONDS)
            if ending:
                return
