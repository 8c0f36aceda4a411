"""A journal as the index reads it: opened as what a stranger may have put there, and line by line within bounds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from bulkhead import untrusted
from bulkhead.paths import JOURNALS
from bulkhead.registry import record_lines
from bulkhead.registry.records import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.records import Record

_PIECE = 1 << 20


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of a journal."""

    offset: int
    size: int
    """With its end."""
    content: bytes
    """Without its end; of one that is longer than a line may be only its beginning."""
    has_end: bool

    @property
    def is_blank(self) -> bool:
        """There is nothing in it."""
        return not self.content.strip()

    @property
    def is_too_long(self) -> bool:
        """It is no record, whatever it holds."""
        return self.size - self.has_end > untrusted.LINE_LIMIT

    def decoded(self, *, slim: bool = False) -> Record | Unreadable:
        """The record in it; ``slim``: as :func:`bulkhead.registry.record_lines.decode_slim` does."""
        if self.is_too_long:
            reason = f"longer than {untrusted.LINE_LIMIT >> 20} MiB"
            return Unreadable(self.offset, reason, self.content[:80].decode(errors="replace"))
        return (record_lines.decode_slim if slim else record_lines.decode)(self.content, self.offset)


def opened(models: Path, journal: JournalName) -> BinaryIO | None:
    """The journal called ``journal``; None where there is none.

    Raises:
        OSError: it cannot be read.
        Untrusted: it is a link, no plain file, or sparse.
    """
    try:
        return untrusted.open_file(models, JOURNALS[journal], called=f"models/{JOURNALS[journal]}")
    except FileNotFoundError:
        return None


def size(models: Path, journal: JournalName) -> int | None:
    """How many bytes it has, whatever it is; None where there is none."""
    try:
        return os.lstat(models / JOURNALS[journal]).st_size
    except FileNotFoundError:
        return None


def lines(file: BinaryIO, offset: int) -> Iterator[Line]:
    """The lines of ``file`` from byte ``offset`` on."""
    file.seek(offset)
    while content := file.readline(untrusted.LINE_LIMIT + 1):
        has_end, length = content.endswith(b"\n"), len(content)
        if not has_end and length > untrusted.LINE_LIMIT:
            content = content[:_PIECE]
            while piece := file.readline(_PIECE):
                length += len(piece)
                if has_end := piece.endswith(b"\n"):
                    break
        yield Line(offset, length, content.removesuffix(b"\n"), has_end)
        offset += length
