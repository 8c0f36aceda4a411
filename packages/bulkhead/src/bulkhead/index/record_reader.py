"""The records themselves, read from the journals where the index says that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead.index import journal_file
from bulkhead.untrusted import Untrusted

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
    return [record for record, _ in read_lines(models, journal, offsets, *kinds)]


def read_lines(
    models: Path, journal: JournalName, offsets: Iterable[int], *kinds: type[Record]
) -> list[tuple[Any, bytes]]:
    """As :func:`read`, each record with its line.

    Raises:
        IndexOutdated: one is not, or there is none.
        OSError: the journal cannot be read.
    """
    offsets = list(offsets)
    found: list[tuple[Any, bytes]] = []
    if not offsets:
        return found
    try:
        file = journal_file.opened(models, journal)
    except Untrusted:  # it was a journal when it was indexed
        raise IndexOutdated from None
    if file is None:
        raise IndexOutdated
    with file:
        for offset in offsets:
            line = next(journal_file.lines(file, offset), None)
            record = None if line is None else line.decoded()
            if line is None or not isinstance(record, kinds):
                raise IndexOutdated
            found.append((record, line.content))
    return found
