"""The one reader of what lies below ``shared/`` and ``models/``: a step may have put anything there.

Every component of a path is opened by itself, below the one before and without following a link, so nothing that a
step can make leads out of its root. What is opened is a plain file, at once or not at all (a FIFO would wait for a
writer, a device could do anything), of bounded size where a limit is given, and not sparse: a file that says it has
a terabyte and holds none would be read for hours. Needs the standard library alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from bulkhead.errors import Refused, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path, PurePosixPath

RESULT_LIMIT = 1 << 20
"""Bytes of a result file."""
LINE_LIMIT = 16 << 20
"""Bytes of a journal's line."""
SETTINGS_LIMIT = 1 << 20
"""Bytes of ``gate.toml``."""

_SPARSE_FROM = 1 << 20
_SPARSE_SHARE = 64
"""A file holds less than this part of what it says it has: no compressing file system gets there with data of ours."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Untrusted(Refused):
    """A file that is not read: a link, no plain file, too large, sparse, or outside its root."""


def open_file(
    root: Path, relative: str | PurePosixPath, *, called: str | None = None, limit: int | None = None
) -> BufferedReader:
    """The plain file ``relative`` below ``root``, open for reading.

    Args:
        root: a folder of the host's; it may be reached by a link, nothing below may.
        relative: a path of one or more components, without ``..``.
        called: what sentences call the file; ``relative`` if not given.
        limit: the most bytes that it may have; None: any number.

    Raises:
        Untrusted: it is not read, and why.
        FileNotFoundError: there is no such file.
        OSError: it cannot be opened.
    """
    shown = called or str(relative)
    *folders, name = _components(relative, shown)
    with _Folder(root, folders, shown) as folder:
        try:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            raise _explained(error, shown) from None
    try:
        _check(os.fstat(descriptor), shown, limit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read(root: Path, relative: str | PurePosixPath, *, limit: int, called: str | None = None) -> bytes:
    """The bytes of a file that may grow while it is read: never more than ``limit``.

    Raises:
        Untrusted: as :func:`open_file`.
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
    """
    with open_file(root, relative, called=called, limit=limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _too_large(called or str(relative), len(content), limit)
    return content


def hash_of(root: Path, relative: str | PurePosixPath, *, called: str | None = None, limit: int | None = None) -> str:
    """The SHA-256 of a file, in hex, read in pieces.

    Raises:
        Untrusted: as :func:`open_file`.
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
    """
    with open_file(root, relative, called=called, limit=limit) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size(root: Path, relative: str | PurePosixPath, *, called: str | None = None) -> int:
    """How many bytes a plain file has.

    Raises:
        Untrusted: as :func:`open_file`.
        FileNotFoundError: there is no such file.
        OSError: it cannot be opened.
    """
    with open_file(root, relative, called=called) as file:
        return os.fstat(file.fileno()).st_size


def open_folder(root: Path, relative: str | PurePosixPath = ".", *, called: str | None = None) -> int:
    """The folder ``relative`` below ``root``, as a descriptor that the caller closes.

    Raises:
        Untrusted: it is reached by a link, or is no folder.
        FileNotFoundError: there is no such folder.
        OSError: it cannot be opened.
    """
    shown = called or str(relative)
    components = [] if str(relative) in {"", "."} else _components(relative, shown)
    return _Folder(root, components, shown).detach()


def scan(root: Path, relative: str | PurePosixPath = ".", *, called: str | None = None) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder; an entry's ``stat`` and ``is_dir`` follow links only where they are asked to.

    Raises:
        Untrusted: as :func:`open_folder`.
        FileNotFoundError: there is no such folder.
        OSError: it cannot be read.
    """
    descriptor = open_folder(root, relative, called=called)
    try:
        with os.scandir(descriptor) as entries:
            yield from entries
    finally:
        os.close(descriptor)


def is_steps_fault(error: OSError) -> bool:
    """Whether ``error`` is of what a step has left, and would come again: no right to read it, a name too long."""
    return error.errno in {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR}


def check_whole(descriptor: int, called: str) -> int:
    """The size of an open file, all of which is there: copying or hashing a hole would take for ever, or the disk.

    Raises:
        Untrusted: a part of it is a hole.
    """
    size = os.fstat(descriptor).st_size
    try:
        hole = os.lseek(descriptor, 0, os.SEEK_HOLE)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:  # empty, or of a file system that does not know
        return size
    if hole < size:
        raise Untrusted(f"{one_line(called, 200)}: has holes (a sparse file). It is not read.")
    return size


def check_plain(descriptor: int, called: str) -> None:
    """Refuse an open file that is no plain file, or a sparse one.

    Raises:
        Untrusted: why.
    """
    _check(os.fstat(descriptor), called, None)


class _Folder:
    """A folder opened one component after the other."""

    def __init__(self, root: Path, components: list[str], shown: str) -> None:
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for component in components:
            try:
                below = os.open(component, _FOLDER, dir_fd=self._descriptor)
            except OSError as error:
                os.close(self._descriptor)
                raise _explained(error, shown) from None
            os.close(self._descriptor)
            self._descriptor = below

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def detach(self) -> int:
        return self._descriptor


def _components(relative: str | PurePosixPath, shown: str) -> list[str]:
    text = str(relative)
    components = [part for part in text.split("/") if part not in {"", "."}]
    if "\0" in text:
        raise FileNotFoundError(errno.ENOENT, "no file has such a name", one_line(shown, 200))
    if not components or text.startswith("/") or ".." in components:
        raise Untrusted(f"{one_line(shown, 200)}: is not a path below its folder. Name a file of the project.")
    return components


def _check(found: os.stat_result, shown: str, limit: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Untrusted(f"{one_line(shown, 200)}: is no plain file but a {_kind(found.st_mode)}. It is not read.")
    if limit is not None and found.st_size > limit:
        raise _too_large(shown, found.st_size, limit)
    if found.st_size > _SPARSE_FROM and found.st_blocks * 512 < found.st_size // _SPARSE_SHARE:
        raise Untrusted(
            f"{one_line(shown, 200)}: says it has {found.st_size} bytes and holds {found.st_blocks * 512}"
            " (a sparse file). It is not read."
        )


def _too_large(shown: str, found: int, limit: int) -> Untrusted:
    return Untrusted(f"{one_line(shown, 200)}: has {found} bytes or more, and {limit} are read at most.")


def _kind(mode: int) -> str:
    for is_kind, kind in (
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "FIFO"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "character device"),
        (stat.S_ISBLK, "block device"),
    ):
        if is_kind(mode):
            return kind
    return "special file"


def _explained(error: OSError, shown: str) -> OSError | Untrusted:
    where = one_line(shown, 200)
    if error.errno in {errno.ELOOP, errno.EMLINK}:
        return Untrusted(f"{where}: is, or is reached by, a symbolic link. It is not followed.")
    if error.errno == errno.ENOTDIR:
        return Untrusted(f"{where}: is reached by a link, or by something that is no folder. It is not followed.")
    if error.errno in {errno.ENXIO, errno.ENODEV}:
        return Untrusted(f"{where}: is no plain file but a socket or a device. It is not read.")
    error.filename = shown
    return error
