"""Columns with their types, in Arrow: each cell is what its column may hold, or is refused with its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from bulkhead.columns import Column, boolean, category, date, identifier, number, text
from bulkhead.errors import Refused, short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

LARGEST = 1e150
"""Least squares squares its numbers and adds them up: beyond this, float64 overflows."""
_LIKE_A_NUMBER = r"(?i)^\s*([+-]?(\d|\.\d|nan|inf)|$)"
_EXACT = 2.0**53
"""Whole numbers up to here are told apart by float64."""
_LONGEST_WORD = 1000
_WHOLE = r"^([+-]?[0-9]+)\.0+$"
_TRUE, _FALSE = ["true", "yes", "1"], ["false", "no", "0"]
_MOST_CATEGORIES = 1000
"""More different words are no category, where nobody says what a column is."""


class BadCell(Refused):
    """A cell is not what its column may hold."""

    def __init__(self, column: str, row: int, what: str) -> None:
        super().__init__(f"column {column!r}, row {row}: {what}")
        self.row = row
        """From 1, after the header."""


def is_text(column: pa.ChunkedArray) -> bool:
    """Whether no cell of ``column`` so much as begins like a number."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_string(column.type):
        return not pc.any(pc.match_substring_regex(column, _LIKE_A_NUMBER)).as_py()
    if pa.types.is_null(column.type):
        return False  # it holds nothing, as an empty column of a CSV file does
    return not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def is_all_numbers(name: str, column: pa.ChunkedArray) -> bool:
    """Whether each cell of ``column`` is a number, or empty; of a column of numbers also one that cannot be taken."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return True
    try:
        typed(name, column, number(missing=True))
    except BadCell:
        return False
    return True


def typed(name: str, column: pa.ChunkedArray, wanted: Column) -> pa.ChunkedArray:
    """``column`` as what ``wanted`` says, its empty cells as null.

    Args:
        name: the column's, for sentences.
        column: as it was read: text, or Parquet's types.
        wanted: what it is.

    Returns:
        Numbers of the narrowest fitting type, strings, booleans, or timestamps in microseconds.

    Raises:
        BadCell: a cell is not such, or is empty where it must not be; the first one.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_string(column.type):
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    elif pa.types.is_floating(column.type) and wanted.missing:
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if column.null_count and not wanted.missing:
        row = pc.index(column.is_null(), value=True).as_py() + 1
        raise BadCell(name, row, "the cell is empty. Fill it, or remove the row.")
    return _READERS[wanted.kind](name, column)


def dtype_of(column: pa.ChunkedArray, wanted: Column) -> str:
    """The type of a column that :func:`typed` has made, as records have it."""
    return str(column.type) if wanted.kind == "number" else wanted.kind


def to_frame(columns: Mapping[str, pa.ChunkedArray], kinds: Mapping[str, Column]) -> pd.DataFrame:
    """What the model's code gets of columns that :func:`typed` has made; see :mod:`bulkhead.columns`."""
    import pandas as pd

    made = {name: _series(column, kinds[name]) for name, column in columns.items()}
    return pd.DataFrame(made, columns=[*columns])


def inferred(names: Sequence[str], column_of: Callable[[str], pa.ChunkedArray]) -> dict[str, Column]:
    """What each of the columns ``names`` seems to be, where nobody says.

    A column whose name is ``id`` or ends in ``_id``, with another value in each row, is the identifier. Text with many
    different values is passed over.
    """
    found: dict[str, Column] = {}
    for name in names:
        column = column_of(name)
        kind = _guess(name, column, has_identifier=any(one.kind == "identifier" for one in found.values()))
        found[name] = kind
    return found


