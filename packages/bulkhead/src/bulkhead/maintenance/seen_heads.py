"""What the registrar has last seen of each journal: the heads of the chains, kept where no writer of ``models/`` is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead.paths import JournalName
from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE, SeenHead
from bulkhead.unix_http import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 10
_OK = 200


def ask() -> Mapping[JournalName, SeenHead] | None:
    """The heads that the registrar at ``BULKHEAD_REGISTRAR_SOCKET`` has; None: it is not there, or knows none.

    A journal that it has never seen is not among them.
    """
    client = Client(Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET), _SECONDS)
    try:
        status, body = client.request("GET", "/chain")
        if status != _OK:
            return None
        found = msgspec.json.decode(body, type=dict[JournalName, SeenHead | None])
    except (OSError, msgspec.DecodeError):
        return None
    return {name: head for name, head in found.items() if head is not None}
