"""Files that are whole or not there: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from bulkhead.behind import Behind

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MODE = 0o664
"""Exchange files and journals: the group writes too, because every container runs with group 0."""


_PIECE = 1 << 20
_SYNCED = 64 << 20
"""Bytes after which a file that is being written is synced: the disk is at work meanwhile, and not at the end alone."""


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data``, in hex."""
    return hashlib.sha256(data).hexdigest()


def hash_of(path: Path) -> str | None:
    """The SHA-256 of the file at ``path``, in hex, read in pieces; None where there is no file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError):
        return None


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An ``OSError`` of the block gets ``path`` as its file name where it has none: a failed write has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def temporary_beside(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """A synced temporary file with ``data`` in the folder of ``path``; gone when the block ends.

    A SIGKILL leaves it behind, under a name that starts with a dot and that no reader looks at.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


class Copy(NamedTuple):
    """A temporary copy of a file."""

    path: Path
    sha256: str
    size: int


@contextmanager
def copied_beside(path: Path, source: BinaryIO, mode: int, size_bytes: int) -> Iterator[Copy]:
    """As :func:`temporary_beside`, with the first ``size_bytes`` of ``source``, hashed as they are copied.

    Memory does not grow with them, nor does the copy where somebody appends to ``source`` meanwhile.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
    temporary = Path(name)
    digest = hashlib.sha256()
    size = 0
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            while size < size_bytes and (piece := source.read(min(_PIECE, size_bytes - size))):
                digest.update(piece)
                size += len(piece)
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        yield Copy(temporary, digest.hexdigest(), size)
    finally:
        temporary.unlink(missing_ok=True)


class HashedWriter:
    """A file that is hashed as it is written, both by a thread; what writes tables asks no more of one than this."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = self._unsynced = 0
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._behind = Behind("writes")
        self.closed = False

    def write(self, data: bytes) -> int:
        """Append ``data``, which must not change any more.

        Raises:
            OSError: it cannot be written, or what was given before it.
        """
        self._kept.append(data)
        self._kept_bytes += len(data)
        self._size += len(data)
        if self._kept_bytes >= _PIECE:
            self._hand_over()
        return len(data)

    def finish(self) -> None:
        """Write what was given so far.

        Raises:
            OSError: it cannot be written.
        """
        self._hand_over()
        self._behind.wait()

    def stop(self) -> None:
        """Write nothing more."""
        self._behind.stop()

    def flush(self) -> None:
        """Nothing: the file is synced when it is whole."""

    def close(self) -> None:
        """Nothing: who opened it closes it."""

    def tell(self) -> int:
        """How many bytes there are."""
        return self._size

    def writable(self) -> bool:
        """That it is."""
        return True

    @property
    def sha256(self) -> str:
        """Of what has been written, in hex."""
        return self._digest.hexdigest()

    def _hand_over(self) -> None:
        pieces, self._kept, self._kept_bytes = self._kept, [], 0
        self._behind.do(self._append, pieces)

    def _append(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._file.write(piece)
            self._digest.update(piece)
            self._unsynced += len(piece)
        if self._unsynced >= _SYNCED:
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self._unsynced = 0


@contextmanager
def writing_whole(path: Path, mode: int = SHARED_MODE) -> Iterator[HashedWriter]:
    """As :func:`write_whole`, of what the block writes; where the block raises, ``path`` is as it was.

    Raises:
        OSError: the folder cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            writer = HashedWriter(file)
            try:
                yield writer
                writer.finish()
            finally:
                writer.stop()
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes, mode: int = SHARED_MODE) -> None:
    """Replace ``path`` by ``data``: a reader sees the old file or the new one, never a part.

    Raises:
        OSError: the folder cannot be written; ``path`` is as it was.
    """
    with temporary_beside(path, data, mode) as temporary:
        temporary.replace(path)
    sync_folder(path.parent)
