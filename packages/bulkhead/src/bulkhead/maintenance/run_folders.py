"""The run folders below ``shared/runs/``: which there are, how large, how old, and whether one is in use.

``<dag>/<run>`` for Airflow's runs, ``<run>`` for runs by hand (``debug``). No link is followed, and what
has not the name of a run folder (:func:`bulkhead.paths.slug`) is nobody's: it is passed over. What a step has closed
to readers, or has hidden deeper than :data:`DEEPEST`, is not counted.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock, untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

BY_HAND = ""
"""In place of the DAG of a run by hand."""

RUNS = "shared/runs/"

DEEPEST = 30
"""Folders within a run's that are looked into, one in another."""

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
    shared: Path
    """Where the project's ``shared/`` is here."""
    size: int
    """Bytes of its files."""
    newest: float
    """When a file in it was last written; where it has none, when it was made or the last file left it."""
    empty: bool
    """No file is in it."""
    held: bool
    """A step is running in it."""

    @property
    def below_shared(self) -> str:
        """Its path relative to ``shared/``."""
        return self.path.removeprefix("shared/")


def runs(shared: Path) -> Iterator[RunFolder]:
    """Every run folder, in no order."""
    for top in _folders(shared, "runs"):
        inner = _folders(shared, f"runs/{top}")
        # A DAG's folder holds run folders; a run's holds files. (One that has both is taken for a DAG's: then
        # no more can be removed of it than what is old in itself.)
        if inner and top != "debug":
            found = (look(shared, f"{RUNS}{top}/{name}", top) for name in inner)
            yield from (run for run in found if run is not None)
        else:
            run = look(shared, f"{RUNS}{top}", BY_HAND)
            if run is not None and not run.empty:
                yield run


def look(shared: Path, path: str, dag: str) -> RunFolder | None:
    """The run whose path in records is ``path``; None: it is gone, or no folder."""
    parent, _, name = path.removeprefix("shared/").rpartition("/")
    with _opened(shared, parent) as above:
        try:
            made = None if above is None else os.stat(name, dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            made = None
    if made is None or not stat.S_ISDIR(made.st_mode):
        return None
    size, newest, held = 0, None, False
    with _opened(shared, f"{parent}/{name}") as folder:
        for place, file, status in _files(folder):
            size += status.st_size
            newest = status.st_mtime if newest is None else max(newest, status.st_mtime)
            held = held or _is_lock(place, file, status, held=True)
    # Not the folder's own time, where there are files: a gc that is cut off in it would make it look new.
    empty = newest is None and folder is not None
    return RunFolder(path, dag, shared, size, made.st_mtime if newest is None else newest, empty, held)


def at(path: str, shared: Path) -> RunFolder | None:
    """The run folder that records call ``path``; None where there is none, or ``path`` is no run folder's."""
    named = _PATH.fullmatch(path)
    return None if named is None else look(shared, path, named.groups(default=BY_HAND)[0])


def is_left(run: RunFolder, removed: str) -> bool:
    """Whether ``run`` was to be gone since ``removed`` (a record's time): nothing was written into it afterwards."""
    try:
        return not run.held and (run.empty or run.newest < clock.parse(removed).timestamp())
    except ValueError:
        return False


def leftovers(run: RunFolder) -> Iterator[tuple[str, float]]:
    """Temporary and lock files in ``run`` that no step holds, by name, with the time they were written."""
    with _opened(run.shared, run.below_shared) as folder:
        for place, file, status in _files(folder):
            if _TEMPORARY.fullmatch(file) or _is_lock(place, file, status, held=False):
                yield file, status.st_mtime


def _folders(shared: Path, relative: str) -> list[str]:
    """The names of folders in the folder ``relative`` that a run can have."""
    with _opened(shared, relative) as folder:
        if folder is None:
            return []
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [name for name in sorted(names) if _SLUG.fullmatch(name)]


@contextmanager
def _opened(root: Path, relative: str) -> Iterator[int | None]:
    """The folder ``relative`` below ``root``, as a descriptor; None where there is none that can be read."""
    try:
        descriptor = untrusted.open_folder(root, relative)
    except (OSError, untrusted.Untrusted):  # gone, closed to us, or a link
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _files(folder: int | None, depth: int = 0) -> Iterator[tuple[int, str, os.stat_result]]:
    """Every file below ``folder``, its links themselves among them: the folder it is in, its name and its state."""
    if folder is None:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if not entry.is_dir(follow_symlinks=False):
                    yield folder, entry.name, entry.stat(follow_symlinks=False)
                elif depth < DEEPEST:
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    inner = os.open(entry.name, flags, dir_fd=folder)
                    try:
                        yield from _files(inner, depth + 1)
                    finally:
                        os.close(inner)
            except OSError:  # gone since, or closed to us
                continue


def _is_lock(folder: int, name: str, status: os.stat_result, *, held: bool) -> bool:
    """Whether ``name`` in ``folder`` is a lock file, and a step holds it or not as asked."""
    if not stat.S_ISREG(status.st_mode) or _LOCK.fullmatch(name) is None:
        return False
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except OSError:  # gone since, or a link: no step's
        return not held
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return held
    else:
        return not held
    finally:
        os.close(descriptor)
