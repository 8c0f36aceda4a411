"""The predictions of an inference: those of its file, once that is known to be the one recorded, else its record's.

A file is Parquet, which takes pyarrow; not every image has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator  # msgspec reads the annotations
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import untrusted
from bulkhead.errors import Refused, one_line, short
from bulkhead.paths import RUNS
from bulkhead.prediction_files import no_file_of_a_run
from bulkhead.queries.lineage import rows_of

if TYPE_CHECKING:
    from io import BufferedReader

    from bulkhead.queries.lineage import Locate
    from bulkhead.registry.records import InferenceRecord

COLUMN = "prediction"
ROW = "row"
"""Of a table that says by no column of its own which row is which; the first has 1."""
_AT_ONCE = 1000
"""Rows that are in memory."""
_BUFFER = 1 << 20
"""Bytes of a column that are read ahead; without, all of a row group's are."""


class Predictions(msgspec.Struct, frozen=True):
    """A table of predictions."""

    columns: list[str]
    rows: Iterator[list[Any]]
    """From the first to the last, once."""
    count: int
    in_file: bool
    """False: the file is gone, or there never was one; these are the record's."""


class NotAsWritten(Refused):
    """The file is not the one whose hash was recorded."""


@contextmanager
def opened(record: InferenceRecord, locate: Locate) -> Iterator[Predictions]:
    """The predictions of ``record``, to be read inside of the block.

    Args:
        record: the inference.
        locate: where a record's path is on this machine.

    Raises:
        Refused: the file is not the one recorded, cannot be read, or is gone and the record holds none.
        OSError: it cannot be opened.
    """
    path = record.predictions_path
    file = _opened(path, locate) if path is not None else None
    if path is None or file is None:
        yield in_record(record)
        return
    with file:
        yield in_file(file, path, record.output_sha256)


def in_record(record: InferenceRecord) -> Predictions:
    """The predictions that ``record`` itself holds.

    Raises:
        Refused: it holds none.
    """
    kept = record.predictions
    if not isinstance(kept, list):
        told = short(record.predictions_path or "the predictions file", 200)
        raise Refused(
            f"{told} is gone, and its record holds no predictions ({rows_of(record) or 'an unknown number of'} rows)."
            " Restore it from a backup, or run the inference again."
        )
    rows = ([number, value] for number, value in enumerate(kept, 1))
    return Predictions([ROW, COLUMN], rows, len(kept), in_file=False)


def in_file(file: BufferedReader, path: str, recorded: str | None) -> Predictions:
    """The predictions in ``file``, once it is known to be the one recorded.

    Args:
        file: open, at its beginning.
        path: what sentences call it.
        recorded: its SHA-256 in the record; None: there is none.

    Raises:
        NotAsWritten: it is another, or becomes another while it is read.
        Refused: it cannot be read.
    """
    _check(file, path, recorded)
    shown, seen = short(path, 200), _seen(file)
    if importlib.util.find_spec("pyarrow") is None:
        raise Refused(
            f"{shown} is Parquet, which cannot be read here: there is no pyarrow. Run 'just registry predictions ...',"
            " which reads it in the inference image, or open the file with any program that reads Parquet."
        )
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file, memory_map=False, buffer_size=_BUFFER)
        names, count = list(table.schema_arrow.names), int(table.metadata.num_rows)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name that is no UTF-8
        raise _no_table(shown, error) from None

    def rows() -> Iterator[list[Any]]:
        try:
            for batch in table.iter_batches(batch_size=_AT_ONCE, use_threads=False):
                columns = [column.to_pylist() for column in batch.columns]
                yield from map(list, zip(*columns, strict=True))
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # a date that Python has none for
            raise _no_table(shown, error) from None
        if _seen(file) != seen:
            raise NotAsWritten(f"{shown} was changed while it was read. Restore it from a backup.")

    if names != [COLUMN]:
        return Predictions(names, rows(), count, in_file=True)
    numbered = ([number, *cells] for number, cells in enumerate(rows(), 1))
    return Predictions([ROW, COLUMN], numbered, count, in_file=True)


def _opened(path: str, locate: Locate) -> BufferedReader | None:
    """The file at ``path``; None: it is gone."""
    place = locate(path) if path.startswith(f"{RUNS}/") else None
    if place is None:
        raise no_file_of_a_run(path)
    try:
        return untrusted.open_file(*place, called=path)
    except FileNotFoundError:
        return None


def _check(file: BufferedReader, path: str, recorded: str | None) -> None:
    untrusted.check_whole(file.fileno(), path)
    found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != recorded:
        raise NotAsWritten(
            f"{short(path, 200)} is not the file that was written: its sha256 is {found}, and"
            f" {short(str(recorded), 70)} is recorded. Restore it from a backup, or run the inference again."
        )
    file.seek(0)


def _seen(file: BufferedReader) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _no_table(shown: str, error: Exception) -> Refused:
    return Refused(
        f"{shown} is the file that was written, and no table that can be read: {one_line(str(error), 200)}."
        " Run the inference again."
    )
