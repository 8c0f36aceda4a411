"""Postgres, for one who must never hang on it: each call has a deadline, and a lost connection is opened anew."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

_CONNECT_SECONDS = 3
_CALL_SECONDS = 8.0
_KEPT = 4
_MOST = 8
_TURN_SECONDS = 10.0


class Away(Exception):
    """What is needed to answer is not there now; asked again later it will be."""


class Database:
    """One database of Postgres, as one role.

    Args:
        host: where Postgres is.
        port: its port.
        name: the database.
        role: who connects.
        password: the role's.
        read_only: whether no transaction may write.
    """

    def __init__(  # all by name
        self, *, host: str, port: int, name: str, role: str, password: str, read_only: bool = False
    ) -> None:
        self._where = {"host": host, "port": port, "dbname": name, "user": role, "password": password}
        self._read_only = read_only
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(_MOST)
        self.seconds = _CALL_SECONDS

    def call(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` returns, in one transaction; a connection that was lost meanwhile is opened anew, once.

        Raises:
            Away: Postgres does not answer in time, or not as it should.
        """
        if not self._turns.acquire(timeout=_TURN_SECONDS):
            raise Away("Postgres is slow: too many questions wait for it")
        try:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is not None:
                with suppress(psycopg.OperationalError):
                    return self._done(kept, work)
            return self._done(self._connect(), work)
        except psycopg.Error as error:
            said = str(error).strip().splitlines()
            raise Away(f"Postgres: {said[0] if said else type(error).__name__}") from error
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _connect(self) -> Connection:
        options = f"-c statement_timeout={int(self.seconds * 900)} -c lock_timeout={int(self.seconds * 500)}"
        # Names are Postgres' own or say their schema; no policy of somebody else's table is run.
        options += " -c search_path=pg_catalog -c row_security=off"
        if self._read_only:
            options += " -c default_transaction_read_only=on"
        connection = psycopg.connect(
            **self._where,  # type: ignore[arg-type]  # psycopg takes each as text or number
            connect_timeout=_CONNECT_SECONDS,
            options=options,
            application_name="bulkhead-registrar",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=2,
        )
        connection.prepare_threshold = None
        return connection

    def _done(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        try:
            with _deadline(connection, self.seconds), connection.transaction():
                found = work(connection)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(connection)
                return found
        connection.close()
        return found


@contextmanager
def _deadline(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut ``connection`` off after ``seconds``: a server that is paused would be waited for without end."""

    def cut() -> None:
        # It may have been closed meanwhile, and then there is nothing to cut.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as own:
            own.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
