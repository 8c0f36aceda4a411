"""Exchange files: the tables that one step leaves for the next, as Parquet, written and read in batches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from bulkhead.errors import Refused, listed, one_line
from bulkhead.prediction import frames
from bulkhead.step.result import Output
from tabular.pieces import UNREADABLE, read_ahead, rows_at_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from io import BufferedReader

    import pandas as pd

    from bulkhead.files import HashedWriter
    from bulkhead.step.runner import Step

_BUFFER = 1 << 18
ROW = "row"


def write(step: Step, name: str, batches: Iterable[pa.RecordBatch]) -> Output:
    """Write ``batches``, one after another, as the file ``name`` of the run folder: whole, or not at all.

    Raises:
        Refused: a batch has other columns than the first one.
        OSError: the folder cannot be written.
    """
    rows = 0
    with step.writing(name) as file:
        writer: pq.ParquetWriter | None = None
        try:
            for batch in batches:
                if writer is None:
                    writer = _writer(file, batch.schema)
                _check_alike(name, writer.schema, batch.schema)
                writer.write_batch(batch)
                rows += batch.num_rows
        except BaseException:
            if writer is not None:
                writer.is_open = False  # what is unfinished is not finished: closing it would write once more
            raise
        if writer is None:
            raise RuntimeError("a table without a batch")
        writer.close()
    return Output(path=name, sha256=file.sha256, rows=rows)


class Exchanged:
    """An exchange file that is open for reading; its bytes are proven by whoever has opened it."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        with self._table() as table:
            self.schema: pa.Schema = table.schema_arrow
            self.rows = int(table.metadata.num_rows)

    def batches(self, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The columns ``names``, or all, in one pass; a batch always has the same rows."""
        names = self.schema.names if names is None else list(names)
        yield from read_ahead(self._read(names))

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The same, as frames, the index of each from 0."""
        for batch in self.batches(names):
            yield frames.of_batch(batch)

    def _read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        # By all columns of the file, whichever are read: so batches of two passes have the same rows.
        rows = rows_at_once(len(self.schema.names))
        with self._table() as table:
            for batch in table.iter_batches(rows, columns=list(names), use_threads=False):
                yield batch.select(list(names))

    @contextmanager
    def _table(self) -> Iterator[pq.ParquetFile]:
        try:
            # The same file, opened once more: two passes may be on their way at once.
            with (
                pa.OSFile(f"/proc/self/fd/{self._file.fileno()}", "r") as file,
                pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as table,
            ):
                yield table
        except (*UNREADABLE, OSError) as error:
            raise _unreadable(error) from None


def _writer(file: HashedWriter, schema: pa.Schema) -> pq.ParquetWriter:
    """Numbers as they are: to write and to read them is then to copy them. Words once each."""
    words = [field.name for field in schema if not _is_number(field.type)]
    return pq.ParquetWriter(
        file,
        schema,
        use_dictionary=words or False,
        compression={field.name: "SNAPPY" if field.name in words else "NONE" for field in schema},
        write_statistics=False,
        column_encoding={ROW: "DELTA_BINARY_PACKED"} if ROW in schema.names and ROW not in words else None,
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _check_alike(name: str, first: pa.Schema, other: pa.Schema) -> None:
    if other.equals(first):
        return
    differ = sorted({*map(str, first)} ^ {*map(str, other)})
    raise Refused(
        f"{name}: some rows have other columns than those before them, or the same in another order: {listed(differ)}."
        " A transformation must make the same of each row, whichever rows are beside it. Fix transform in the model's"
        " file, then run just build-images."
    )


def _unreadable(error: Exception) -> Refused:
    return Refused(
        f"what the step before has left cannot be read as Parquet: {one_line(str(error), 300)}. Run it again."
    )
