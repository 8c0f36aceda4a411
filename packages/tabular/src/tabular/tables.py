"""A user's table, read and checked in batches: what leaves here is columns of known types under distinct names.

Needs pyarrow and pandas, which only the step images have.

Rows are counted from 1, after the header; those of several files that are one table, in each file. Memory does not grow
with them. The bytes that are hashed are those that are parsed: CSV is hashed as it is read, whole, in each pass;
Parquet, which is not read from its beginning to its end, ahead of the first pass and after the last.
"""

from __future__ import annotations

import io
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from bulkhead import input_files
from bulkhead.errors import Refused, listed, short
from bulkhead.paths import SAMPLE, input_path
from bulkhead.prediction import cells
from bulkhead.prediction.inferring import Guess
from bulkhead.registry.lineage import Data
from tabular.csv_file import CsvFile
from tabular.parquet_file import ParquetFile
from tabular.pieces import read_ahead, rows_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedReader
    from pathlib import Path

    import pyarrow as pa

    from bulkhead.columns import Column
    from bulkhead.input_files import InputFile, InputFiles
    from bulkhead.prediction.typed import TypedBatch, TypedReader

_LONGEST_NAME = 1000


class SourceTable:
    """A table with checked names; its cells are checked when they are asked for, in one pass each time."""

    def __init__(self, source: str, path: str, files: Sequence[CsvFile | ParquetFile], *, is_one: bool) -> None:
        self.source = source
        self.names: list[str] = files[0].names
        """Of the columns, in the table's order."""
        self.path = path
        """Relative to the project."""
        self._files = files
        self._is_one = is_one
        self._rows: int | None = None

    def check_separator(self) -> None:
        """Of a table that holds a target and features.

        Raises:
            Refused: it has one column, whose name looks like several with something else between them.
        """
        if len(self.names) == 1 and ";" in self.names[0]:
            raise Refused(
                f"{self.source}: its header {short(self.names[0])} has semicolons and no comma. Export it with commas"
                " between the columns, and points in numbers."
            )

    def inferred(self, names: Sequence[str], *, reads_all: bool = False) -> dict[str, Column]:
        """What each of the columns ``names`` seems to be.

        Args:
            names: the columns.
            reads_all: whether the cells of all others are read, too.

        Raises:
            Refused: a file is none that can be read.
        """
        guess = Guess(names)
        for _, batch in self._batches(self.names if reads_all else names):
            guess.look(batch)
        return guess.columns()

    def is_text(self, name: str) -> bool:
        """Whether no cell of the column ``name`` so much as begins like a number."""
        return all(cells.is_text(batch.column(name)) for _, batch in self._batches([name]))

    def begins_with_text(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` of which :meth:`is_text` may be true: it is, of the table's first rows."""
        batch = self._files[0].first_batch(names, rows_at_once(len(names))) if names else None
        return [] if batch is None else [name for name in names if cells.is_text(batch.column(name))]

    def is_all_numbers(self, name: str) -> bool:
        """Whether each cell of the column ``name`` is a number, or empty."""
        return all(cells.is_all_numbers(name, batch.column(name)) for _, batch in self._batches([name]))

    def typed(self, reader: TypedReader) -> Iterator[TypedBatch]:
        """All rows, as what ``reader`` reads.

        Raises:
            Refused: a cell is not such; the message names file, line, column and row.
        """
        yield from read_ahead(self._typed(reader))

    def _typed(self, reader: TypedReader) -> Iterator[TypedBatch]:
        for (file, others), batch in self._read(list(reader.kinds)):
            try:
                yield reader.read(batch)
            except cells.BadCell as error:
                found = cells.BadCell(error.column, error.row - others, error.what)
                raise Refused(f"{self._files[file].place(found.row)}: {found}") from None

    @property
    def data(self) -> Data:
        """What the table was, when it has been read.

        Raises:
            Refused: a file has changed meanwhile.
        """
        if self._rows is None:
            raise RuntimeError("the table has not been read")
        hashes = []
        for file in self._files:
            if isinstance(file, ParquetFile):
                file.prove()
            hashes.append((file.called, str(file.sha256)))
        sha256 = input_files.combined_sha256(hashes, is_one=self._is_one)
        return Data(path=self.path, sha256=sha256, rows=self._rows, source=self.source)

    def _batches(self, names: Sequence[str]) -> Iterator[tuple[tuple[int, int], pa.RecordBatch]]:
        """Each batch; with it, which file it is of, and how many rows the files before that one have."""
        yield from read_ahead(self._read(names))

    def _read(self, names: Sequence[str]) -> Iterator[tuple[tuple[int, int], pa.RecordBatch]]:
        rows, at_once = 0, rows_at_once(len(names))
        for number, file in enumerate(self._files):
            before = rows
            for batch in file.batches(names, at_once):
                rows += batch.num_rows
                yield (number, before), batch
        if not rows:
            raise Refused(f"{self.source}: it has a header and no rows. Give a table with at least one row.")
        self._rows = rows


def read_source(source: str, inputs: Path, sample: Callable[[], bytes]) -> SourceTable:
    """The table that ``source`` names: below ``inputs``, or the sample.

    Args:
        source: a path relative to ``inputs``, of a CSV or Parquet file or of a folder of them; or a pattern; or
            :data:`SAMPLE`.
        inputs: the folder of the user's files.
        sample: makes the built-in table, as CSV.

    Raises:
        Refused: there is no such file, it is no table, it has no columns, or its names are not distinct and printable.
    """
    if source == SAMPLE:
        return SourceTable(source, SAMPLE, [_checked(CsvFile(lambda: io.BytesIO(sample()), SAMPLE))], is_one=True)
    found = input_files.find(source, inputs)
    files = [_checked(_opened(one, found, source)) for one in found.files]
    for file in files[1:]:
        if file.names != files[0].names:
            raise Refused(
                f"{file.called} has the columns {listed(file.names)}, and {files[0].called} has"
                f" {listed(files[0].names)}. Give the files of one table the same columns, in one order."
            )
    return SourceTable(source, input_path(found.name), files, is_one=found.is_one)


def _opened(file: InputFile, found: InputFiles, source: str) -> CsvFile | ParquetFile:
    called = source if found.is_one else file.name
    opened = partial(_open, file.path, called)
    if file.kind == "parquet":
        return ParquetFile(opened, called)
    return CsvFile(opened, called, is_compressed=file.name.lower().endswith(".gz"))


def _open(path: Path, called: str) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise Refused(
            f"source {called}: cannot be read: {error.strerror}. Fix the file or its mode (chmod a+r)."
        ) from error


def _checked(file: CsvFile | ParquetFile) -> CsvFile | ParquetFile:
    """``file``, the names of whose columns are such that a model can have them."""
    source, names = file.called, file.names
    if not names:
        raise Refused(f"{source}: it has no columns. Give a table with a header and at least one row.")
    for number, name in enumerate(names, 1):
        if not name:
            raise Refused(f"{source}: column {number} has no name. Name it, or write the file without an index column.")
        if len(name) > _LONGEST_NAME:
            raise Refused(
                f"{source}: the name of column {number} has {len(name):,} characters, and {_LONGEST_NAME:,} are taken."
                " Rename it."
            )
        if not name.isprintable():
            raise Refused(
                f"{source}: the name of column {number}, {name!r}, holds a line break or control character. Rename it."
            )
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise Refused(f"{source}: {times} columns are called {name!r}. Give each column its own name.")
    return file