def _guess(name: str, column: pa.ChunkedArray, *, has_identifier: bool) -> Column:
    for make in (number, boolean, date):
        try:
            made = typed(name, column, make(missing=True))
        except BadCell:
            continue
        if made.null_count == len(made):
            return text()
        if make is number and _names_rows(name, made) and not has_identifier:
            return identifier()
        return make(missing=made.null_count > 0)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return number(missing=column.null_count > 0)  # and its cell is told where it is read
    try:
        words = typed(name, column, category(missing=True))
    except BadCell:  # lists, bytes, and what else is no word, or a long one
        return text()
    if _names_rows(name, words):
        return text() if has_identifier else identifier()
    different = pc.count_distinct(words).as_py()
    if different <= min(_MOST_CATEGORIES, len(words) // 2 or 1):
        return category(missing=words.null_count > 0)
    return text()


def _names_rows(name: str, column: pa.ChunkedArray) -> bool:
    return (
        (name.lower() == "id" or name.lower().endswith("_id"))
        and not column.null_count
        and pc.count_distinct(column).as_py() == len(column)
    )


def _numbers(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_null(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if _is_string(column.type):
        column = _parsed_numbers(name, column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadCell(name, 1, f"its type is {column.type}, not a number. Convert it, or leave it out.")
    _check_finite(name, column)
    if column.null_count and pa.types.is_floating(column.type) and _is_whole(column):
        return column.cast(pa.int64())  # pandas has no empty cells among whole numbers, and makes fractions of them
    return column


def _is_whole(column: pa.ChunkedArray) -> bool:
    return bool(pc.all(_whole_cells(column.cast(pa.float64()))).as_py())


def _whole_cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Of a column of float64, which cells are whole numbers that it holds exactly."""
    return pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _EXACT))


def _parsed_numbers(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Arrow reads 0x10 as 16, but only among whole numbers.
    hexadecimal = pc.any(pc.match_substring_regex(column, "^[+-]?0[xX]")).as_py()
    for wanted in (pa.float64(),) if hexadecimal else (pa.int64(), pa.float64()):
        try:
            return column.cast(wanted)
        except pa.ArrowInvalid:
            continue
    row = _first(partial(_begin_casts, column, pa.float64()), len(column))
    raise BadCell(name, row, f"{_cell(column, row)} is not a number. Fix the cell, or leave the column out.")


def _check_finite(name: str, column: pa.ChunkedArray) -> None:
    if pa.types.is_floating(column.type):
        bad = pc.invert(pc.is_finite(column))
        if pc.any(bad).as_py():
            row = pc.index(bad, value=True).as_py() + 1
            what = "NaN" if pc.is_nan(column[row - 1]).as_py() else "infinity"
            raise BadCell(name, row, f"the value is {what}. Give a finite number, or remove the row.")
    large = pc.greater(pc.abs(column.cast(pa.float64(), safe=False)), LARGEST)
    if pc.any(large).as_py():
        row = pc.index(large, value=True).as_py() + 1
        raise BadCell(
            name,
            row,
            f"{column[row - 1].as_py()!r} is beyond ±{LARGEST:g}, which least squares cannot square in float64."
            " Choose a larger unit.",
        )


def _words(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        whole = _whole_cells(column)
        integers = pc.if_else(whole, column, pa.scalar(0.0)).cast(pa.int64())
        return pc.if_else(whole, integers.cast(pa.string()), column.cast(pa.string()))
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BadCell(name, 1, f"its type is {column.type}, not words. Convert it, or leave it out.") from None


def _categories(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words in one spelling, cell by cell: pandas writes 1 as 1.0 beside an empty cell, and true as True."""
    words = pc.replace_substring_regex(_words(name, column), _WHOLE, r"\1")
    if (pc.max(pc.utf8_length(words)).as_py() or 0) > _LONGEST_WORD:
        row = pc.index(pc.greater(pc.utf8_length(words), _LONGEST_WORD), value=True).as_py() + 1
        raise BadCell(
            name, row, f"a category's word has more than {_LONGEST_WORD:,} characters. Shorten it, or call it text()."
        )
    return pc.if_else(pc.is_in(words, value_set=pa.array(["True", "False"])), pc.utf8_lower(words), words)


def _booleans(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        return column
    if not (_is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadCell(name, 1, f"its type is {column.type}, not true or false. Convert it, or leave it out.")
    words = pc.utf8_lower(_categories(name, column))
    is_true = pc.is_in(words, value_set=pa.array(_TRUE))
    is_other = pc.invert(pc.or_(pc.or_(is_true, pc.is_in(words, value_set=pa.array(_FALSE))), words.is_null()))
    if pc.any(is_other).as_py():
        row = pc.index(is_other, value=True).as_py() + 1
        raise BadCell(name, row, f"{_cell(column, row)} is not true or false, yes or no, 1 or 0. Fix the cell.")
    return pc.if_else(words.is_null(), pa.scalar(None, pa.bool_()), is_true)


def _dates(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    moment = pa.timestamp("us")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type) or pa.types.is_null(column.type):
        return _in_calendar(name, column.cast(moment, safe=False))
    if not _is_string(column.type):
        raise BadCell(name, 1, f"its type is {column.type}, not a date. Convert it, or leave it out.")
    for wanted in _MOMENTS:
        if _casts(column, wanted):
            return _in_calendar(name, column.cast(wanted).cast(moment))
    # By the form that goes furthest: a table of one zone-less moment and ten with a zone is told of the former.
    row = max(_first(partial(_begin_casts, column, one), len(column)) for one in _MOMENTS)
    raise BadCell(
        name,
        row,
        f"{_cell(column, row)} is not a date like 2026-11-30 or 2026-11-30T12:00:00, as the others are. Fix the cell.",
    )


def _in_calendar(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    ticks = column.cast(pa.int64())
    outside = pc.or_(pc.less(ticks, _FIRST_MOMENT), pc.greater(ticks, _LAST_MOMENT))
    if pc.any(outside).as_py():
        row = pc.index(outside, value=True).as_py() + 1
        raise BadCell(name, row, "the date is not of the years 1 to 9999. Fix the cell.")
    return column


_FIRST_MOMENT, _LAST_MOMENT = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 and 9999, in microseconds since 1970: what Python's dates know."""
_MOMENTS = (pa.timestamp("us"), pa.timestamp("us", tz="UTC"))

_READERS: dict[str, Callable[[str, pa.ChunkedArray], pa.ChunkedArray]] = {
    "number": _numbers,
    "category": _categories,
    "boolean": _booleans,
    "date": _dates,
    "text": _words,
    "identifier": _words,
}


def _series(column: pa.ChunkedArray, kind: Column) -> Any:
    import numpy as np
    import pandas as pd

    match kind.kind:
        case "number" | "boolean":
            numbers = column.cast(pa.float64(), safe=False)
            return pd.Series(np.asarray(numbers.to_numpy(), dtype=float))
        case "date":
            return column.to_pandas()
    # Words in their order, so that what is learnt does not depend on which row came first.
    words = sorted(one for one in pc.unique(column).to_pylist() if one is not None)
    codes = pc.index_in(column, value_set=pa.array(words, pa.string())).fill_null(-1).to_numpy()
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(words)))


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _cell(column: pa.ChunkedArray, row: int) -> str:
    return short(str(column[row - 1].as_py()))


def _begin_casts(column: pa.ChunkedArray, wanted: pa.DataType, end: int) -> bool:
    return _casts(column.slice(0, end), wanted)


def _casts(column: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        column.cast(wanted)
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
