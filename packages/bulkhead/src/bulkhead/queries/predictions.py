"""The predictions of an inference: those of its file, once that is known to be the one recorded, else its record's.

A file is Parquet, which takes pyarrow; not every image has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator  # msgspec reads the annotations
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import untrusted
from bulkhead.errors import Refused, one_line, short
from bulkhead.paths import RUNS
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


class Predictions(msgspec.Struct, frozen=True):
    """A table of predictions."""

    columns: list[str]
    rows: Iterator[list[Any]]
    """From the first to the last, once."""
    count: int
    in_file: bool
    """False: the file is gone, or there never was one; these are the record's."""


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
    file = _opened(record, locate)
    if file is None:
        yield _in_record(record)
        return
    with file:
        yield _in_file(file, record)


def _opened(record: InferenceRecord, locate: Locate) -> BufferedReader | None:
    """The file of ``record``, which is the recorded one; None: it is gone, or there never was one."""
    path = record.predictions_path
    if path is None:
        return None
    place = locate(path) if path.startswith(f"{RUNS}/") else None
    if place is None:
        raise Refused(
            f"the predictions are recorded at {short(path, 200)}, which is no file of a run. It is not read."
            " Run 'just registry verify', which says what else is wrong."
        )
    try:
        file = untrusted.open_file(*place, called=path)
    except FileNotFoundError:
        return None
    try:
        _check(file, path, record.output_sha256)
    except BaseException:
        file.close()
        raise
    return file


def _check(file: BufferedReader, path: str, recorded: str | None) -> None:
    untrusted.check_whole(file.fileno(), path)
    found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != recorded:
        raise Refused(
            f"{short(path, 200)} is not the file that was written: its sha256 is {found}, and"
            f" {short(str(recorded), 70)} is recorded. Restore it from a backup, or run the inference again."
        )
    file.seek(0)


def _in_record(record: InferenceRecord) -> Predictions:
    kept = record.predictions
    if not isinstance(kept, list):
        told = short(record.predictions_path or "the predictions file", 200)
        raise Refused(
            f"{told} is gone, and its record holds no predictions ({rows_of(record) or 'an unknown number of'} rows)."
            " Restore it from a backup, or run the inference again."
        )
    rows = ([number, value] for number, value in enumerate(kept, 1))
    return Predictions([ROW, COLUMN], rows, len(kept), in_file=False)


def _in_file(file: BufferedReader, record: InferenceRecord) -> Predictions:
    shown = short(str(record.predictions_path), 200)
    if importlib.util.find_spec("pyarrow") is None:
        raise Refused(
            f"{shown} is Parquet, which cannot be read here: there is no pyarrow. Run 'just registry predictions ...',"
            " which reads it in the inference image, or open the file with any program that reads Parquet."
        )
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        raise _no_table(shown, error) from None

    def rows() -> Iterator[list[Any]]:
        try:
            for batch in table.iter_batches(batch_size=_AT_ONCE, use_threads=False):
                columns = [column.to_pylist() for column in batch.columns]
                yield from map(list, zip(*columns, strict=True))
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a date that Python has none for
            raise _no_table(shown, error) from None

    names, count = list(table.schema_arrow.names), int(table.metadata.num_rows)
    if names != [COLUMN]:
        return Predictions(names, rows(), count, in_file=True)
    numbered = ([number, *cells] for number, cells in enumerate(rows(), 1))
    return Predictions([ROW, COLUMN], numbered, count, in_file=True)


def _no_table(shown: str, error: Exception) -> Refused:
    return Refused(
        f"{shown} is the file that was written, and no table that can be read: {one_line(str(error), 200)}."
        " Run the inference again."
    )
