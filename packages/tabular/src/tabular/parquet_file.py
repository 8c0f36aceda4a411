"""A Parquet file, read in batches however large its row groups are: hashed ahead of its readers, and at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bulkhead.errors import Refused, one_line
from tabular.footer import footer
from tabular.hashing import HashedAhead
from tabular.pieces import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedReader, RawIOBase

    from tabular.hashing import Hashed

_PANDAS_INDEX = "__index_level_"
_BUFFERS = 64 << 20
"""Bytes of all columns' pages that are in memory, instead of all that a row group has of them."""
_SMALLEST_BUFFER, _LARGEST_BUFFER = 16 << 10, 256 << 10
_NESTED_ROWS = 64
"""Of columns of lists, a row of which can have any size."""
_MOST_BYTES = 64 << 20
"""Of the words of a batch, once each row has its own."""


class ParquetFile:
    """A Parquet file of a user's.

    Args:
        opened: opens the file.
        called: what people call it.

    Attributes:
        names: of the columns, in their order, without blanks around them.
        rows: how many there are, as the file says.
    """

    def __init__(self, opened: Callable[[], BufferedReader], called: str) -> None:
        self.called = called
        self._opened = opened
        self.names: list[str] = []
        self._hashed: Hashed | None = None  # as it was when it was first read
        with self._opened() as file:
            try:
                pq.read_metadata(pa.PythonFile(file, "r"))  # which says what is wrong
                self._footer = footer(file.fileno(), os.fstat(file.fileno()).st_size)
                self._metadata = pq.read_metadata(pa.BufferReader(self._footer))
                self._schema = self._metadata.schema.to_arrow_schema()
            except (*UNREADABLE, OSError, ValueError) as error:
                raise self._unreadable(error) from None
        self.rows = int(self._metadata.num_rows)
        # pandas stores a frame's index as columns of this name; to its user they are none.
        self._raw_names = [name for name in self._schema.names if not name.startswith(_PANDAS_INDEX)]
        self.names = [name.strip() if name.isprintable() else name for name in self._raw_names]

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The columns ``names`` with the file's types, words as dictionaries, ``rows`` rows at a time at most.

        Raises:
            Refused: the file is none that can be read, or has changed.
        """
        with self._opened() as file:
            if self._hashed is not None:
                yield from self._read(file, names, rows)
                return
            with HashedAhead(file, self._opened()) as hashed:
                yield from self._read(hashed, names, rows)
                found = hashed.hashed()
            # What the file's end said when it was opened has to be in what was hashed, too.
            try:
                end = footer(file.fileno(), os.fstat(file.fileno()).st_size)
            except ValueError:  # it is being written anew
                raise self._changed from None
            if end != self._footer:
                raise self._changed
            self._hashed = found

    def first_batch(self, names: Sequence[str], rows: int) -> pa.RecordBatch | None:
        """The first rows, which nothing proves; None: there are none."""
        with self._opened() as file:
            return next(self._read(file, names, rows), None)

    @property
    def sha256(self) -> str | None:
        """Of the file, as it was when it was first read; None: it was not yet."""
        return None if self._hashed is None else self._hashed.sha256

    def prove(self) -> None:
        """Hash the file: it must be the one that it was when it was first read.

        Raises:
            Refused: it has changed.
        """
        if self._hashed is None or not self._hashed.is_of(self._opened):
            raise self._changed

    def place(self, row: int) -> str:  # noqa: ARG002  # as of a CSV file
        """The file: its rows have no lines."""
        return self.called

    def _read(self, file: RawIOBase | BufferedReader, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        raw = {name: self._raw_names[self.names.index(name)] for name in names}
        kinds = [self._schema.field(one).type for one in raw.values()]
        if any(map(pa.types.is_nested, kinds)):
            rows = min(rows, _NESTED_ROWS)  # no column of a model, but it has to be read before that is told
        # A word that a small file holds once can be as large as all of memory once each row has its own.
        words = [one for one, kind in zip(raw.values(), kinds, strict=True) if _is_of_bytes(kind)]
        buffer = max(_SMALLEST_BUFFER, min(_LARGEST_BUFFER, _BUFFERS // max(len(self.names), 1)))
        try:
            # Not read_table: that one chokes on two columns of one name.
            with pq.ParquetFile(
                pa.PythonFile(file, "r"),
                metadata=self._metadata,
                read_dictionary=words,
                buffer_size=buffer,
                pre_buffer=False,
            ) as table:
                for batch in table.iter_batches(rows, columns=list(raw.values()), use_threads=False):
                    yield from _bounded(batch.select(list(raw.values())).rename_columns(list(names)))
        except (*UNREADABLE, OSError) as error:
            raise self._unreadable(error) from None

    @property
    def _changed(self) -> Refused:
        return Refused(f"{self.called}: it has changed while it was read. Run this again when nobody writes to it.")

    def _unreadable(self, error: Exception) -> Refused:
        return Refused(f"{self.called}: cannot be read as Parquet: {one_line(str(error), 300)}. Fix the file.")


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """``batch`` in so many parts that the words of none of them need much memory once each row has its own."""
    size = max((_unfolded(column) for column in batch.columns if pa.types.is_dictionary(column.type)), default=0)
    if size <= _MOST_BYTES or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _bounded(batch.slice(0, half))
    yield from _bounded(batch.slice(half))


def _unfolded(column: pa.DictionaryArray) -> int:
    if not _is_of_bytes(column.type.value_type):
        return 0
    lengths = pc.binary_length(column.dictionary)
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def _is_of_bytes(kind: pa.DataType) -> bool:
    return any(
        is_such(kind)
        for is_such in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )
