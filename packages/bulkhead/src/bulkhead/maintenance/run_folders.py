"""The run folders below ``shared/runs/``: which there are, how large, how old, and whether one is in use.

``<dag>/<run>`` for Airflow's runs, ``<run>`` for runs by hand (``debug``). No link is followed, and what
has not the name of a run folder (:func:`bulkhead.paths.slug`) is nobody's: it is passed over.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

BY_HAND = ""
"""In place of the DAG of a run by hand."""

RUNS = "shared/runs/"

_SLUG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_PATH = re.compile(rf"{RUNS}(?:({_SLUG.pattern})/)?({_SLUG.pattern})")
_LOCK = re.compile(r"\..*\.lock", re.DOTALL)
_TEMPORARY = re.compile(r"\..*\.tmp", re.DOTALL)


class RunFolder(msgspec.Struct, frozen=True):
    """One run folder, as it was found."""

    path: str
    """Relative to the project."""
    dag: str
    """The DAG's folder; :data:`BY_HAND`."""
    folder: Path
    """Where it is here."""
    size: int
    """Bytes of its files."""
    newest: float
    """When a file in it was last written; where it has none, when it was made or the last file left it."""
    empty: bool
    """No file is in it."""
    held: bool
    """A step is running in it."""


def runs(shared: Path) -> Iterator[RunFolder]:
    """Every run folder, in no order."""
    for top in _folders(shared / "runs"):
        inner = _folders(top)
        # A DAG's folder holds run folders; a run's holds files. (One that has both is taken for a DAG's: then
        # no more can be removed of it than what is old in itself.)
        if inner and top.name != "debug":
            found = (look(folder, f"{RUNS}{top.name}/{folder.name}", top.name) for folder in inner)
            yield from (run for run in found if run is not None)
        else:
            run = look(top, f"{RUNS}{top.name}", BY_HAND)
            if run is not None and not run.empty:
                yield run


def look(folder: Path, path: str, dag: str) -> RunFolder | None:
    """The run in ``folder``, whose path in records is ``path``; None: it is gone."""
    try:
        made = folder.lstat().st_mtime
    except FileNotFoundError:
        return None
    size, times, held = 0, [], False
    for file, status in _files(folder):
        size += status.st_size
        times.append(status.st_mtime)
        held = held or (_LOCK.fullmatch(file.name) is not None and _is_held(file))
    # Not the folder's own time, where there are files: a gc that is cut off in it would make it look new.
    return RunFolder(path, dag, folder, size, max(times, default=made), not times, held)


def at(path: str, shared: Path) -> RunFolder | None:
    """The run folder that records call ``path``; None where there is none, or ``path`` is no run folder's."""
    named = _PATH.fullmatch(path)
    if named is None:
        return None
    dag, name = named.groups(default=BY_HAND)
    folder = shared / "runs" / dag / name
    # Neither may be a link: it would lead out of runs/.
    if not (_is_folder(folder.parent) and _is_folder(folder)):
        return None
    return look(folder, path, dag)


def is_left(run: RunFolder, removed: str) -> bool:
    """Whether ``run`` was to be gone since ``removed`` (a record's time): nothing was written into it afterwards."""
    try:
        return not run.held and (run.empty or run.newest < clock.parse(removed).timestamp())
    except ValueError:
        return False


def leftovers(run: RunFolder) -> Iterator[tuple[str, float]]:
    """Temporary and lock files in ``run`` that no step holds, by name, with the time they were written."""
    for file, status in _files(run.folder):
        if _TEMPORARY.fullmatch(file.name) or (_LOCK.fullmatch(file.name) and not _is_held(file)):
            yield file.name, status.st_mtime


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if _SLUG.fullmatch(name)]


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below ``folder``, its links themselves among them."""
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            file = Path(place, name)
            try:
                yield file, file.lstat()
            except FileNotFoundError:  # gone since
                continue


def _is_held(file: Path) -> bool:
    """Whether a step holds the lock ``file``."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # gone since, or a link: no step's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
