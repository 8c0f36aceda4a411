"""The host's end: what its worker and its launcher need of the first host.

It holds the host's secret, and neither DAG code nor steps run beside it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hosts import ALIVE, ALIVE_SECONDS, API, API_PORT, LAUNCHER, REGISTRAR, TAKEN, TAKES, pipes, tls
from hosts.pipes import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bulkhead.host_secret import JoinCode

logger = logging.getLogger(__name__)

_WAITING = 4
"""How many connections wait for somebody who asks the launcher."""
_AGAIN_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
_SAY_SECONDS = 60.0


class Link:
    """Connections to the gateway.

    Args:
        code: who this host is, and where the gateway is.
        launcher: the socket of this host's launcher.
        registrar: the socket on which the registrar is offered here.
        port: on which Airflow's API server is offered here.
        secured: whether connections are encrypted; only tests do without.
    """

    def __init__(
        self, code: JoinCode, launcher: Path, registrar: Path, *, port: int = API_PORT, secured: bool = True
    ) -> None:
        self._code = code
        self._launcher = launcher
        self._registrar = registrar
        self._port = port
        self._context: ssl.SSLContext | None = tls.client_context(code.name, code.secret) if secured else None
        self._tasks: set[asyncio.Task[None]] = set()
        self._said = 0.0
        self.address: tuple[str, int] = ("", 0)
        """Where the API server is offered, once it is."""

    async def serve(self) -> None:
        """Serve until cancelled."""
        self._registrar.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            registrar = await asyncio.start_unix_server(self._for(REGISTRAR), str(self._registrar))
        finally:
            os.umask(before)
        api = await asyncio.start_server(self._for(API), None, self._port)
        self.address = next(one.getsockname()[:2] for one in api.sockets if one.family == socket.AF_INET)
        for _ in range(_WAITING):
            self._spawn(self._wait_for_callers())
        try:
            async with registrar, api:
                await asyncio.gather(registrar.serve_forever(), api.serve_forever())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _for(self, channel: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            caller = Connection(reader, writer)
            try:
                gateway = await self._connected(channel)
            except (OSError, TimeoutError) as error:
                self._say(error)
                caller.close()
                return
            await pipes.join(caller, gateway)

        return serve

    async def _wait_for_callers(self) -> None:
        """Wait on one connection until somebody asks the launcher; another then waits in its place."""
        while True:
            try:
                gateway = await self._connected(LAUNCHER)
            except (OSError, TimeoutError) as error:
                self._say(error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            try:
                if await self._is_taken(gateway):
                    self._spawn(self._wait_for_callers())
                    await self._serve_caller(gateway)
                    return
            finally:
                gateway.close()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _is_taken(self, gateway: Connection) -> bool:
        with suppress(OSError):
            while True:
                try:
                    async with asyncio.timeout(ALIVE_SECONDS):
                        return await gateway.reader.read(1) == TAKEN
                except TimeoutError:
                    gateway.writer.write(ALIVE)
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        await gateway.writer.drain()
        return False

    async def _serve_caller(self, gateway: Connection) -> None:
        try:
            launcher = Connection(*await asyncio.open_unix_connection(str(self._launcher)))
        except OSError as error:
            logger.warning("the launcher does not answer: %s", error)
            return
        gateway.writer.write(TAKES)
        await pipes.join(gateway, launcher)

    async def _connected(self, channel: bytes) -> Connection:
        async with asyncio.timeout(_CONNECT_SECONDS):
            made = Connection(*await asyncio.open_connection(self._code.address, self._code.port))
            try:
                pipes.keep_alive(made.writer)
                if self._context is not None:
                    await made.writer.start_tls(self._context, server_hostname=self._code.name)
                else:
                    made.writer.write(f"{self._code.name}\n".encode())
                made.writer.write(channel)
                await made.writer.drain()
            except BaseException:
                made.close()
                raise
        return made

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, error: Exception) -> None:
        if time.monotonic() - self._said > _SAY_SECONDS:
            self._said = time.monotonic()
            where = f"{self._code.address}:{self._code.port}"
            logger.warning("%s", explained(error, where, self._code.name))


def explained(error: Exception, where: str, name: str) -> str:
    """Why there is no link, and what to do about it."""
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens at {where}. On the first host, set BULKHEAD_HOSTS=1 in .env and run 'just up'."
    if isinstance(error, ConnectionResetError | BrokenPipeError) or type(error).__name__.startswith("SSL"):
        return (
            f"the gateway at {where} refuses the secret of the host {name}: it was removed, or added anew."
            f" Run 'just host-add {name}' on the first host, and here what that prints."
        )
    return f"the gateway at {where} does not answer ({type(error).__name__}: {error}). Look at the network between."
