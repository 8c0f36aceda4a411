"""Connections of a host that wait until somebody on the first host asks its launcher, and the socket for asking."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from hosts import ALIVE, ALIVE_SECONDS, TAKEN, TAKES, pipes
from hosts.pipes import Connection

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 3.0
"""How long somebody waits for a connection: after a burst of requests the host makes new ones."""
_SILENT_SECONDS = 3 * ALIVE_SECONDS


class WaitingRoom:
    """One host's.

    Args:
        path: of the socket; whoever connects to it speaks to the host's launcher.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[tuple[Connection, asyncio.Task[None]]] = deque()
        self._used: dict[Connection, asyncio.Event] = {}
        """By connection that was taken, whether whoever took it is done."""
        self._come = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Offer the socket."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            self._server = await asyncio.start_unix_server(self._ask, str(self._path))
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Offer it no more, and end what waits."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        while self._waiting:
            connection, look = self._waiting.popleft()
            look.cancel()
            connection.close()

    async def wait(self, connection: Connection) -> None:
        """Have a connection wait, and be used; returns when it has ended."""
        look = asyncio.create_task(self._look_at(connection))
        entry = (connection, look)
        self._waiting.append(entry)
        self._come.set()
        with suppress(asyncio.CancelledError):
            await look
        if (used := self._used.get(connection)) is not None:
            await used.wait()
            del self._used[connection]
        elif entry in self._waiting:
            self._waiting.remove(entry)

    async def _look_at(self, connection: Connection) -> None:
        """Ends when the connection has, or is silent."""
        with suppress(OSError, TimeoutError):
            while True:
                async with asyncio.timeout(_SILENT_SECONDS):
                    if await connection.reader.read(1) != ALIVE:
                        return

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Connection(reader, writer)
        taken = await self._taken()
        if taken is None:
            caller.close()
            return
        try:
            taken.writer.write(TAKEN)
            await pipes.join(caller, taken, stripped=TAKES)
        finally:
            self._used[taken].set()

    async def _taken(self) -> Connection | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS):
                while True:
                    while self._waiting:
                        connection, look = self._waiting.popleft()
                        is_open = not look.done() and not connection.writer.is_closing()
                        if is_open:
                            self._used[connection] = asyncio.Event()
                            look.cancel()
                            return connection
                        look.cancel()
                        connection.close()
                    self._come.clear()
                    await self._come.wait()
        return None
