"""What tables there are in ``shared/inputs/``: files, and folders of files that are one table."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from bulkhead import untrusted
from bulkhead.errors import Refused
from bulkhead.input_files import KINDS, NO_DATA

if TYPE_CHECKING:
    import os
    from pathlib import Path

_MOST_ENTRIES = 10_000
"""Looked at in the folder itself, and again in all folders in it together."""


@dataclass(frozen=True)
class Input:
    """A source that a form can name."""

    name: str
    kind: Literal["table", "folder"]
    size: int
    """Bytes; of a folder, of all tables in it."""
    modified: int
    """Microseconds since 1970; of a folder, of the newest table in it."""
    tables: int = 1


def inputs(shared: Path) -> list[Input]:
    """The tables in ``inputs/`` below ``shared``, newest first; no link is followed.

    Raises:
        OSError: the folder cannot be read.
        Refused: it is none.
    """
    found: list[Input] = []
    budget = iter(range(_MOST_ENTRIES))
    for entry in islice(untrusted.scan(shared, "inputs"), _MOST_ENTRIES):
        with suppress(OSError, Refused):  # it has gone meanwhile, or may not be read
            if not _is_data(entry):
                continue
            if not entry.is_dir(follow_symlinks=False):
                found += _table(entry)
                continue
            # By the budget first: zip takes one more of its first argument than it hands on.
            below = zip(budget, untrusted.scan(shared, f"inputs/{entry.name}"), strict=False)
            if tables := [table for _, one in below if _is_data(one) for table in _table(one)]:
                size, newest = sum(one.size for one in tables), max(one.modified for one in tables)
                found.append(Input(entry.name, "folder", size, newest, len(tables)))
    return sorted(found, key=lambda one: (-one.modified, one.name))


def _is_data(entry: os.DirEntry[str]) -> bool:
    return entry.name.isprintable() and not entry.name.startswith(NO_DATA)


def _table(entry: os.DirEntry[str]) -> list[Input]:
    """The table that a file is, if it is one."""
    if not entry.name.lower().endswith(tuple(KINDS)) or not entry.is_file(follow_symlinks=False):
        return []
    seen = entry.stat(follow_symlinks=False)
    return [Input(entry.name, "table", seen.st_size, seen.st_mtime_ns // 1000)]
