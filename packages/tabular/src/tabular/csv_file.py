"""A CSV file, read in blocks: what is parsed is hashed as it goes by."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from bulkhead.errors import Refused, one_line
from tabular.pieces import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

_LONGEST_LINE = 1_000_000
"""pyarrow reads blocks of a mebibyte, and a row must fit into one."""
_BLOCK = 1 << 20
_WIDE = 500
"""Columns from which on a block of that size would hold too few rows."""
_PIECE = 256 << 10
"""What is looked at at once: shorter than a line may be."""
_FED = 32 << 10
"""What is unpacked at once: each member of a file has what comes after it copied."""
_LINE_END = re.compile(rb"[\r\n]")
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_BATCH_BYTES = 6 << 20
_NO_MORE_ROWS = b"\r\n"


class CsvFile:
    """A CSV file, or one that is compressed with gzip.

    Args:
        opened: opens the file, from its beginning.
        called: what people call it.
        is_compressed: whether its name says that it is.

    Attributes:
        names: of the columns, in their order, without blanks around them.
    """

    def __init__(self, opened: Callable[[], BinaryIO], called: str, *, is_compressed: bool = False) -> None:
        self.called = called
        self._opened = opened
        self._is_compressed = is_compressed
        self.sha256: str | None = None
        """Of the bytes that were parsed; None: they were not all read yet."""
        with self._text() as text:
            self._raw_names = self._named(text)
        self.names = [name.strip() for name in self._raw_names]

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The columns ``names`` as text, some ``rows`` rows at a time.

        Raises:
            Refused: the file is none that can be read, or another one than when it was read before.
        """
        raw = [self._raw_names[self.names.index(name)] for name in names]
        with self._text() as text:
            for batch in _joined(self._blocks(text, raw), rows):
                yield batch.rename_columns(list(names))
            digest = text.finish()
        if self.sha256 not in (None, digest):
            raise Refused(f"{self.called}: it has changed while it was read. Run this again when nobody writes to it.")
        self.sha256 = digest

    def place(self, row: int) -> str:
        """The file, and the line in it where a person finds the row ``row``, from 1 after the header."""
        try:
            with self._text() as text:
                line = csv_line(text, row, of_one_column=len(self.names) == 1)
        except (OSError, Refused):
            line = None
        return f"{self.called}, line {line}" if line else self.called

    @contextmanager
    def _text(self) -> Iterator[_Text]:
        with self._opened() as file:
            yield _Text(file, self.called, is_compressed=self._is_compressed)

    def _named(self, text: _Text) -> list[str]:
        try:
            with pyarrow.csv.open_csv(pa.PythonFile(text, "r"), parse_options=_parse_options(2)) as reader:
                return list(reader.schema.names)
        except UNREADABLE as error:
            if text.is_blank:
                raise Refused(f"{self.called}: it is empty. Give a table with a header and at least one row.") from None
            raise self._unreadable(error) from None

    def _blocks(self, text: _Text, names: list[str]) -> Iterator[pa.RecordBatch]:
        # Every column as text: a type guessed from the first block would turn a bad cell further down into an error
        # without a row.
        as_text = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(self._raw_names, pa.string()),
            include_columns=names,
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        block = _BLOCK * (8 if len(self.names) > _WIDE else 1)
        try:
            with pyarrow.csv.open_csv(
                pa.PythonFile(text, "r"),
                read_options=pyarrow.csv.ReadOptions(block_size=block),
                parse_options=_parse_options(len(self.names)),
                convert_options=as_text,
            ) as reader:
                yield from reader
        except UNREADABLE as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> Refused:
        return Refused(f"{self.called}: cannot be read as CSV: {one_line(str(error), 300)}. Fix the file.")


def _parse_options(columns: int) -> pyarrow.csv.ParseOptions:
    # In a table of one column a blank line is an empty cell; passing over it would shift the rows.
    return pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=columns > 1)


def _joined(blocks: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Blocks put together, until there are so many rows, or bytes: looking at a batch costs time whatever its size."""
    kept: list[pa.RecordBatch] = []
    size = count = 0
    for block in blocks:
        kept.append(block)
        size += block.nbytes
        count += block.num_rows
        if size >= _BATCH_BYTES or count >= rows:
            yield pa.concat_batches(kept)
            kept, size, count = [], 0, 0
    if count:
        yield pa.concat_batches(kept)


class _Text:
    """A file's text, hashed as it is read: what pyarrow asks of a file that it reads from its beginning to its end.

    Line ends after the last row are passed over: in a table of one column they would be empty cells.
    """

    def __init__(self, file: BinaryIO, called: str, *, is_compressed: bool) -> None:
        self._file = file
        self._called = called
        self._digest = hashlib.sha256()
        self._unzip = _Gunzip(called) if is_compressed else None
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
        return self._digest.hexdigest()

    def _more(self) -> None:
        piece = self._unzip.piece() if self._unzip and self._unzip.has_more else b""
        if not piece:
            raw = self._file.read(_PIECE)
            self._digest.update(raw)
            if not self._seen and not self._unzip and raw.startswith(_GZIP):
                raise Refused(f"{self._called}: it is compressed with gzip. Unpack it, or call it .csv.gz.")
            piece = self._unzip.fed(raw) if self._unzip else raw
            if not raw:
                if self._unzip:
                    self._unzip.check_whole()
                self._is_over = True
                if not self.is_blank:
                    self._ready += b"\n"
                return
        self._take(piece)

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
            self._lines += piece.count(b"\n")
            self._line = len(piece) - max(piece.rfind(b"\n"), piece.rfind(b"\r")) - 1


class _Gunzip:
    """Unpacks, a piece at a time: a small file can hold a very large one."""

    def __init__(self, called: str) -> None:
        self._called = called
        self._inflate = zlib.decompressobj(wbits=31)
        self._rest = memoryview(b"")
        self.has_more = False

    def fed(self, raw: bytes) -> bytes:
        """The first piece of what is in ``raw``; :meth:`piece` gives more, while it has more."""
        self._rest = memoryview(raw)
        return self.piece()

    def piece(self) -> bytes:
        """The next piece of what has been fed; empty: there is none."""
        content = b""
        # An empty member, and the end of one, give nothing; there may be more after it.
        while not content and (self._rest or self.has_more):
            if self._inflate.eof:
                if not any(self._rest):  # nothing, or zeros, as tapes end in
                    self._rest = self._rest[:0]
                    break
                self._inflate = zlib.decompressobj(wbits=31)  # one more member
            fed = self._rest[:_FED]
            try:
                content = self._inflate.decompress(fed, _PIECE)
            except zlib.error as error:
                raise Refused(f"{self._called}: cannot be unpacked as gzip: {error}. Fix the file.") from None
            left = len(self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail)
            self._rest = self._rest[len(fed) - left :]
            self.has_more = bool(self._rest) or len(content) == _PIECE
        self.has_more = bool(content) and self.has_more
        return content

    def check_whole(self) -> None:
        """Refuse a file that ends in the middle."""
        if not self._inflate.eof:
            raise Refused(f"{self._called}: cannot be unpacked as gzip: it ends in the middle. Fix the file.")


def csv_line(text: _Text, row: int, *, of_one_column: bool) -> int | None:
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


def _skipped(text: _Text, row: int) -> tuple[int, bytes]:
    """How many lines at the beginning, each a row or the header, come before ``row``; and the bytes after them."""
    lines, rest = 0, b""
    while piece := text.read(_BLOCK):
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

    def __init__(self, first: bytes, text: _Text) -> None:
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
