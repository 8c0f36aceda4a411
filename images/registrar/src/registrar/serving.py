"""The registrar as a process: puts its parts together, serves until SIGTERM, and never ends within an append."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhead import clock, unix_http
from bulkhead.errors import one_line
from bulkhead.hosts_protocol import MAIN
from bulkhead.registry import journal, lock, publishing
from bulkhead.registry.chain import Head, KeyRing
from bulkhead.registry.decisions import LONGEST_REASON
from bulkhead.registry.records import Acceptance
from bulkhead.registry.store import Registry
from registrar.airflow_records import AirflowRecords
from registrar.annotations import PageRoutes
from registrar.approvals import Rules
from registrar.books import Books
from registrar.containers import Containers
from registrar.heads import Heads
from registrar.host_tables import HostTables
from registrar.hosts import Hosts, connect
from registrar.outcome_index import OutcomeIndex
from registrar.own_tables import JOURNAL_NAMES, OwnTables
from registrar.run_notes import RunNotes
from registrar.service import Registrar, Routes
from registrar.sweep import Sweeps

if TYPE_CHECKING:
    from bulkhead.paths import JournalName
    from bulkhead.registrar_protocol import SeenHead
    from registrar.settings import Settings

logger = logging.getLogger(__name__)

_LAUNCHER_SECONDS = 30.0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        Refused: a key is none.
        OSError: a socket cannot be made.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    own_database = settings.own_database()
    own = OwnTables(own_database)
    heads = Heads(own)
    notes = RunNotes(settings.notes_database())
    with tempfile.TemporaryDirectory(prefix="registrar-") as folder:
        index = OutcomeIndex(settings.models, Path(folder) / "outcomes.sqlite")
        books = Books(Registry(settings.models, KeyRing.from_environment()), index, own, heads)
        registrar = Registrar(
            books,
            own,
            AirflowRecords(settings.airflow_database()),
            Hosts(
                HostTables(own_database),
                settings.folder,
                Containers(
                    unix_http.Client(settings.launcher_socket, _LAUNCHER_SECONDS),
                    settings.project,
                    None if settings.queues is None else MAIN,
                ),
                lease=settings.lease,
                queues=settings.queues,
                connect=connect(settings.project),
            ),
            Rules(settings.approvers, settings.four_eyes),
            settings.folder,
            notes=notes,
        )
        sweep = Sweeps(registrar)
        server = unix_http.Server(settings.socket, Routes(registrar))
        page = unix_http.Server(settings.page_socket, PageRoutes(books))
        for name in publishing.remove_leftovers(settings.models):
            logger.warning("removed models/%s, which a killed registrar has left", name)
        heads.start()
        notes.start()
        server.start()
        page.start()
        sweep.start()
        logger.info("the registrar serves at %s", settings.socket)
        ended.wait()
        logger.info("the registrar ends")
        server.stop()
        page.stop()
        sweep.stop()
        # Whoever is in the middle of an append has this lock; after it nobody begins another.
        with lock.locked(settings.models):
            heads.stop()
            index.close()
        notes.stop()


def accept(settings: Settings, *, by: str, reason: str) -> list[str]:
    """Take the logs as they are; what was seen before is forgotten, and a record in the log says by whom.

    Returns:
        A line for each journal.

    Raises:
        Away: Postgres does not answer.
        OSError: a journal cannot be written.
    """
    database = settings.own_database()
    own = OwnTables(database)
    registry = Registry(settings.models, KeyRing.from_environment())
    lines: list[str] = []
    found: dict[JournalName, Head] = {}
    with lock.locked(settings.models):
        before = own.heads()
        for name in JOURNAL_NAMES:
            was = before.get(name)
            if was is None and not registry.journal_of(name).exists():
                continue
            with registry.locked(name) as appender:
                appender.end_line()
                now = appender.head()
                if was is not None and (now is None or not journal.has_line(registry.journal_of(name), was.hash)):
                    now = appender.append(_acceptance(was, by=by, reason=reason))
                    lines.append(f"{name}: line {was.seq}, seen last at {was.seen_at}, is forgotten. Recorded.")
                else:
                    lines.append(f"{name}: it has what was seen last; there is nothing to accept.")
            if now is not None:
                found[name] = now
        own.keep_heads(found)
    database.close()
    return lines


def _acceptance(was: SeenHead, *, by: str, reason: str) -> Acceptance:
    return Acceptance(
        acceptance_time=clock.in_record(clock.now()),
        seen_seq=was.seq,
        seen_hash=was.hash,
        seen_at=was.seen_at,
        by=one_line(by, LONGEST_REASON),
        reason=one_line(reason, LONGEST_REASON),
    )
