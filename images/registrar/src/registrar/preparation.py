"""Prepares Postgres: Airflow's role is no superuser, and the registrar has a database that it cannot reach.

Postgres' image makes ``airflow`` the first superuser of a volume, and everything in it belongs to that one. The first
superuser cannot lose its rights, so it is renamed ``bulkhead_admin``, an ordinary ``airflow`` is made anew, and is
given what the other owned. A role cannot rename itself, so another superuser does it, who is there no longer than that.

Each part is one transaction, or can be done again: whatever it is interrupted by, the next start goes on from there.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from bulkhead.errors import Refused
from bulkhead.registrar_protocol import NOTES_ROLE
from registrar import own_tables
from registrar.ownership import give_away
from registrar.settings import AIRFLOW, READER, role_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registrar.database import Connection

ADMIN = "bulkhead_admin"
_HELPER = "bulkhead_helper"
_ORDINARY = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
_CONNECT_SECONDS = 5
_WAIT_SECONDS = 60.0
_READ = ("dag_run", "hitl_detail", "hitl_detail_history", "log", "task_instance", "task_instance_history")


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """By role, its password."""

    airflow: str
    admin: str
    registrar: str


class Preparation:
    """What makes a volume of Postgres ready, new or of an earlier version.

    Args:
        host: where Postgres is.
        port: its port.
        passwords: those that the roles have, or get.
    """

    def __init__(self, host: str, port: int, passwords: Passwords) -> None:
        self._host = host
        self._port = port
        self._passwords = passwords

    def run(self) -> None:
        """Do all that is not done yet.

        Raises:
            Refused: Postgres does not answer, or lets nobody in who may do it.
        """
        try:
            if not self._has_admin():
                self._rename_first_superuser()
            with self._connected(ADMIN, self._passwords.admin, "postgres") as admin:
                self._make_roles(admin)
                self._make_database(admin)
            with self._connected(ADMIN, self._passwords.admin, AIRFLOW) as admin, admin.transaction():
                self._hand_over(admin)
            with self._connected(own_tables.ROLE, self._passwords.registrar, own_tables.DATABASE) as registrar:
                for statement in own_tables.TABLES:
                    registrar.execute(statement)  # our own text
        except psycopg.Error as error:
            said = str(error).strip().splitlines()
            raise Refused(
                f"the database could not be prepared: {said[0] if said else type(error).__name__}."
                " Look at 'just logs postgres', then run 'just up' again."
            ) from error

    def _has_admin(self) -> bool:
        """Whether the first superuser is renamed already. Waits until Postgres answers."""
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                with self._connected(ADMIN, self._passwords.admin, "postgres"):
                    return True
            except psycopg.OperationalError as error:
                # A wrong password, or no such role: Postgres says the same of both.
                if "password authentication failed" in str(error):
                    return False
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def _rename_first_superuser(self) -> None:
        try:
            with self._connected(AIRFLOW, self._passwords.airflow, "postgres") as first:
                if not _is_superuser(first):
                    raise Refused(
                        f"Postgres has an admin ({ADMIN}) with another password than BULKHEAD_DB_ADMIN_PASSWORD in"
                        " .env. Restore the .env that belongs to this volume, then run 'just up' again."
                    )
                with first.transaction():
                    if not _exists(first, _HELPER):
                        first.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(_HELPER)))
                    self._set(first, _HELPER, sql.SQL("LOGIN SUPERUSER"), self._passwords.admin)
        except psycopg.OperationalError as error:
            raise Refused(
                f"Postgres lets neither {ADMIN} nor {AIRFLOW} in: {str(error).strip().splitlines()[-1]}."
                " Restore the .env that belongs to this volume, then run 'just up' again."
            ) from error
        with self._connected(_HELPER, self._passwords.admin, "postgres") as helper, helper.transaction():
            rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
            helper.execute(rename.format(sql.Identifier(AIRFLOW), sql.Identifier(ADMIN)))
            self._set(helper, ADMIN, sql.SQL("LOGIN SUPERUSER"), self._passwords.admin)
            helper.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(AIRFLOW)))
            self._set(helper, AIRFLOW, _ORDINARY, self._passwords.airflow)

    def _make_roles(self, admin: Connection) -> None:
        with admin.transaction():
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(_HELPER)))
            for role, password in (
                (AIRFLOW, self._passwords.airflow),
                (own_tables.ROLE, self._passwords.registrar),
                (READER, role_password(READER, self._passwords.registrar)),
                (NOTES_ROLE, role_password(NOTES_ROLE, self._passwords.registrar)),
            ):
                if not _exists(admin, role):
                    admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
                self._set(admin, role, _ORDINARY, password)
                # What somebody may have set for the role, like whose functions come first.
                admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(role)))
                self._leave_others(admin, role)

    def _leave_others(self, admin: Connection, role: str) -> None:
        """No role of these is a member of another."""
        groups = admin.execute(
            "SELECT g.rolname FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid"
            " JOIN pg_roles AS r ON r.oid = m.member WHERE r.rolname = %s",
            (role,),
        ).fetchall()
        for (group,) in groups:
            admin.execute(sql.SQL("REVOKE {} FROM {} CASCADE").format(sql.Identifier(group), sql.Identifier(role)))

    def _make_database(self, admin: Connection) -> None:
        """The registrar's database; Postgres makes none in a transaction."""
        own = sql.Identifier(own_tables.DATABASE)
        owner = sql.Identifier(own_tables.ROLE)
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (own_tables.DATABASE,)).fetchone():
            # Nobody may connect between making it and closing it to the public.
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} ALLOW_CONNECTIONS false").format(own, owner))
        with admin.transaction():
            admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(own, owner))
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(own, sql.Identifier(AIRFLOW)))
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(own, owner))
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(own))

    def _hand_over(self, admin: Connection) -> None:
        airflow, reader, notes = map(sql.Identifier, (AIRFLOW, READER, NOTES_ROLE))
        give_away(admin, AIRFLOW)
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(airflow, airflow))
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(airflow, reader))
        admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(reader))
        # On which tables, their owner says once Airflow has made them (images/airflow/note_rights.py).
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(airflow, notes))
        admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(notes))
        # Airflow makes its tables later, and anew when it is upgraded.
        admin.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT SELECT ON TABLES TO {}").format(
                airflow, reader
            )
        )
        for table in _READ:
            if admin.execute("SELECT to_regclass(%s)", (f"public.{table}",)).fetchone() != (None,):
                admin.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier("public", table), reader))

    def _set(self, connection: Connection, role: str, rights: sql.SQL, password: str) -> None:
        # Hashed here, as Postgres would: no statement, and no log of statements, has the password.
        hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(
            sql.SQL("ALTER ROLE {} WITH {} PASSWORD {}").format(sql.Identifier(role), rights, sql.Literal(hashed))
        )

    @contextmanager
    def _connected(self, role: str, password: str, database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        connection = psycopg.connect(
            host=self._host,
            port=self._port,
            dbname=database,
            user=role,
            password=password,
            connect_timeout=_CONNECT_SECONDS,
            options="-c lock_timeout=30s -c statement_timeout=300s -c search_path=pg_catalog",
            application_name="bulkhead-prepare-database",
            autocommit=True,
        )
        try:
            yield connection
        finally:
            connection.close()


def _is_superuser(connection: Connection) -> bool:
    return connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)


def _exists(connection: Connection, role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None
