"""The client for a process that waits for many answers at once: no thread, and a few kilobytes, for each.

As the other client it makes one connection for each request. What it reads is what our own server writes: a length, or
chunks, or all until the end of the connection.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_SECONDS = 30.0
_PIECE = 64 << 10
_BUFFER = 16 << 10
"""Bytes that wait in this process for whoever reads an answer; then the other side waits."""
_HEADERS = 100
_STATUS_PARTS = 2


class AsyncAnswer:
    """An answer that has begun: its status, and its body in pieces as they come."""

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status = status
        self._headers = headers
        self._reader = reader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, however long nothing comes.

        Raises:
            OSError: it was cut.
        """
        try:
            if self._headers.get("transfer-encoding", "").lower() == "chunked":
                async for piece in self._chunks():
                    yield piece
            elif (length := self._headers.get("content-length")) is not None:
                async for piece in self._exactly(_size(length, 10)):
                    yield piece
            else:
                while piece := await self._reader.read(_PIECE):
                    yield piece
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise ConnectionError(f"the answer was cut: {error}") from error

    async def whole(self, most: int = 8 << 20) -> bytes:
        """The body, where it is short.

        Raises:
            OSError: it was cut, or is longer than ``most``.
        """
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > most:
                raise ConnectionError(f"the answer is longer than {most} bytes")
        return bytes(found)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := _size((await self._reader.readuntil(b"\n")).split(b";")[0], 16):
            async for piece in self._exactly(size):
                yield piece
            await self._reader.readuntil(b"\n")
        await self._reader.readuntil(b"\n")

    async def _exactly(self, left: int) -> AsyncIterator[bytes]:
        while left:
            piece = await self._reader.read(min(left, _PIECE))
            if not piece:
                raise ConnectionError(f"the answer was cut, {left} bytes before its end")
            left -= len(piece)
            yield piece


class AsyncClient:
    """Asks a service on a unix socket.

    Args:
        path: of the socket.
        seconds: how long the answer may take to begin, and a whole one to end.
    """

    def __init__(self, path: Path | str, seconds: float = _SECONDS) -> None:
        self._path = str(path)
        self._seconds = seconds

    async def get(self, target: str) -> tuple[int, bytes]:
        """The status and the body of the answer.

        Raises:
            OSError: nobody answers, or not to the end, or not in time (``TimeoutError``).
        """
        async with asyncio.timeout(self._seconds), self._connected(target) as answer:
            return answer.status, await answer.whole()

    @asynccontextmanager
    async def stream(self, target: str, content: bytes | None = None) -> AsyncIterator[AsyncAnswer]:
        """The answer, to be read as it comes; the connection ends with the block.

        Args:
            target: the path, and the query.
            content: JSON that is posted; None: nothing is, the target is got.

        Raises:
            OSError: nobody answers, or it does not begin in time.
        """
        async with self._connected(target, content) as answer:
            yield answer

    @asynccontextmanager
    async def _connected(self, target: str, content: bytes | None = None) -> AsyncIterator[AsyncAnswer]:
        async with asyncio.timeout(self._seconds):
            reader, writer = await asyncio.open_unix_connection(self._path, limit=_BUFFER)
        try:
            async with asyncio.timeout(self._seconds):
                writer.write(_request(target, content))
                await writer.drain()
                answer = await _begun(reader)
            yield answer
        finally:
            with suppress(OSError):
                writer.transport.abort()


def _request(target: str, content: bytes | None) -> bytes:
    method, more = "GET", ""
    if content is not None:
        method, more = "POST", f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"
    return head.encode("ascii") + (content or b"")


async def _begun(reader: asyncio.StreamReader) -> AsyncAnswer:
    try:
        parts = (await reader.readuntil(b"\n")).split()
        if len(parts) < _STATUS_PARTS:
            raise ConnectionError("the answer has no status")
        status = int(parts[1])
        headers: dict[str, str] = {}
        for _ in range(_HEADERS):
            line = (await reader.readuntil(b"\n")).decode("latin-1").strip()
            if not line:
                return AsyncAnswer(status, headers, reader)
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise ConnectionError(f"the answer is none: {error}") from error
    raise ConnectionError("the answer has headers without end")


def _size(text: str | bytes, base: int) -> int:
    size = int(text, base)
    if size < 0:
        raise ValueError(f"{size} bytes")
    return size
