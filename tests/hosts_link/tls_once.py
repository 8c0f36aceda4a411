"""Runs inside the Airflow image: who gets through TLS by a secret, as JSON. Python has it since 3.13."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hosts import tls

if TYPE_CHECKING:
    from collections.abc import Callable

SECRETS = {"gpu1": "ab" * 32, "gpu2": "cd" * 32}


async def come(context: Callable[[list[str]], ssl.SSLContext], name: str, secret: str) -> dict[str, Any]:
    """What either side makes of a connection of ``name`` with ``secret``."""
    seen: dict[str, Any] = {"server": None, "client": None}
    answered = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names: list[str] = []
        try:
            await writer.start_tls(context(names), ssl_handshake_timeout=5)
            line = (await reader.readline()).decode().strip()
            seen["server"] = [names, line]
            writer.write(b"welcome\n")
            await writer.drain()
        except (OSError, ValueError):
            pass
        finally:
            writer.transport.abort()
            answered.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await writer.start_tls(tls.client_context(name, secret), server_hostname=name)
            writer.write(b"hello\n")
            seen["client"] = (await reader.readline()).decode().strip() or None
            seen["version"] = writer.get_extra_info("ssl_object").version()
        except (OSError, ValueError):
            pass
        finally:
            writer.transport.abort()
        await asyncio.wait_for(answered.wait(), 10)
    return seen


def gateway(names: list[str]) -> ssl.SSLContext:
    return tls.server_context(SECRETS.get, names.append)


def stranger(_: list[str]) -> ssl.SSLContext:
    """Somebody in between, who has a certificate and no secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/cert.pem", "/tmp/key.pem")
    return context


async def main() -> int:
    made = ["-keyout", "/tmp/key.pem", "-out", "/tmp/cert.pem", "-days", "1", "-subj", "/CN=gpu1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made]
    subprocess.run(make, check=True, capture_output=True)  # noqa: ASYNC221  # nothing else runs yet
    said = {
        "right": await come(gateway, "gpu1", SECRETS["gpu1"]),
        "wrong": await come(gateway, "gpu1", "ee" * 32),
        "another's": await come(gateway, "gpu1", SECRETS["gpu2"]),
        "unknown": await come(gateway, "gpu3", "ab" * 32),
        "stranger": await come(stranger, "gpu1", SECRETS["gpu1"]),
    }
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
