"""A user's table, read and checked: what leaves here is finite numbers under distinct names.

Needs pyarrow and pandas, which only the step images have.

Rows are counted from 1, after the header. A table is read into memory once: the bytes that are
hashed are the bytes that are parsed.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from bulkhead.errors import Refused, one_line, short
from bulkhead.files import sha256
from bulkhead.paths import SAMPLE, input_path
from bulkhead.registry.records import Data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LARGEST = 1e150
"""Least squares squares its numbers and adds them up: beyond this, float64 overflows."""

_TOO_LONG = re.compile(rb"[^\r\n]{1000001}")
"""pyarrow reads blocks of a mebibyte, and a row must fit into one."""

_UNREADABLE = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowKeyError,
    pa.ArrowTypeError,
    pa.ArrowIndexError,
    pa.ArrowSerializationError,
    UnicodeDecodeError,
)
"""What pyarrow raises for a file that is not what it should be; not for want of memory or threads."""

_LIKE_A_NUMBER = r"(?i)^\s*([+-]?(\d|\.\d|nan|inf)|$)"

_PANDAS_INDEX = "__index_level_"


class SourceTable:
    """A table with checked names; its numbers are checked when they are asked for."""

    def __init__(self, table: pa.Table, data: Data) -> None:
        self._table = table
        self.data = data

    @property
    def names(self) -> list[str]:
        """The column names, in the table's order."""
        return list(self._table.column_names)

    def is_text(self, name: str) -> bool:
        """Whether no cell of the column ``name`` so much as begins like a number."""
        column = self._table.column(name)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return not pc.any(pc.match_substring_regex(column, _LIKE_A_NUMBER)).as_py()
        return not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))

    def numbers(self, names: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str]]:
        """The columns ``names`` as float64, and the type each had: ``int64``, ``double``, ...

        Returns:
            A frame of shape (rows, len(names)), all finite; and the types by name.

        Raises:
            Refused: a cell is empty, not a number, not finite, or too large; the message names the
                column and the row where it was first seen.
        """
        numbers = {}
        dtypes = {}
        for name in names:
            column = _typed(name, self._table.column(name))
            dtypes[name] = str(column.type)
            numbers[name] = _finite(name, column.cast(pa.float64(), safe=False))
        return pd.DataFrame(numbers, columns=list(names)), dtypes


def read_source(source: str, inputs: Path, sample: Callable[[], bytes]) -> SourceTable:
    """The table that ``source`` names: a CSV or Parquet file below ``inputs``, or the sample.

    Args:
        source: a path relative to ``inputs``, or :data:`SAMPLE`.
        inputs: the folder of the user's files.
        sample: makes the built-in table, as CSV.

    Raises:
        Refused: there is no such file, it is no table, it has no rows or no columns, or its names
            are not distinct and printable.
    """
    if source == SAMPLE:
        content, path = sample(), SAMPLE
        table = _csv(SAMPLE, content)
    else:
        content, below = _bytes_of(source, inputs)
        path = input_path(below)
        table = (_parquet if source.lower().endswith(".parquet") else _csv)(source, content)
    _check_names(source, table.column_names)
    if table.num_rows == 0:
        raise Refused(f"{source}: it has a header and no rows. Give a table with at least one row.")
    return SourceTable(table, Data(path=path, sha256=sha256(content), rows=table.num_rows, source=source))


def to_parquet(frame: pd.DataFrame) -> bytes:
    """``frame`` as an exchange file."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer)
    return buffer.getvalue()


def from_parquet(content: bytes) -> pd.DataFrame:
    """The frame in an exchange file; its bytes are expected to be proven already."""
    frame: pd.DataFrame = pq.read_table(io.BytesIO(content)).to_pandas()
    return frame


def _bytes_of(source: str, inputs: Path) -> tuple[bytes, str]:
    """The file's bytes, and its path below ``inputs``, links followed."""
    shown = short(source, 200)
    if not source.isprintable() or not source.lower().endswith((".csv", ".parquet")):
        raise Refused(
            f"source {shown}: not the name of a .csv or .parquet file. Put one in shared/inputs/ and give its name."
        )
    if not inputs.is_dir():
        raise Refused(
            f'source {shown}: no inputs folder at {inputs}. Add -v "$PWD/shared/inputs:{inputs}:ro" to docker run.'
        )
    try:
        path = (inputs / source).resolve()
        if not path.is_relative_to(inputs.resolve()):
            raise Refused(f"source {shown}: leads out of shared/inputs/. Put the file there and give its name.")
        if not path.exists():
            raise Refused(f"source {shown}: no such file in shared/inputs/. Put it there, or give another name.")
        if not path.is_file():
            raise Refused(f"source {shown}: not a plain file. Put a .csv or .parquet file in shared/inputs/.")
        return path.read_bytes(), str(path.relative_to(inputs.resolve()))
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise Refused(f"source {shown}: cannot be read: {reason}. Fix the file or its mode (chmod a+r).") from error


