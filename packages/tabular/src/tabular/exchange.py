"""Exchange files: the tables that one step leaves for the next, as Parquet, written and read in batches."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from bulkhead.behind import Behind
from bulkhead.errors import Refused, listed
from bulkhead.prediction import frames
from bulkhead.step.result import Output
from tabular.footer import footer
from tabular.pieces import UNREADABLE, read_ahead, rows_at_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from io import RawIOBase

    import pandas as pd

    from bulkhead.files import HashedWriter
    from bulkhead.step.runner import Step
    from bulkhead.step.step_input import Opened

_BEGIN = 4
"""Where the first row group begins: after PAR1."""
_LARGEST_GROUP = 1 << 30
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
            for group in _grouped(name, batches):
                writer = writer or _writer(file, group.schema)
                writer.write_table(group, row_group_size=group.num_rows)
                rows += group.num_rows
        except BaseException:
            if writer is not None:
                writer.is_open = False  # what is unfinished is not finished: closing it would write once more
            raise
        if writer is None:
            raise RuntimeError("a table without a batch")
        writer.close()
    return Output(path=name, sha256=file.sha256, rows=rows)


def _grouped(name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """So many of ``batches`` together as are read at once; each makes a row group, of which the file's end tells."""
    kept: list[pa.RecordBatch] = []
    schema, rows = None, 0
    for batch in batches:
        schema = schema or batch.schema
        _check_alike(name, schema, batch.schema)
        kept.append(batch)
        rows += batch.num_rows
        if rows >= rows_at_once(batch.num_columns):
            yield pa.Table.from_batches(kept).unify_dictionaries()
            kept, rows = [], 0
    if kept:
        yield pa.Table.from_batches(kept).unify_dictionaries()


class Exchanged:
    """An exchange file, read a row group at a time.

    Each pass hashes the bytes that it parses, and all others of the file, from the first to the last: what is not what
    the step before has written is refused at the end of the pass, and a pass that is left in the middle by
    :meth:`prove`.

    Args:
        opened: the file.

    Raises:
        Refused: it is not such a file.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._is_proven = False
        self._size = size = os.fstat(opened.file.fileno()).st_size
        try:
            self._tail = footer(opened.file.fileno(), size)
            self._metadata = pq.read_metadata(pa.BufferReader(self._tail))
            self._groups = _places(self._metadata, size - len(self._tail))
            self.schema: pa.Schema = self._metadata.schema.to_arrow_schema()
        except (*UNREADABLE, OSError, ValueError):
            raise opened.changed from None
        self.rows = int(self._metadata.num_rows)

    def batches(self, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The columns ``names``, or all, in one pass; a batch has the same rows in each."""
        yield from read_ahead(self._read(self.schema.names if names is None else list(names)))

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The same, as frames, the index of each from 0."""
        for batch in self.batches(names):
            yield frames.of_batch(batch)

    def prove(self) -> None:
        """Hash the file, if a pass was left since it was hashed last.

        Raises:
            Refused: it is not what the step before has written.
        """
        if not self._is_proven:
            for _ in self._read([]):
                pass

    def _read(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        self._is_proven = False
        digest = hashlib.sha256()
        # The same file, opened once more: two passes may be on their way at once.
        place = f"/proc/self/fd/{self._opened.file.fileno()}"
        with open(place, "rb", buffering=0) as file, Behind("hashes") as behind:  # noqa: PTH123  # no path of ours
            asked = None if names == self.schema.names else names
            window = _Window(self._size)
            table = pq.ParquetFile(pa.PythonFile(window, "r"), metadata=self._metadata)
            digest.update(_exactly(file, _BEGIN, self._opened))
            for number, (begin, end) in enumerate(self._groups):
                window.show(_exactly(file, end - begin, self._opened), begin)
                behind.do(digest.update, window.content)
                if not names:
                    continue
                try:
                    found = table.read_row_group(number, columns=asked, use_threads=False)
                except (*UNREADABLE, OSError, ValueError):
                    raise self._opened.changed from None
                yield _one_batch(found.select(names))
            rest = file.read(len(self._tail) + 1)  # not all that somebody may be appending
            behind.wait()
            digest.update(rest)
            if digest.hexdigest() != self._opened.output.sha256 or rest != self._tail:
                raise self._opened.changed
        self._is_proven = True


class _Window:
    """A part of a file, for one who reads it by its place in the whole."""

    closed = False

    def __init__(self, size: int) -> None:
        self.content = b""
        self._size = size
        self._begin = self._place = 0

    def show(self, content: bytes, begin: int) -> None:
        """From now on, this part."""
        self.content, self._begin = content, begin

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to ``place`` of the file, from its beginning or its end."""
        self._place = place + (self._size if whence == os.SEEK_END else 0)
        return self._place

    def tell(self) -> int:
        """Where reading goes on."""
        return self._place

    def read(self, size: int) -> memoryview:
        """The next bytes, which are not copied; those that are not in this part do not come."""
        begin = self._place - self._begin
        if begin < 0 or begin + size > len(self.content):
            raise ValueError("outside of the row group")
        self._place += size
        return memoryview(self.content)[begin : begin + size]

    def readable(self) -> bool:
        """That it is."""
        return True

    def seekable(self) -> bool:
        """That it is."""
        return True

    def close(self) -> None:
        """Nothing: it is memory."""


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if len(batches) != 1:
        raise ValueError(f"{len(batches)} batches in a row group")
    return batches[0]


def _places(metadata: pq.FileMetaData, end: int) -> list[tuple[int, int]]:
    """Where each row group begins and ends: one after another, as they are written, and none too large for memory."""
    if not metadata.num_columns:
        raise ValueError("no columns")
    begins = []
    for number in range(metadata.num_row_groups):
        first = metadata.row_group(number).column(0)
        begins.append(min(filter(None, (first.dictionary_page_offset, first.data_page_offset))))
    places = list(zip(begins, [*begins[1:], end], strict=True))
    if not places or begins[0] != _BEGIN or any(not 0 <= stop - start <= _LARGEST_GROUP for start, stop in places):
        raise ValueError("the row groups are not laid out as a step writes them")
    return places


def _exactly(file: RawIOBase, size: int, opened: Opened) -> bytes:
    pieces = []
    while size:
        piece = file.read(size)
        if not piece:
            raise opened.changed
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


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
