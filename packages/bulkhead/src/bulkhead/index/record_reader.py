"""The records themselves, read from the journals where the index says that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead.paths import JOURNALS
from bulkhead.registry import records

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.records import Record


class IndexOutdated(Exception):  # a state, not an error
    """What the index knows is not what the journal holds: somebody edited it, and the index must be made anew."""


def read(models: Path, journal: JournalName, offsets: Iterable[int], *kinds: type[Record]) -> list[Any]:
    """The records at ``offsets`` of a journal, each of one of ``kinds``.

    Raises:
        IndexOutdated: one is not, or there is none.
        OSError: the journal cannot be read.
    """
    offsets = list(offsets)
    found: list[Any] = []
    if not offsets:
        return found
    try:
        with (models / JOURNALS[journal]).open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                record = records.decode(file.readline().rstrip(b"\n"), offset)
                if not isinstance(record, kinds):
                    raise IndexOutdated
                found.append(record)
    except FileNotFoundError:
        raise IndexOutdated from None
    return found