def _csv(source: str, content: bytes) -> pa.Table:
    if content.startswith(b"\x1f\x8b"):
        raise Refused(f"{source}: it is compressed with gzip. Unpack it first.")
    if b"\x00" in content[: 1 << 20]:
        raise Refused(f"{source}: it holds zero bytes, so it is not CSV text. Export it as CSV in UTF-8.")
    content = content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n") + b"\n"
    if not content.strip():
        raise Refused(f"{source}: it is empty. Give a table with a header and at least one row.")
    if long := _TOO_LONG.search(content):
        line = content.count(b"\n", 0, long.start()) + 1
        raise Refused(f"{source}: line {line} is longer than a megabyte. Give each row a line of its own.")
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    try:
        names = pyarrow.csv.open_csv(io.BytesIO(content), parse_options=parse).schema.names
        # In a table of one column a blank line is an empty cell; passing over it would shift the rows.
        parse.ignore_empty_lines = len(names) > 1
        # Every column as text: a type guessed from the first block would turn a bad cell further
        # down into an error without a row.
        as_text = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
        )
        table = pyarrow.csv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=as_text)
    except _UNREADABLE as error:
        raise Refused(f"{source}: cannot be read as CSV: {one_line(str(error), 300)}. Fix the file.") from None
    return table.rename_columns([name.strip() for name in names])


def _parquet(source: str, content: bytes) -> pa.Table:
    try:
        # Not read_table: that one chokes on two columns of one name.
        table = pq.ParquetFile(io.BytesIO(content)).read()
    except (*_UNREADABLE, OSError) as error:
        raise Refused(f"{source}: cannot be read as Parquet: {one_line(str(error), 300)}. Fix the file.") from None
    # pandas stores a frame's index as columns of this name; to its user they are none.
    table = table.rename_columns([name.strip() if name.isprintable() else name for name in table.column_names])
    return table.select([i for i, name in enumerate(table.column_names) if not name.startswith(_PANDAS_INDEX)])


def _check_names(source: str, names: list[str]) -> None:
    if not names:
        raise Refused(f"{source}: it has no columns. Give a table with a header and at least one row.")
    for number, name in enumerate(names, 1):
        if not name:
            raise Refused(f"{source}: column {number} has no name. Name it, or write the file without an index column.")
        if not name.isprintable():
            raise Refused(
                f"{source}: the name of column {number}, {name!r}, holds a line break or control character. Rename it."
            )
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise Refused(f"{source}: {times} columns are called {name!r}. Give each column its own name.")


def _typed(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as numbers of the narrowest fitting type, empty cells as null."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text)
        # Arrow reads 0x10 as 16, but only among whole numbers.
        hexadecimal = pc.any(pc.match_substring_regex(text, "^[+-]?0[xX]")).as_py()
        for wanted in (pa.float64(),) if hexadecimal else (pa.int64(), pa.float64()):
            try:
                return text.cast(wanted)
            except pa.ArrowInvalid:
                continue
        row = _first(lambda end: _casts(text.slice(0, end)), len(text))
        shown = short(str(text[row - 1].as_py()))
        raise Refused(f"column {name!r}, row {row}: {shown} is not a number. Fix the cell, or leave the column out.")
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise Refused(f"column {name!r}, row 1: its type is {column.type}, not a number. Convert it, or leave it out.")
    return column


def _finite(name: str, column: pa.ChunkedArray) -> pd.Series[float]:
    if column.null_count:
        row = pc.index(column.is_null(), value=True).as_py() + 1
        raise Refused(f"column {name!r}, row {row}: the cell is empty. Fill it, or remove the row.")
    bad = pc.invert(pc.is_finite(column))
    if pc.any(bad).as_py():
        row = pc.index(bad, value=True).as_py() + 1
        what = "NaN" if pc.is_nan(column[row - 1]).as_py() else "infinity"
        raise Refused(f"column {name!r}, row {row}: the value is {what}. Give a finite number, or remove the row.")
    large = pc.greater(pc.abs(column), LARGEST)
    if pc.any(large).as_py():
        row = pc.index(large, value=True).as_py() + 1
        raise Refused(
            f"column {name!r}, row {row}: {column[row - 1].as_py()!r} is beyond ±{LARGEST:g}, which least squares"
            " cannot square in float64. Choose a larger unit."
        )
    series: pd.Series[float] = column.to_pandas()
    return series


def _casts(text: pa.ChunkedArray) -> bool:
    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _first(holds: Callable[[int], bool], rows: int) -> int:
    """The first row, from 1, at which ``holds(rows up to it)`` turns false; it is false for all rows."""
    low, high = 1, rows
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if holds(middle) else (low, middle)
    return low
