"""The text of a CSV file: hashed as it goes by, unpacked, and looked at for what no CSV has."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from bulkhead.errors import Refused

if TYPE_CHECKING:
    from io import BufferedIOBase

_LONGEST_LINE = 1_000_000
"""A row must fit into what pyarrow reads at once, which is a mebibyte."""
_SKIPPED = 1 << 20
_PIECE = 256 << 10
"""What is looked at at once: shorter than a line may be."""
_NEWLINE = ord("\n")
_LINE_END = re.compile(rb"[\r\n]")
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_NO_MORE_ROWS = b"\r\n"


class Text:
    """A file's text, hashed as it is read: what pyarrow asks of a file that it reads from its beginning to its end.

    Line ends after the last row are passed over: in a table of one column they would be empty cells.
    """

    def __init__(self, file: BufferedIOBase, called: str, *, is_compressed: bool) -> None:
        self._called = called
        self._hashed = _Hashed(file)
        self._is_compressed = is_compressed
        self._content = gzip.GzipFile(fileobj=self._hashed) if is_compressed else self._hashed
        self._ready = bytearray()
        self._held = b""  # line ends that may be the last
        self._line = self._seen = self._lines = 0
        self._is_over = False
        self.is_blank = True
        """Whether nothing but blanks was read yet."""
        self.closed = False

    def readable(self) -> bool:
        """That it is."""
        return True

    def seekable(self) -> bool:
        """That it is not."""
        return False

    def close(self) -> None:
        """Nothing: who opened the file closes it."""

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes; fewer only at the end."""
        while not self._is_over and (size < 0 or len(self._ready) < size):
            self._more()
        wanted = len(self._ready) if size < 0 else size
        piece = bytes(memoryview(self._ready)[:wanted])
        del self._ready[:wanted]
        return piece

    def finish(self) -> str:
        """Read what nobody asked for, and return the SHA-256 of the file."""
        while not self._is_over:
            self._more()
            self._ready.clear()
        return self._hashed.digest.hexdigest()

    def _more(self) -> None:
        try:
            piece = self._content.read(_PIECE) or b""
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Refused(f"{self._called}: cannot be unpacked as gzip: {error}. Fix the file.") from None
        if not self._seen and not self._is_compressed and piece.startswith(_GZIP):
            raise Refused(f"{self._called}: it is compressed with gzip. Unpack it, or call it .csv.gz.")
        if piece:
            self._take(piece)
            return
        self._is_over = True
        if not self.is_blank:
            self._ready += b"\n"

    def _take(self, piece: bytes) -> None:
        if self._seen < 1 << 20 and b"\x00" in piece:
            raise Refused(f"{self._called}: it holds zero bytes, so it is not CSV text. Export it as CSV in UTF-8.")
        if not self._seen:
            piece = piece.removeprefix(_BOM)
        self._seen += len(piece)
        self._check_lines(piece)
        self.is_blank = self.is_blank and not piece.strip()
        content = piece.rstrip(_NO_MORE_ROWS)
        if content or len(self._held) > _PIECE:
            self._ready += self._held
            self._ready += content
            self._held = b""
        self._held += piece[len(content) :]

    def _check_lines(self, piece: bytes) -> None:
        """Of a piece that is shorter than a line may be, only its first and its last line can be parts of a longer."""
        first = _LINE_END.search(piece)
        self._line += len(piece) if first is None else first.start()
        if self._line > _LONGEST_LINE:
            raise Refused(
                f"{self._called}: line {self._lines + 1} is longer than a megabyte. Give each row a line of its own."
            )
        if first is not None:
            # bytes.count takes three times as long.
            self._lines += int(np.count_nonzero(np.frombuffer(piece, np.uint8) == _NEWLINE))
            self._line = len(piece) - max(piece.rfind(b"\n"), piece.rfind(b"\r")) - 1


class _Hashed(io.RawIOBase):
    """A file, hashed as it is read."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """That it is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as io calls it
        """Fill ``buffer`` with what comes next."""
        count = self._file.readinto(buffer)
        self.digest.update(memoryview(buffer)[:count])
        return count


def csv_line(text: Text, row: int, *, of_one_column: bool) -> int | None:
    """The line of a CSV file on which its ``row``, from 1 after the header, begins; None: nobody can tell."""
    # Python's reader takes half a minute for a hundred million rows; where each line is a row, they are counted.
    skipped, rest = _skipped(text, row)
    reader = csv.reader(io.TextIOWrapper(io.BufferedReader(_Chained(rest, text)), encoding="utf-8", newline=""))
    seen, before = skipped - 1, 0
    longest = csv.field_size_limit(_LONGEST_CELL)
    try:
        for cells in reader:
            # A blank line is a row where there is one column, and none where there are more.
            if cells or of_one_column:
                seen += 1
            if seen == row:
                return skipped + before + 1
            before = reader.line_num
    except (csv.Error, UnicodeDecodeError):
        return None
    finally:
        csv.field_size_limit(longest)
    return None


_LONGEST_CELL = 16 << 20
"""A cell may have line breaks; with them it is no longer than a block."""
_BLANK_LINE = re.compile(rb"\n\r?\n|\r(?!\n)")


def _skipped(text: Text, row: int) -> tuple[int, bytes]:
    """How many lines at the beginning, each a row or the header, come before ``row``; and the bytes after them."""
    lines, rest = 0, b""
    while piece := text.read(_SKIPPED):
        rest += piece
        end = rest.rfind(b"\n") + 1
        count = rest.count(b"\n", 0, end)
        is_plain = b'"' not in rest and not rest.startswith((b"\n", b"\r\n")) and not _BLANK_LINE.search(rest)
        if not is_plain or lines + count > row or not end:
            break
        lines += count
        rest = rest[end:]
    return lines, rest


class _Chained(io.RawIOBase):
    """Some bytes, and after them a text."""

    def __init__(self, first: bytes, text: Text) -> None:
        self._first = first
        self._text = text

    def readable(self) -> bool:
        """That it is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as io calls it
        """Fill ``buffer`` with what comes next."""
        piece = self._first[: len(buffer)] or self._text.read(len(buffer))
        self._first = self._first[len(piece) :] if self._first else b""
        buffer[: len(piece)] = piece
        return len(piece)
