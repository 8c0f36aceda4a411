"""Bytes both ways between two connections, until one of them ends."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any, NamedTuple

_PIECE = 64 << 10
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
"""A host that is cut off is noticed within a quarter of a minute."""


class Connection(NamedTuple):
    """One end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        """At once, whatever was not sent."""
        with suppress(Exception):  # it may be closed by whatever has gone wrong before
            self.writer.transport.abort()


async def join(one: Connection, other: Connection, stripped: bytes = b"") -> None:
    """Hand on what comes from either to the other; close both when one of them ends.

    Args:
        one: an end.
        other: another; what it sends until ``stripped`` is not handed on.
        stripped: the one byte that ends what is not; empty: nothing is left out.
    """

    async def answers() -> None:
        if stripped:
            while (byte := await other.reader.read(1)) != stripped:
                if not byte:
                    return
        await _copy(other.reader, one.writer)

    directions = [asyncio.create_task(_copy(one.reader, other.writer)), asyncio.create_task(answers())]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for end in (one, other):
            with suppress(OSError, RuntimeError, TimeoutError):
                async with asyncio.timeout(5):
                    await end.writer.drain()
                    end.writer.close()
                    await end.writer.wait_closed()
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        one.close()
        other.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel notice that the other side has gone without a word."""
    connected: Any = writer.get_extra_info("socket")
    with suppress(OSError, AttributeError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
