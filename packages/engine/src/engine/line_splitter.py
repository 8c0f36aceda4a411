"""Bytes of a container's output as lines: whole characters, bounded length, constant memory."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LONGEST_LINE = 1 << 16
"""A longer line is handed on in pieces."""
LONGEST_SECRET = 1 << 12
"""So much more of a long line is waited for before it is cut, so that ``mask`` sees a secret whole."""

_BREAK = re.compile(r"\r\n|\n|\r(?!$)")


class LineSplitter:
    """Puts one stream's chunks together into lines, without their ends.

    A bare carriage return (a progress bar) ends a line too. A character cut by a chunk's border is
    put together again; bytes that are no UTF-8 become ``�``. A line longer than ``LONGEST_LINE`` is
    handed on in pieces, after ``mask`` has hidden what must not be told in pieces either.
    """

    def __init__(self, mask: Callable[[str], str] = str) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._mask = mask
        self._rest = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for the rest of its line."""
        return not self._rest and not self._decoder.getstate()[0]

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that ``chunk`` completes."""
        *whole, self._rest = _BREAK.split(self._rest + self._decoder.decode(chunk))
        for line in whole:
            yield from self._pieces(line)
        if len(self._rest) > LONGEST_LINE + LONGEST_SECRET:
            self._rest = self._mask(self._rest)
        while len(self._rest) > LONGEST_LINE + LONGEST_SECRET:
            yield self._rest[:LONGEST_LINE]
            self._rest = self._rest[LONGEST_LINE:]

    def end(self) -> Iterator[str]:
        """The last line, where it had no end."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        if rest:
            yield from self._pieces(rest.removesuffix("\r"))

    def _pieces(self, line: str) -> Iterator[str]:
        if len(line) > LONGEST_LINE:
            line = self._mask(line)
        yield line[:LONGEST_LINE]
        for start in range(LONGEST_LINE, len(line), LONGEST_LINE):
            yield line[start : start + LONGEST_LINE]


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in ``chunks``."""
    made = LineSplitter()
    for chunk in chunks:
        yield from made.feed(chunk)
    yield from made.end()
