"""The notes of runs in Airflow: what a run has come to is read where people look for runs.

A task cannot write its run's note: Airflow's Task SDK has no call for it, and a task that was killed could make none.
So it is written here, beside the record, for every outcome and every failure, whoever found them: one row of one table,
by a role that may do nothing else, and on a connection that is used for nothing else. Whoever owns that table could
have a function run there, and it would find nothing that it could change or read.

A note is worth no failure and no delay. It is written behind everybody's back; where Postgres is away it is tried again
for a while, and then dropped, with a line in the log. What a person has written stays, and ours is put below it, once.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from bulkhead import markdown
from registrar.database import Away

if TYPE_CHECKING:
    from registrar.database import Connection, Database

logger = logging.getLogger(__name__)

LONGEST_LINE = 400
"""Characters of one sentence in a note; the record has the whole."""
LONGEST_NOTE = 1000
"""Airflow's column has no more."""
_MOST_WAITING = 1000
_AGAIN_SECONDS = 5.0
_MOST_ATTEMPTS = 60
_WRITE = f"""
INSERT INTO public.dag_run_note AS n (dag_run_id, content, created_at, updated_at)
SELECT r.id, %(line)s, now(), now() FROM public.dag_run AS r WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s
ON CONFLICT (dag_run_id) DO UPDATE SET updated_at = now(), content =
    CASE WHEN COALESCE(n.content, '') = '' THEN excluded.content
    ELSE left(n.content || E'\\n\\n' || excluded.content, {LONGEST_NOTE}) END
WHERE strpos(COALESCE(n.content, ''), excluded.content) = 0
AND length(COALESCE(n.content, '')) <= {LONGEST_NOTE} - 20
"""  # noqa: S608  # put together from what stands above
"""In one statement, so that a person's edit of the same moment is not lost."""


class RunNotes:
    """What writes notes.

    Args:
        database: Airflow's, as the role that may write them; None: they are not written.
    """

    def __init__(self, database: Database | None) -> None:
        self._database = database
        self._waiting: deque[tuple[str, str, str]] = deque()
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="run notes", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, once, and end."""
        with self._changed:
            self._ending.set()
            self._changed.notify_all()
        self._thread.join()

    def add(self, dag_id: str, run_id: str, sentence: str) -> None:
        """Have ``sentence`` put into the run's note soon, unless it is there."""
        if self._database is None:
            return
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                logger.warning("%s %s: its note is left out, too many wait for Postgres", dag_id, run_id)
                return
            self._waiting.append((dag_id, run_id, markdown.harmless(sentence, LONGEST_LINE)))
            self._changed.notify_all()

    def write(self, dag_id: str, run_id: str, line: str) -> None:
        """Put ``line`` into the run's note now, unless it is there.

        Raises:
            Away: Postgres does not answer, or does not let us.
        """
        if self._database is None:
            return

        def put(connection: Connection) -> None:
            connection.execute(_WRITE, {"dag": dag_id, "run": run_id, "line": line})

        self._database.call(put)

    def _run(self) -> None:
        attempts = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending.is_set())
                if not self._waiting:
                    return
                dag_id, run_id, line = self._waiting[0]
            try:
                self.write(dag_id, run_id, line)
            except Away as error:
                attempts += 1
                if attempts < _MOST_ATTEMPTS and not self._ending.wait(_AGAIN_SECONDS):
                    continue
                logger.warning("%s %s: its note was not written: %s", dag_id, run_id, error)
            except Exception:
                logger.exception("%s %s: its note was not written", dag_id, run_id)
            attempts = 0
            with self._changed:
                self._waiting.popleft()
