"""A CSV file, read in blocks: what is parsed is hashed as it goes by."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from bulkhead.errors import Refused, one_line
from tabular.csv_text import Text, csv_line
from tabular.pieces import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedIOBase

_BLOCK = 1 << 20
"""What pyarrow reads at once; a row must fit into it."""
_WIDE = 500
"""Columns from which on a block of that size would hold too few rows."""
_BATCH_BYTES = 2 << 20
_NOT_UTF8, _ONE_COLUMN = "invalid UTF8 data", "Expected 1 columns"
"""In what pyarrow says of a cell that is not, and of a comma under a header without one."""


class CsvFile:
    """A CSV file, or one that is compressed with gzip.

    Args:
        opened: opens the file, from its beginning.
        called: what people call it.
        is_compressed: whether its name says that it is.

    Attributes:
        names: of the columns, in their order, without blanks around them.
    """

    def __init__(self, opened: Callable[[], BufferedIOBase], called: str, *, is_compressed: bool = False) -> None:
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

    def first_batch(self, names: Sequence[str], rows: int) -> pa.RecordBatch | None:
        """The first rows, which nothing proves; None: there are none."""
        return next(self.batches(names, rows), None)

    def place(self, row: int) -> str:
        """The file, and the line in it where a person finds the row ``row``, from 1 after the header."""
        try:
            with self._text() as text:
                line = csv_line(text, row, of_one_column=len(self.names) == 1)
        except (OSError, Refused):
            line = None
        return f"{self.called}, line {line}" if line else self.called

    @contextmanager
    def _text(self) -> Iterator[Text]:
        with self._opened() as file:
            yield Text(file, self.called, is_compressed=self._is_compressed)

    def _named(self, text: Text) -> list[str]:
        try:
            with pyarrow.csv.open_csv(pa.PythonFile(text, "r"), parse_options=_parse_options(2)) as reader:
                return list(reader.schema.names)
        except UNREADABLE as error:
            if text.is_blank:
                raise Refused(f"{self.called}: it is empty. Give a table with a header and at least one row.") from None
            raise self._unreadable(error) from None

    def _blocks(self, text: Text, names: list[str]) -> Iterator[pa.RecordBatch]:
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
        why = one_line(str(error), 300)
        what, remedy = "cannot be read as CSV", "Fix the file"
        if isinstance(error, UnicodeDecodeError) or _NOT_UTF8 in why:
            what, remedy = "it is not UTF-8 text", "Export it as CSV in UTF-8"
        elif _ONE_COLUMN in why and ";" in why:
            remedy = "Export it with commas between the columns, and points in numbers"
        return Refused(f"{self.called}: {what}: {why}. {remedy}.")


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
