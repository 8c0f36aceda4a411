"""The registrar as a process: puts its parts together, serves until SIGTERM, and never ends within an append."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhead import unix_http
from bulkhead.registry import lock, publishing
from bulkhead.registry.chain import Head, KeyRing
from bulkhead.registry.store import Registry
from registrar.airflow_records import AirflowRecords
from registrar.approvals import Rules
from registrar.books import Books
from registrar.containers import Containers
from registrar.heads import Heads
from registrar.outcome_index import OutcomeIndex
from registrar.own_tables import JOURNAL_NAMES, OwnTables
from registrar.service import Registrar, Routes
from registrar.sweep import Sweep

if TYPE_CHECKING:
    from bulkhead.paths import JournalName
    from registrar.settings import Settings

logger = logging.getLogger(__name__)

_LAUNCHER_SECONDS = 30.0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        Refused: a key is none.
        OSError: the socket cannot be made.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    own = OwnTables(settings.own_database())
    heads = Heads(own)
    with tempfile.TemporaryDirectory(prefix="registrar-") as folder:
        index = OutcomeIndex(settings.models, Path(folder) / "outcomes.sqlite")
        books = Books(Registry(settings.models, KeyRing.from_environment()), index, own, heads)
        registrar = Registrar(
            books,
            own,
            AirflowRecords(settings.airflow_database()),
            Containers(unix_http.Client(settings.launcher_socket, _LAUNCHER_SECONDS), settings.project),
            Rules(settings.approvers, settings.four_eyes),
            settings.folder,
        )
        sweep = Sweep(registrar)
        server = unix_http.Server(settings.socket, Routes(registrar))
        for name in publishing.remove_leftovers(settings.models):
            logger.warning("removed models/%s, which a killed registrar has left", name)
        heads.start()
        server.start()
        sweep.start()
        logger.info("the registrar serves at %s", settings.socket)
        ended.wait()
        logger.info("the registrar ends")
        server.stop()
        sweep.stop()
        # Whoever is in the middle of an append has this lock; after it nobody begins another.
        with lock.locked(settings.models):
            heads.stop()
            index.close()


def accept(settings: Settings, *, by: str, reason: str) -> list[str]:
    """Take the logs as they are; returns a line for each.

    Raises:
        Away: Postgres does not answer.
    """
    own = OwnTables(settings.own_database())
    registry = Registry(settings.models)
    found: dict[JournalName, Head] = {}
    with lock.locked(settings.models):
        before = own.heads()
        for journal in JOURNAL_NAMES:
            if registry.journal_of(journal).exists():
                with registry.locked(journal) as appender:
                    if (head := appender.head()) is not None:
                        found[journal] = head
        own.keep_heads(found, gone=[journal for journal in before if journal not in found])
    lines = []
    for journal in sorted({*before, *found}):
        was, now = before.get(journal), found.get(journal)
        seen = f"line {was.seq} seen last at {was.seen_at}" if was else "never seen before"
        taken = f"its line {now.seq} is its end now" if now else "it has no chain now"
        lines.append(f"{journal}: {seen}; {taken}. Accepted by {by}: {reason}")
    return lines
