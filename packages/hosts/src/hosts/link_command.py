"""``hosts-link``: keep this host joined to the first one; ``hosts-link settings``: print what that one tells."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import time
from pathlib import Path

from bulkhead.host_secret import JoinCode
from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE
from hosts import API, tls
from hosts.link import Link, explained
from hosts.serving import until_told

CODE = "BULKHEAD_HOST_CODE"
_LAUNCHER = "/run/bulkhead/launcher/launcher.sock"
_SECONDS = 15.0
_KNOWN_SECONDS = 8.0


def main() -> int:
    """Serve, or answer; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    try:
        code = JoinCode.parse(os.environ.get(CODE, ""))
    except ValueError as error:
        sys.stderr.write(f"bulkhead: {CODE}: {error}.\nbulkhead: Run 'just host-add NAME' on the first host.\n")
        return 1
    if sys.argv[1:] == ["settings"]:
        return asyncio.run(_settings(code))
    asyncio.run(_serve(code))
    return 0


async def _serve(code: JoinCode) -> None:
    launcher = Path(os.environ.get("BULKHEAD_LAUNCHER_SOCKET") or _LAUNCHER)
    registrar = Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)
    await until_told(Link(code, launcher, registrar).serve())
    logging.getLogger(__name__).info("the link ends")


async def _settings(code: JoinCode) -> int:
    """Lines for an environment file, on standard output."""
    until = time.monotonic() + _KNOWN_SECONDS
    while True:
        try:
            told = await _asked(code)
            break
        except (OSError, TimeoutError, ValueError) as error:
            # The gateway hears of a host a moment after it was added.
            if time.monotonic() < until and not isinstance(error, ConnectionRefusedError):
                await asyncio.sleep(1)
                continue
            sys.stderr.write(f"bulkhead: {explained(error, f'{code.address}:{code.port}', code.name)}\n")
            return 1
    for name, value in sorted(told.items()):
        if re.fullmatch(r"BULKHEAD_[A-Za-z0-9_]+", name) and "'" not in value and value.isprintable():
            sys.stdout.write(f"{name}='{value}'\n")
    return 0


async def _asked(code: JoinCode) -> dict[str, str]:
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(code.address, code.port)
        try:
            await writer.start_tls(tls.client_context(code.name, code.secret), server_hostname=code.name)
            writer.write(API + b"GET /settings HTTP/1.0\r\nHost: gateway\r\n\r\n")
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.transport.abort()
    if b" 200 " not in head:
        raise ConnectionResetError(f"it answers {head[:100]!r}")
    told: dict[str, str] = json.loads(body)
    return told


if __name__ == "__main__":
    sys.exit(main())
