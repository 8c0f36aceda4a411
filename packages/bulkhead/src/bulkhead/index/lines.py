"""The records themselves, read from the logs where the index says that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead import records
from bulkhead.registry import LOGS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bulkhead.records import Pipeline, Record


class Moved(Exception):  # a state, not an error
    """What the index knows is not what the log holds: somebody edited it, and the index must be made anew."""


def read(models: Path, log: Pipeline, offsets: Iterable[int], *kinds: type[Record]) -> list[Any]:
    """The records at ``offsets`` of a log, each of one of ``kinds``.

    Raises:
        Moved: one is not, or there is none.
        OSError: the log cannot be read.
    """
    offsets = list(offsets)
    found: list[Any] = []
    if not offsets:
        return found
    try:
        with (models / LOGS[log]).open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                record = records.decode(file.readline().rstrip(b"\n"), offset)
                if not isinstance(record, kinds):
                    raise Moved
                found.append(record)
    except FileNotFoundError:
        raise Moved from None
    return found
