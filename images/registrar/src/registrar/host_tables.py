"""The hosts that were added, and the containers that were given up with them, in the registrar's own database."""

from __future__ import annotations

import secrets
from datetime import datetime  # msgspec reads it
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registrar.database import Connection, Database


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """A host that was added."""

    name: str
    generation: str
    queues: list[str]
    is_draining: bool = False
    released_at: datetime | None = None
    """When a person said that it is down."""


class HostTables:
    """What is kept of hosts.

    Args:
        database: the registrar's own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> list[HostRow]:
        """Every host, by name.

        Raises:
            Away: Postgres does not answer.
        """

        def ask(connection: Connection) -> list[HostRow]:
            rows = connection.execute(
                "SELECT name, generation, queues, is_draining, released_at FROM public.host ORDER BY name"
            ).fetchall()
            return [
                HostRow(name=name, generation=made, queues=queues.split(","), is_draining=drains, released_at=released)
                for name, made, queues, drains, released in rows
            ]

        return self._database.call(ask)

    def add(self, name: str, queues: Sequence[str]) -> str:
        """Add a host, or give one that is there a new secret; returns the secret's generation.

        Raises:
            Away: Postgres does not answer.
        """
        made = secrets.token_hex(8)
        self._database.call(
            lambda connection: connection.execute(
                "INSERT INTO public.host (name, generation, queues, added_at) VALUES (%s, %s, %s, now())"
                " ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, queues = excluded.queues,"
                " added_at = now(), is_draining = false, released_at = NULL",
                (name, made, ",".join(queues)),
            )
        )
        return made

    def drain(self, name: str, *, queues: Sequence[str], is_draining: bool) -> None:
        """Have a host take no new work, or take some again; the first host has a row from then on.

        Raises:
            Away: Postgres does not answer.
        """
        self._database.call(
            lambda connection: connection.execute(
                "INSERT INTO public.host (name, generation, queues, added_at, is_draining)"
                " VALUES (%s, '', %s, now(), %s) ON CONFLICT (name) DO UPDATE SET is_draining = excluded.is_draining",
                (name, ",".join(queues), is_draining),
            )
        )

    def remove(self, name: str) -> None:
        """Forget a host: its secret is none from then on.

        Raises:
            Away: Postgres does not answer.
        """
        self._database.call(lambda connection: connection.execute("DELETE FROM public.host WHERE name = %s", (name,)))

    def release(self, name: str) -> None:
        """Note that a host is down, by a person's word.

        Raises:
            Away: Postgres does not answer.
        """
        self._database.call(
            lambda connection: connection.execute("UPDATE public.host SET released_at = now() WHERE name = %s", (name,))
        )

    def given_up(self) -> set[str]:
        """The ids of all containers that were given up.

        Raises:
            Away: Postgres does not answer.
        """
        return self._database.call(
            lambda connection: {
                row[0] for row in connection.execute("SELECT container FROM public.given_up").fetchall()
            }
        )

    def give_up(self, container: str, host: str) -> None:
        """Note that nothing counts any more that the container makes.

        Raises:
            Away: Postgres does not answer.
        """
        self._database.call(
            lambda connection: connection.execute(
                "INSERT INTO public.given_up VALUES (%s, %s, now()) ON CONFLICT DO NOTHING", (container, host)
            )
        )
