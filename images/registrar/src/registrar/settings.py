"""How the registrar is set up, from its environment."""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bulkhead.errors import Refused
from bulkhead.registrar_protocol import (
    DEFAULT_PAGE_SOCKET,
    DEFAULT_SOCKET,
    NOTES_ROLE,
    PAGE_SOCKET_VARIABLE,
    SOCKET_VARIABLE,
)
from bulkhead.registry import approval
from registrar import own_tables
from registrar.database import Database

if TYPE_CHECKING:
    from collections.abc import Mapping

READER = "registrar_reader"
AIRFLOW = "airflow"
"""Airflow's database, and its role."""
_LAUNCHER_SOCKET = "/run/bulkhead/launcher/launcher.sock"
_PORT = 5432


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the registrar is set up."""

    folder: Path
    """In it are ``models`` and ``shared``."""
    project: str
    """Label of every container that is ours."""
    socket: Path
    page_socket: Path
    """That of the Models page."""
    launcher_socket: Path
    database_host: str
    database_port: int
    database_password: str
    approvers: frozenset[str] = frozenset()
    """Who may approve; empty: whoever Airflow lets answer."""
    four_eyes: bool = False
    """Whether who asked for a promotion may not approve it."""
    queues: tuple[str, ...] | None = None
    """Those that the first host serves; None: there is no other host, and Airflow's scheduler runs its tasks."""
    lease: float = 600.0
    """For how many seconds a host that is silent is waited for."""

    @classmethod
    def from_environment(cls, given: Mapping[str, str] | None = None) -> Self:
        """The settings in ``BULKHEAD_*``.

        Raises:
            Refused: one is missing, or none.
        """
        variables = os.environ if given is None else given
        return cls(
            folder=Path(variables.get("AIRFLOW_HOME") or "/"),
            project=variables.get("BULKHEAD_PROJECT") or "bulkhead",
            socket=Path(variables.get(SOCKET_VARIABLE) or DEFAULT_SOCKET),
            page_socket=Path(variables.get(PAGE_SOCKET_VARIABLE) or DEFAULT_PAGE_SOCKET),
            launcher_socket=Path(variables.get("BULKHEAD_LAUNCHER_SOCKET") or _LAUNCHER_SOCKET),
            database_host=variables.get("BULKHEAD_DB_HOST") or "postgres",
            database_port=port(variables),
            database_password=secret(variables, "BULKHEAD_REGISTRAR_DB_PASSWORD"),
            approvers=frozenset(filter(None, map(str.strip, variables.get("BULKHEAD_APPROVERS", "").split(",")))),
            four_eyes=approval.four_eyes(variables.get(approval.FOUR_EYES)),
            queues=queues(variables.get("BULKHEAD_HOST_QUEUES")) if variables.get("BULKHEAD_HOSTS") == "1" else None,
            lease=_seconds(variables, "BULKHEAD_ENGINE_LEASE", 600.0),
        )

    @property
    def models(self) -> Path:
        """The registry's folder."""
        return self.folder / "models"

    def own_database(self) -> Database:
        """The registrar's own database."""
        return self._database(own_tables.DATABASE, own_tables.ROLE, self.database_password, read_only=False)

    def airflow_database(self) -> Database:
        """Airflow's, as a role that may read a few of its tables, and has rights nowhere else."""
        return self._database(AIRFLOW, READER, role_password(READER, self.database_password), read_only=True)

    def notes_database(self) -> Database:
        """Airflow's, as a role that may write the notes of runs."""
        return self._database(AIRFLOW, NOTES_ROLE, role_password(NOTES_ROLE, self.database_password), read_only=False)

    def _database(self, name: str, role: str, password: str, *, read_only: bool) -> Database:
        return Database(
            host=self.database_host,
            port=self.database_port,
            name=name,
            role=role,
            password=password,
            read_only=read_only,
        )


def role_password(role: str, password: str) -> str:
    """A further role's password, from the registrar's own: one secret less to keep, and neither tells the other."""
    return hmac.new(password.encode(), role.encode(), hashlib.sha256).hexdigest()


def secret(variables: Mapping[str, str], name: str) -> str:
    """The secret in ``name``.

    Raises:
        Refused: it is not set.
    """
    found = variables.get(name)
    if not found:
        raise Refused(f"{name} is not set. Run 'just up' once, it completes .env.")
    return found


def queues(text: str | None) -> tuple[str, ...]:
    """Names of queues, with commas between them; ``default`` where there is none.

    Raises:
        Refused: one is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip())) or ("default",)
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            raise Refused(f"{name!r} is no name of a queue: letters, digits, dots, dashes and underscores, at most 64.")
    return names


def _seconds(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name)
    try:
        found = float(text) if text else default
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise Refused(f"{name} is {text!r}, which is no number of seconds. Fix .env, then run 'just up'.")
    return found


def port(variables: Mapping[str, str]) -> int:
    """Postgres' port.

    Raises:
        Refused: it is no number.
    """
    text = variables.get("BULKHEAD_DB_PORT") or str(_PORT)
    if not text.isdecimal():
        raise Refused(f"BULKHEAD_DB_PORT is {text!r}, not a port. Set it to one, or unset it.")
    return int(text)
