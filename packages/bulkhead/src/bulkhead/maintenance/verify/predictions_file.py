"""The predictions in an inference's record against those in its file. Needs pyarrow, which not every image has."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import untrusted
from bulkhead.errors import one_line
from bulkhead.registry.lineage import MOST_INLINE

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import InferenceRecord

CAN_READ = importlib.util.find_spec("pyarrow") is not None
COLUMN = "prediction"
_LARGEST = 4 << 20
"""Bytes of a file whose predictions stand in a record too."""


class NotComparable(Exception):  # a state, not an error
    """The file cannot be read, or is laid out in another way."""


def in_record(record: InferenceRecord) -> list[Any] | None:
    """The list of predictions that ``record`` holds; None: it holds none."""
    kept = record.predictions
    if isinstance(kept, msgspec.Raw):
        if not bytes(kept).startswith(b"["):
            return None
        kept = msgspec.json.decode(kept)
    return kept if isinstance(kept, list) else None


def difference(shared: Path, path: str, kept: list[Any]) -> str | None:
    """How the file at ``path`` differs from the predictions ``kept`` in a record; None: it does not.

    Raises:
        NotComparable: nobody can tell.
    """
    if not CAN_READ:
        raise NotComparable
    import pyarrow as pa
    from pyarrow import parquet

    if len(kept) > MOST_INLINE:
        return f"{len(kept)} stand in the record, and at most {MOST_INLINE} are kept in one"
    try:
        with (
            untrusted.open_file(shared, path.removeprefix("shared/"), called=path, limit=_LARGEST) as file,
            parquet.ParquetFile(file, memory_map=False) as table,
        ):
            rows, names = table.metadata.num_rows, table.schema_arrow.names
            if names.count(COLUMN) != 1 or not _is_comparable(table.schema_arrow.field(COLUMN).type):
                raise NotComparable
            # Before anything is unpacked: a small file can hold a very large table.
            if rows != len(kept):
                return f"it has {rows} rows, the record {len(kept)}"
            found = table.read([COLUMN], use_threads=False).column(COLUMN).to_pylist()
    except (OSError, pa.ArrowException, untrusted.Untrusted):
        raise NotComparable from None
    for row, (one, other) in enumerate(zip(found, kept, strict=True)):
        if not _same(one, other):
            return f"row {row} is {one_line(str(one), 60)} there and {one_line(str(other), 60)} in the record"
    return None


def _is_comparable(kind: Any) -> bool:
    """Whether it is of numbers, or of a classifier's classes."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return any(
        is_one(kind)
        for is_one in (types.is_floating, types.is_integer, types.is_boolean, types.is_string, types.is_large_string)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and not math.isfinite(one):
        return other is None or one == other  # JSON has no word for it
    if isinstance(one, bool) or not isinstance(one, int | float):
        return type(one) is type(other) and one == other
    return type(other) in (int, float) and one == other
