"""A Parquet file, read in batches however large its row groups are: hashed before it is first read, and at the end."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bulkhead.errors import Refused, one_line
from tabular.pieces import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedReader

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
        self.sha256: str | None = None
        """Of the file before it was read."""
        with self._table() as table:
            self._schema = table.schema_arrow
            self.rows = int(table.metadata.num_rows)
        # pandas stores a frame's index as columns of this name; to its user they are none.
        self._raw_names = [name for name in self._schema.names if not name.startswith(_PANDAS_INDEX)]
        self.names = [name.strip() if name.isprintable() else name for name in self._raw_names]

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The columns ``names`` with the file's types, words as dictionaries, ``rows`` rows at a time at most.

        Raises:
            Refused: the file is none that can be read.
        """
        raw = {name: self._raw_names[self.names.index(name)] for name in names}
        # A word that a small file holds once can be as large as all of memory once each row has its own.
        long = [one for one in raw.values() if _is_of_bytes(self._schema.field(one).type)]
        if any(pa.types.is_nested(self._schema.field(one).type) for one in raw.values()):
            rows = min(rows, _NESTED_ROWS)  # no column of a model, but it has to be read before that is told
        with self._table(long) as table:
            if table.schema_arrow.names != self._schema.names:
                raise self._changed
            try:
                for batch in table.iter_batches(rows, columns=list(raw.values()), use_threads=False):
                    yield from _bounded(batch.select(list(raw.values())).rename_columns(list(names)))
            except (*UNREADABLE, OSError) as error:
                raise self._unreadable(error) from None

    def prove(self) -> None:
        """Hash the file: it must be the one that it was before.

        Raises:
            Refused: it has changed.
        """
        with self._opened() as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.sha256 not in (None, found):
            raise self._changed
        self.sha256 = found

    def place(self, row: int) -> str:  # noqa: ARG002  # as of a CSV file
        """The file: its rows have no lines."""
        return self.called

    @contextmanager
    def _table(self, words: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
        buffer = max(_SMALLEST_BUFFER, min(_LARGEST_BUFFER, _BUFFERS // max(len(self.names), 1)))
        with self._opened() as file:
            try:
                # Not read_table: that one chokes on two columns of one name.
                table = pq.ParquetFile(
                    pa.PythonFile(file, "r"), read_dictionary=list(words), buffer_size=buffer, pre_buffer=False
                )
            except (*UNREADABLE, OSError) as error:
                raise self._unreadable(error) from None
            with table:
                yield table

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
