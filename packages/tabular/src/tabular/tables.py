"""A user's table, read and checked: what leaves here is columns of known types under distinct names.

Needs pyarrow and pandas, which only the step images have.

Rows are counted from 1, after the header. A table is read into memory once: the bytes that are
hashed are the bytes that are parsed.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from bulkhead.errors import Refused, one_line, short
from bulkhead.files import sha256
from bulkhead.paths import SAMPLE, input_path
from bulkhead.prediction import typed
from bulkhead.registry.records import Data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bulkhead.columns import Column

_LONGEST_LINE = 1_000_000
"""pyarrow reads blocks of a mebibyte, and a row must fit into one."""
_LONGEST_NAME = 1000
_LINE_END = re.compile(rb"[\r\n]")

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

_PANDAS_INDEX = "__index_level_"


class SourceTable:
    """A table with checked names; its cells are checked when they are asked for."""

    def __init__(self, table: pa.Table, data: Data, reread: Callable[[], bytes] | None = None) -> None:
        self._table = table
        # A CSV file's bytes again, to find a line in: they are not kept beside the table.
        self._reread = reread
        self.data = data

    @property
    def names(self) -> list[str]:
        """The column names, in the table's order."""
        return list(self._table.column_names)

    def is_text(self, name: str) -> bool:
        """Whether no cell of the column ``name`` so much as begins like a number."""
        return typed.is_text(self._table.column(name))

    def is_all_numbers(self, name: str) -> bool:
        """Whether each cell of the column ``name`` is a number, or empty."""
        return typed.is_all_numbers(name, self._table.column(name))

    def inferred(self, names: Sequence[str]) -> dict[str, Column]:
        """What each of the columns ``names`` seems to be."""
        return typed.inferred(names, self._table.column)

    def typed(self, columns: Mapping[str, Column]) -> TypedColumns:
        """The columns that ``columns`` names, as what it says they are.

        Raises:
            Refused: a cell is not such; the message names file, line, column and row.
        """
        arrays = {}
        for name, wanted in columns.items():
            try:
                arrays[name] = typed.typed(name, self._table.column(name), wanted)
            except typed.BadCell as error:
                raise Refused(f"{self._place(error.row)}: {error}") from None
        return TypedColumns(arrays, dict(columns))

    def _place(self, row: int) -> str:
        """The file, and the line in it where a person finds the row."""
        if self._reread is None:
            return self.data.source
        try:
            line = csv_line(self._reread(), row, of_one_column=len(self.names) == 1)
        except (OSError, Refused):
            line = None
        return f"{self.data.source}, line {line}" if line else self.data.source


class TypedColumns:
    """Columns whose cells are what they should be.

    Args:
        arrays: by name, in their order.
        kinds: what each is.
    """

    def __init__(self, arrays: Mapping[str, pa.ChunkedArray], kinds: Mapping[str, Column]) -> None:
        self._arrays = arrays
        self.kinds = kinds

    @cached_property
    def dtypes(self) -> dict[str, str]:
        """The type of each, as records have it."""
        return {name: typed.dtype_of(array, self.kinds[name]) for name, array in self._arrays.items()}

    @property
    def missing(self) -> list[str]:
        """Those that may have empty cells."""
        return [name for name in self._arrays if self.kinds[name].missing]

    @cached_property
    def categories(self) -> dict[str, int]:
        """By category, how many different words there are."""
        return {
            name: pc.count_distinct(array).as_py()
            for name, array in self._arrays.items()
            if self.kinds[name].kind == "category"
        }

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Those called ``names``, as a model's code gets them: shape (rows, len(names))."""
        return typed.to_frame({name: self._arrays[name] for name in names}, self.kinds)

    def words(self, name: str) -> pd.Series[str]:
        """The column ``name`` as text."""
        words: pd.Series[str] = self._arrays[name].cast(pa.string()).to_pandas().astype(object)
        return words

    def example(self, names: Sequence[str]) -> dict[str, Any]:
        """The first row of those called ``names``, as JSON has it: dates as text, empty cells as None."""
        first = {name: self._arrays[name][0].as_py() for name in names}
        return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in first.items()}


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
    data = Data(path=path, sha256=sha256(content), rows=table.num_rows, source=source)
    if path.lower().endswith(".parquet"):
        return SourceTable(table, data)
    return SourceTable(table, data, sample if source == SAMPLE else lambda: _bytes_of(source, inputs)[0])


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
    if (long := _too_long(content)) is not None:
        line = content.count(b"\n", 0, long) + 1
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


def _too_long(content: bytes) -> int | None:
    """Where a line begins that is too long; None: nowhere."""
    if len(content) <= _LONGEST_LINE:
        return None
    begin = 0
    for end in _LINE_END.finditer(content):
        if end.start() - begin > _LONGEST_LINE:
            return begin
        begin = end.end()
    return begin if len(content) - begin > _LONGEST_LINE else None


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


def csv_line(content: bytes, row: int, *, of_one_column: bool) -> int | None:
    """The line of a CSV file on which its ``row``, from 1 after the header, begins; None: nobody can tell."""
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(lines)
    seen, before = -1, 0
    try:
        for cells in reader:
            # A blank line is a row where there is one column, and none where there are more.
            if cells or of_one_column:
                seen += 1
            if seen == row:
                return before + 1
            before = reader.line_num
    except (csv.Error, UnicodeDecodeError):
        return None
    return None
