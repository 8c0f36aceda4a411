"""The first host's end: one port, at which each further host is known by its secret."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from bulkhead import unix_http
from bulkhead.host_secret import secret_of
from bulkhead.hosts_protocol import MAIN, HostStatus
from hosts import API, LAUNCHER, REGISTRAR, pipes, tls
from hosts.pipes import Connection
from hosts.waiting_room import WaitingRoom

if TYPE_CHECKING:
    from pathlib import Path

    from hosts.proxy import Proxy

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_CHANNEL_SECONDS = 10.0


class Known:
    """The hosts that were added, as the registrar says.

    Args:
        registrar: its socket.
        key: ``BULKHEAD_HOSTS_KEY``, of which secrets are made.
    """

    def __init__(self, registrar: Path, key: str) -> None:
        self._registrar = unix_http.Client(registrar, 10)
        self._key = key
        self._hosts: dict[str, HostStatus] = {}

    def look(self) -> set[str]:
        """Ask anew; returns those that are not what they were.

        Raises:
            OSError: the registrar does not answer.
        """
        status, body = self._registrar.request("GET", "/hosts")
        if status != 200:  # noqa: PLR2004  # HTTP's
            raise ConnectionError(body[:200].decode(errors="replace"))
        found = {one.name: one for one in msgspec.json.decode(body, type=list[HostStatus]) if one.name != MAIN}
        changed = {
            name for name, host in self._hosts.items() if name not in found or found[name].generation != host.generation
        }
        self._hosts = found
        return changed

    def secret_of(self, name: str) -> str | None:
        """The secret of a host; None: there is no such host."""
        host = self._hosts.get(name)
        return None if host is None else secret_of(self._key, name, host.generation)

    def queues_of(self, name: str) -> list[str]:
        """The queues that a host serves beside its own."""
        host = self._hosts.get(name)
        return [] if host is None else host.queues


class Gateway:
    """Serves hosts.

    Args:
        known: who they are.
        proxy: what they may ask.
        sockets: the folder for the sockets of their launchers.
        inner: a folder of its own.
        secured: whether connections are encrypted; only tests do without.
    """

    def __init__(self, known: Known, proxy: Proxy, sockets: Path, inner: Path, *, secured: bool = True) -> None:
        self._known = known
        self._proxy = proxy
        self._sockets = sockets
        self._inner = inner
        self._secured = secured
        self._rooms: dict[str, WaitingRoom] = {}
        self._servers: dict[tuple[str, bytes], asyncio.Server] = {}
        self._open: dict[str, set[Connection]] = {}
        self._opening = asyncio.Lock()
        self.port = 0
        """At which it serves, once it does."""

    async def serve(self, address: str, port: int) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._accept, address, port)
        self.port = server.sockets[0].getsockname()[1]
        logger.info("the gateway serves at port %s", self.port)
        try:
            async with server:
                await asyncio.gather(server.serve_forever(), self._look())
        finally:
            for room in self._rooms.values():
                await room.close()
            for inner in self._servers.values():
                inner.close()

    async def _look(self) -> None:
        said = ""
        while True:
            try:
                for name in await asyncio.to_thread(self._known.look):
                    await self._cut(name)
                said = ""
            except OSError as error:
                if str(error) != said:
                    logger.warning("waiting for the registrar: %s", error)
                said = str(error)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _cut(self, name: str) -> None:
        """End every connection of a host whose secret is none any more."""
        logger.info("the host %s was removed or added anew; its connections end", name)
        for connection in self._open.pop(name, set()):
            connection.close()
        if (room := self._rooms.pop(name, None)) is not None:
            await room.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        pipes.keep_alive(writer)
        try:
            async with asyncio.timeout(_CHANNEL_SECONDS):
                name = await self._name_of(connection)
                channel = await reader.readline()
            its_own = self._open.setdefault(name, set())
            its_own.add(connection)
            try:
                await self._serve(name, channel, connection)
            finally:
                its_own.discard(connection)
        except (OSError, TimeoutError, ValueError) as error:
            logger.info("refused %s: %s", writer.get_extra_info("peername"), error)
        finally:
            connection.close()

    async def _name_of(self, connection: Connection) -> str:
        if not self._secured:
            return (await connection.reader.readline()).decode().strip()
        names: list[str] = []
        context = tls.server_context(self._known.secret_of, names.append)
        await connection.writer.start_tls(context, ssl_handshake_timeout=tls.HANDSHAKE_SECONDS)
        if not names:
            raise ConnectionError("it names no host")
        return names[-1]

    async def _serve(self, name: str, channel: bytes, connection: Connection) -> None:
        if channel == LAUNCHER:
            await (await self._room(name)).wait(connection)
        elif channel in {API, REGISTRAR}:
            with suppress(OSError):
                inner = Connection(*await asyncio.open_unix_connection(await self._inner_of(name, channel)))
                await pipes.join(connection, inner)

    async def _room(self, name: str) -> WaitingRoom:
        async with self._opening:
            if name not in self._rooms:
                room = WaitingRoom(self._sockets / f"{name}.sock")
                await room.open()
                self._rooms[name] = room
            return self._rooms[name]

    async def _inner_of(self, name: str, channel: bytes) -> str:
        """The socket on which this host is answered, by a server that knows whom it answers."""
        path = str(self._inner / f"{name}.{channel.decode().strip()}.sock")
        async with self._opening:
            if (name, channel) not in self._servers:
                made = self._proxy.api_of(name) if channel == API else self._proxy.registrar_of(name)
                loop = asyncio.get_running_loop()
                self._servers[name, channel] = await loop.create_unix_server(made, path)
        return path
