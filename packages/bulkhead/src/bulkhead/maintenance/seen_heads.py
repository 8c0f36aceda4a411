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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.registry.store import Registry

_SECONDS = 10
_OK = 200


def ask() -> Mapping[JournalName, SeenHead] | None:
    """The heads that the registrar at ``BULKHEAD_REGISTRAR_SOCKET`` has; None: it is not there, or knows none.

    A journal that it has never seen is not among them.
    """
    from bulkhead.unix_http import Client  # with it comes http.client, and most commands ask nobody

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
            raise Refused(not_the_log(name, head.seq, None, head.seen_at))


def not_the_log(name: JournalName, seq: int | None, end: int | None, seen_at: str | None = None) -> str:
    """What is said of the journal ``name`` that has not, or no longer, the line ``seq``, which was seen as its last.

    Args:
        name: which.
        seq: the line's number in its chain.
        end: the number of the line that it ends with now; None: it is not known, or there is none.
        seen_at: when the line was seen; None: in this very process.
    """
    log = f"models/{JOURNALS[name]}"
    seen = f" ({seen_at})" if seen_at else ""
    now = f", and ends at {end} now" if end is not None else ""
    return (
        f"{log} is not the log that was seen last{seen}: it had line {seq} of its chain{now}. Nothing is recorded."
        " Look with 'just registry verify', restore the log, or take it as it is:"
        " 'just registry accept --reason ...'"
    )
