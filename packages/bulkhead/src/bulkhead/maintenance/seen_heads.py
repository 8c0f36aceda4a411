"""What the registrar has last seen of each journal: the heads of the chains, kept where no writer of ``models/`` is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import Refused
from bulkhead.paths import JOURNALS, JournalName
from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE, SeenHead
from bulkhead.registry import journal
from bulkhead.unix_http import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.registry.store import Registry

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


def refuse_others(registry: Registry) -> None:
    """Refuse to write to a journal that is not the one that was seen last: one more line would cover the traces.

    Where nobody can be asked, nothing is refused; ``verify`` tells it later.

    Raises:
        Refused: it was cut off, or set back.
    """
    for name, head in (ask() or {}).items():
        if not journal.has_line(registry.journal_of(name), head.hash):
            raise Refused(
                f"models/{JOURNALS[name]} is not the log that was seen last ({head.seen_at}): it had line {head.seq} of"
                " its chain. Nothing is recorded. Look with 'just registry verify', restore the log, or take it as it"
                " is: 'just registry accept --reason ...'"
            )
