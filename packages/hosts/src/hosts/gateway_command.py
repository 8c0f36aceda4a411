"""``hosts-gateway``: serve further hosts until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

from bulkhead.hosts_protocol import SOCKETS
from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE
from hosts import PORT
from hosts.gateway import Gateway, Known
from hosts.proxy import Proxy
from hosts.serving import until_told

_TOLD = (
    "BULKHEAD_PROJECT",
    "BULKHEAD_UID",
    "BULKHEAD_TAG",
    "BULKHEAD_STEP_",
    "BULKHEAD_ENGINE_LEASE",
    "BULKHEAD_REGISTRAR_SECONDS",
    "BULKHEAD_DEFER_AFTER",
    "BULKHEAD_APPROVERS",
    "BULKHEAD_APPROVAL_DAYS",
    "BULKHEAD_FOUR_EYES",
    "BULKHEAD_INFERENCE_FOLLOWS",
)
"""What a host is told: names of variables, or how they begin."""
_NOT_TOLD = ("BULKHEAD_STEP_SLOTS",)


def main() -> int:
    """Serve; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    try:
        key, jwt_key = os.environ["BULKHEAD_HOSTS_KEY"], os.environ["AIRFLOW__API_AUTH__JWT_SECRET"]
    except KeyError as error:
        sys.stderr.write(f"bulkhead: {error} is not set. Run 'just up' once, it completes .env.\n")
        return 1
    asyncio.run(_serve(key, jwt_key))
    return 0


async def _serve(key: str, jwt_key: str) -> None:
    registrar = Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)
    known = Known(registrar, key)
    api = os.environ.get("BULKHEAD_API_URL") or "http://api-server:8080"
    proxy = Proxy(api, jwt_key, registrar, known.queues_of, told(os.environ))
    with tempfile.TemporaryDirectory(prefix="gateway-") as inner:
        gateway = Gateway(known, proxy, Path(SOCKETS), Path(inner))
        try:
            await until_told(gateway.serve("0.0.0.0", PORT))  # noqa: S104  # hosts come from outside
            logging.getLogger(__name__).info("the gateway ends")
        finally:
            await proxy.close()


def told(variables: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """What hosts are told of this one's settings."""
    return {
        name: value for name, value in variables.items() if name.startswith(_TOLD) and name not in _NOT_TOLD and value
    }


if __name__ == "__main__":
    sys.exit(main())
