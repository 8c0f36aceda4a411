"""A container's output as lines, whole characters, and never all of it in memory."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_LINE = 1 << 16
"""A longer line is handed on in pieces."""

_BREAK = re.compile(r"\r\n|\n|\r(?!$)")


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in ``chunks``, without their ends; a bare carriage return (a progress bar) ends one too.

    A character cut by a chunk's border is put together again; bytes that are no UTF-8 become ``�``.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    for chunk in chunks:
        *whole, rest = _BREAK.split(rest + decoder.decode(chunk))
        for line in whole:
            yield from _pieces(line)
        while len(rest) > LONGEST_LINE + 1:  # + 1: its last character may be half of a line break
            yield rest[:LONGEST_LINE]
            rest = rest[LONGEST_LINE:]
    rest += decoder.decode(b"", final=True)
    if rest:
        yield from _pieces(rest.removesuffix("\r"))


def _pieces(line: str) -> Iterator[str]:
    yield line[:LONGEST_LINE]
    for start in range(LONGEST_LINE, len(line), LONGEST_LINE):
        yield line[start : start + LONGEST_LINE]
