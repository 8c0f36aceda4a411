"""Remove a folder that a step has filled: whatever it holds, and as far as it can be removed.

A step may take the right to write from its own folders, nest them deeper than a path can name, or fill them with a
million files. So folders are opened one below the other and never by a path, no link is followed, modes are
given back where they are ours, and what cannot be removed is passed over and told.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead import untrusted
from bulkhead.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 30
"""Folders that are open at once; one that lies deeper is moved up first."""
_TOLD = 100
_PASSES = 3
"""How often a folder is read again, whose last files a writer has put there meanwhile."""


class Left(msgspec.Struct, frozen=True):
    """What could not be removed."""

    path: str
    """Relative to the project, in one printable line."""
    why: str


def remove(root: Path, relative: str, called: str) -> list[Left]:
    """Remove the folder ``relative`` below ``root``, and say what is left of it; nothing: it is gone.

    Args:
        root: a folder of this machine.
        relative: the folder; none of its parts may be a link.
        called: what it is called in what is returned.
    """
    removal = _Removal()
    above, _, name = relative.rpartition("/")
    try:
        parent = untrusted.open_folder(root, above)
    except (OSError, untrusted.Untrusted) as error:
        return [Left(one_line(called), _why(error))]
    try:
        removal.folder(parent, name, called)
        os.fsync(parent)
    finally:
        os.close(parent)
    return removal.left


@contextmanager
def opened(parent: int, name: str) -> Iterator[int]:
    """The folder ``name`` in ``parent`` as a descriptor; its owner may read and change it during and after the block.

    Raises:
        OSError: it is no folder, it is not ours and closed to us, or it is gone.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(name, flags, dir_fd=parent)
    except PermissionError:
        _open_up(parent, name)
        folder = os.open(name, flags, dir_fd=parent)
    try:
        mode = os.fstat(folder).st_mode
        if mode & stat.S_IRWXU != stat.S_IRWXU and os.fstat(folder).st_uid == os.geteuid():
            os.fchmod(folder, stat.S_IMODE(mode) | stat.S_IRWXU)
        yield folder
    finally:
        os.close(folder)


def _open_up(parent: int, name: str) -> None:
    """Give the owner back what a mode takes from it; not by the name, which may be a link by then."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        found = os.fstat(place)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        # A descriptor that names only a place takes no fchmod; the kernel's name for it does.
        Path(f"/proc/self/fd/{place}").chmod(stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
    finally:
        os.close(place)


class _Removal:
    """One removal of one tree."""

    def __init__(self) -> None:
        self.left: list[Left] = []
        self._failed = 0
        self._moved = 0
        self._top: int | None = None

    def folder(self, parent: int, name: str, called: str, depth: int = 0) -> None:
        """Remove the folder ``name`` in ``parent``."""
        try:
            passes = 0
            while passes < _PASSES:
                failed, moved = self._failed, self._moved
                with opened(parent, name) as folder:
                    if depth == 0:
                        self._top = folder
                    self._empty(folder, called, depth)
                if self._failed > failed:
                    return  # what it holds is told, so it need not be
                try:
                    os.rmdir(name, dir_fd=parent)
                except OSError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
                else:
                    return
                passes += self._moved == moved
        except FileNotFoundError:
            return
        except OSError as error:
            self._fail(called, error)
        else:
            self._fail(called, OSError(errno.ENOTEMPTY, "somebody writes into it"))

    def _empty(self, folder: int, called: str, depth: int) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                shown = f"{called}/{entry.name}"
                if not entry.is_dir(follow_symlinks=False):
                    try:
                        os.unlink(entry.name, dir_fd=folder)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        self._fail(shown, error)
                elif depth < _DEEPEST:
                    self.folder(folder, entry.name, shown, depth + 1)
                else:
                    self._move_up(folder, entry.name, shown)

    def _move_up(self, folder: int, name: str, called: str) -> None:
        """To the top of the tree, where the next pass removes it; a path of any depth takes few descriptors so."""
        try:
            with opened(folder, name):
                pass  # a folder that its owner may not write cannot be moved
            while True:
                self._moved += 1
                target = f".deep-{self._moved}"
                try:
                    os.stat(target, dir_fd=self._top, follow_symlinks=False)
                except FileNotFoundError:
                    break
            os.rename(name, target, src_dir_fd=folder, dst_dir_fd=self._top)
        except FileNotFoundError:
            return
        except OSError as error:
            self._fail(called, error)

    def _fail(self, called: str, error: OSError) -> None:
        self._failed += 1
        if len(self.left) < _TOLD:
            self.left.append(Left(one_line(called, 300), _why(error)))


def _why(error: Exception) -> str:
    return one_line((error.strerror or str(error)) if isinstance(error, OSError) else str(error))
