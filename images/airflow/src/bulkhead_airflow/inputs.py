"""The tables in ``shared/inputs/``, for the forms that start pipelines to suggest.

They are looked up whenever DAGs are read, so it must be quick and never fail: a folder of a million files is looked at
for a moment, and a name that no form could show is passed over. A form suggests; what else is typed is taken as ever.
"""

from __future__ import annotations

import functools
import os
import time
from itertools import islice
from pathlib import Path

MOST = 200
"""Names that a form suggests."""
_MOST_LOOKED_AT = 20_000
_SECONDS = 0.5
_MOST_WITHIN = 20
"""Entries of a folder among which a table must be, if it is to be suggested."""
_LONGEST = 200
_ENDS = (".csv", ".parquet")


def folder() -> Path:
    """Where they are, read-only."""
    return Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow")) / "shared/inputs"


@functools.lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Their names, the newest first, at most ``MOST``; once for each process, which reads one DAG file."""
    return newest(folder())


def newest(inputs: Path, seconds: float = _SECONDS) -> tuple[str, ...]:
    """The names of the tables in ``inputs``, the newest first; those that were found in time."""
    until = time.monotonic() + seconds
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(inputs) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_LOOKED_AT or time.monotonic() > until:
                    break
                moment = _moment(entry) if not _is_folder(entry) else _moment_of_folder(entry)
                if moment is not None:
                    found.append((-moment, entry.name))
    except OSError:
        return ()
    return tuple(name for _, name in sorted(found)[:MOST])


def _moment(entry: os.DirEntry[str]) -> int | None:
    """When the table was written; None: it is none, or of a name that no form can show."""
    name = entry.name
    if name.startswith(".") or not name.lower().endswith(_ENDS) or len(name) > _LONGEST or not name.isprintable():
        return None
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns if entry.is_file(follow_symlinks=False) else None
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _moment_of_folder(entry: os.DirEntry[str]) -> int | None:
    """When a folder was written whose files are one table; None: the first of them are none."""
    if entry.name.startswith(".") or len(entry.name) > _LONGEST or not entry.name.isprintable():
        return None
    try:
        with os.scandir(entry) as within:
            if any(_moment(one) is not None for one in islice(within, _MOST_WITHIN)):
                return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        pass
    return None
