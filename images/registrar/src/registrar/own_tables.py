"""The registrar's own database: the heads of the journals, and which successes Airflow has accepted.

Airflow's role cannot connect to it. What is here is little, and kept because a log's end cannot speak for itself.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, get_args

from bulkhead import clock
from bulkhead.paths import JournalName
from bulkhead.registrar_protocol import SeenHead

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bulkhead.registry.chain import Head
    from registrar.database import Connection, Database

DATABASE = "bulkhead"
ROLE = "registrar"
TABLES = (
    """CREATE TABLE IF NOT EXISTS public.head (
    journal text PRIMARY KEY, seq bigint NOT NULL, hash text NOT NULL, seen_at timestamptz NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS public.accepted (try_id uuid PRIMARY KEY, at timestamptz NOT NULL)",
    """CREATE TABLE IF NOT EXISTS public.host (
    name text PRIMARY KEY, generation text NOT NULL, queues text NOT NULL, added_at timestamptz NOT NULL,
    is_draining boolean NOT NULL DEFAULT false, released_at timestamptz)""",
    """CREATE TABLE IF NOT EXISTS public.given_up (
    container text PRIMARY KEY, host text NOT NULL, at timestamptz NOT NULL)""",
)
JOURNAL_NAMES: tuple[JournalName, ...] = get_args(JournalName)


class OwnTables:
    """Heads and accepted successes, in Postgres.

    Args:
        database: the registrar's own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def heads(self) -> dict[JournalName, SeenHead]:
        """The last line of each journal, as it was seen last; none of one that was never seen.

        Raises:
            Away: Postgres does not answer.
        """

        def ask(connection: Connection) -> dict[JournalName, SeenHead]:
            rows = connection.execute("SELECT journal, seq, hash, seen_at FROM public.head").fetchall()
            return {
                journal: SeenHead(seq, digest, clock.in_record(seen_at.astimezone(UTC)))
                for journal, seq, digest, seen_at in rows
            }

        return self._database.call(ask)

    def keep_heads(self, heads: Mapping[JournalName, Head], *, gone: Iterable[JournalName] = ()) -> None:
        """Remember ``heads`` as seen now, and forget those of the journals ``gone``.

        Raises:
            Away: Postgres does not answer.
        """

        def write(connection: Connection) -> None:
            for journal in gone:
                connection.execute("DELETE FROM public.head WHERE journal = %s", (journal,))
            for head in heads.values():
                connection.execute(
                    "INSERT INTO public.head VALUES (%s, %s, %s, now()) ON CONFLICT (journal) DO UPDATE"
                    " SET seq = excluded.seq, hash = excluded.hash, seen_at = excluded.seen_at",
                    (head.journal, head.seq, head.hash),
                )

        self._database.call(write)

    def accepted(self, try_ids: Iterable[str]) -> set[str]:
        """Those of ``try_ids`` whose success Airflow was seen to have accepted.

        Raises:
            Away: Postgres does not answer.
        """
        wanted = list(try_ids)

        def ask(connection: Connection) -> set[str]:
            rows = connection.execute(
                "SELECT try_id::text FROM public.accepted WHERE try_id = ANY(%s::uuid[])", (wanted,)
            ).fetchall()
            return {row[0] for row in rows}

        return self._database.call(ask)

    def accept(self, try_id: str) -> None:
        """Remember that Airflow has accepted the success of ``try_id``.

        Raises:
            Away: Postgres does not answer.
        """
        self._database.call(
            lambda connection: connection.execute(
                "INSERT INTO public.accepted VALUES (%s, now()) ON CONFLICT DO NOTHING", (try_id,)
            )
        )
