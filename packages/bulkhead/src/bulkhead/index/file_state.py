"""What the index remembers of a journal file, to tell one that grew from one that was replaced or edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    import os

_SAMPLE = 4096


class FileState(msgspec.Struct, frozen=True, kw_only=True):
    """A journal as it was when its last line was indexed."""

    inode: int
    modified: int
    """Nanoseconds."""
    size: int
    upto: int
    """Bytes of it that are indexed."""
    head: bytes
    """Its first bytes, up to ``upto``."""
    tail: bytes
    """The last bytes before ``upto``."""


NO_FILE = -1
"""The inode of a journal that there is not."""

NOTHING = FileState(inode=0, modified=0, size=0, upto=0, head=b"", tail=b"")


def look(file: BinaryIO, state: os.stat_result, upto: int, *, more: bool) -> FileState:
    """``file``, of which ``upto`` bytes are indexed now; with ``more`` it is not yet all that there is."""
    file.seek(0)
    head = file.read(min(_SAMPLE, upto))
    file.seek(max(0, upto - _SAMPLE))
    tail = file.read(min(_SAMPLE, upto))
    modified, size = (0, upto) if more else (state.st_mtime_ns, state.st_size)
    return FileState(inode=state.st_ino, modified=modified, size=size, upto=upto, head=head, tail=tail)


def unchanged(seen: FileState, state: os.stat_result) -> bool:
    """Nothing was written to it since."""
    return (seen.inode, seen.modified, seen.size) == (state.st_ino, state.st_mtime_ns, state.st_size)


def has_grown(file: BinaryIO, seen: FileState, state: os.stat_result) -> bool:
    """Whether it is ``seen`` and perhaps more; otherwise it was replaced, cut or edited.

    Not noticed: a line in the middle that is edited in place to the same length, and something appended
    before anybody looked.
    """
    if seen.inode != state.st_ino or state.st_size <= seen.size:
        return False
    file.seek(0)
    if file.read(len(seen.head)) != seen.head:
        return False
    file.seek(seen.upto - len(seen.tail))
    return file.read(len(seen.tail)) == seen.tail
