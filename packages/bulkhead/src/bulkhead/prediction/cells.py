"""The cells of a column, in Arrow: each is what its column may hold, or is refused with its row."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from bulkhead.columns import Column
from bulkhead.errors import Refused, short

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 1e150
"""Least squares squares its numbers and adds them up: beyond this, float64 overflows."""
_LIKE_A_NUMBER = r"(?i)^\s*([+-]?(\d|\.\d|nan|inf)|$)"
_EXACT = 2.0**53
"""Whole numbers up to here are told apart by float64."""
_LONGEST_WORD = 1000
_WHOLE = r"^([+-]?[0-9]+)\.0+$"
_HEXADECIMAL = re.compile(rb"[xX]")
_TRUE, _FALSE = ["true", "yes", "1"], ["false", "no", "0"]


class BadCell(Refused):
    """A cell is not what its column may hold."""

    def __init__(self, column: str, row: int, what: str) -> None:
        super().__init__(f"column {column!r}, row {row}: {what}")
        self.column = column
        self.row = row
        """From 1, after the header."""
        self.what = what

    def after(self, rows: int) -> BadCell:
        """The same, where ``rows`` rows came before those that were looked at."""
        return BadCell(self.column, self.row + rows, self.what)


class Seen(msgspec.Struct):
    """What earlier batches of a column were: a column of text is read alike from its beginning to its end."""

    has_fractions: bool = False
    """Of numbers in text, whether one is no whole number."""
    moments: pa.DataType | None = None
    """Of dates in text, whether they have a zone."""


def is_text(column: pa.Array) -> bool:
    """Whether no cell of ``column`` so much as begins like a number."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_string(column.type):
        return not pc.any(pc.match_substring_regex(column, _LIKE_A_NUMBER)).as_py()
    if pa.types.is_null(column.type):
        return False  # it holds nothing, as an empty column of a CSV file does
    return not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def is_all_numbers(name: str, column: pa.Array) -> bool:
    """Whether each cell of ``column`` is a number, or empty; of a column of numbers also one that cannot be taken."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return True
    try:
        typed(name, column, Column(kind="number", missing=True))
    except BadCell:
        return False
    return True


def typed(name: str, column: pa.Array, wanted: Column, seen: Seen | None = None) -> pa.Array:
    """``column`` as what ``wanted`` says, its empty cells as null.

    Args:
        name: the column's, for sentences.
        column: as it was read: text, or Parquet's types; the whole of it or a part.
        wanted: what it is.
        seen: what the parts before were; it is told of this one.

    Returns:
        Numbers of the narrowest fitting type, strings, booleans, or timestamps in microseconds.

    Raises:
        BadCell: a cell is not such, or is empty where it must not be; the first one.
    """
    seen = seen if seen is not None else Seen()
    if pa.types.is_dictionary(column.type):
        if wanted.kind == "category":
            return _dictionary(name, column, wanted)
        column = column.cast(column.type.value_type)
    if _is_string(column.type):
        if wanted.kind == "number" and (numbers := _plain_numbers(column, seen)) is not None:
            return numbers
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    elif pa.types.is_floating(column.type) and wanted.missing:
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if column.null_count and not wanted.missing:
        row = pc.index(column.is_null(), value=True).as_py() + 1
        raise BadCell(name, row, "the cell is empty. Fill it, or remove the row.")
    return _READERS[wanted.kind](name, column, seen)


def is_whole(column: pa.Array) -> bool:
    """Whether each cell of a column of numbers is a whole one that float64 holds exactly, or empty."""
    return pc.all(_whole_cells(column.cast(pa.float64()))).as_py() is not False


def _dictionary(name: str, column: pa.DictionaryArray, wanted: Column) -> pa.Array:
    """Words that are stored once each: however long a word, and however often it comes, it is looked at once."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    used = pc.unique(column.indices.drop_null())
    try:
        words = typed(name, column.dictionary.take(used), wanted)
    except BadCell as error:
        row = pc.index(column.indices, used[error.row - 1]).as_py() + 1
        raise BadCell(name, row, error.what) from None
    if column.indices.null_count and not wanted.missing:
        row = pc.index(column.indices.is_null(), value=True).as_py() + 1
        raise BadCell(name, row, "the cell is empty. Fill it, or remove the row.")
    return words.take(pc.index_in(column.indices, value_set=used))


def _plain_numbers(column: pa.Array, seen: Seen) -> pa.Array | None:
    """Numbers of text that has neither blanks around them nor empty cells, as most have; None: it is not so plain."""
    if not seen.has_fractions:
        try:
            whole = column.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
        else:
            return None if _may_be_hexadecimal(column) else whole
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    if not _is_fine(numbers):
        return None
    seen.has_fractions = True
    return numbers


def _may_be_hexadecimal(column: pa.Array) -> bool:
    # Arrow reads 0x10 as 16, but only among whole numbers.
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return any(chunk.buffers()[-1] is not None and _HEXADECIMAL.search(chunk.buffers()[-1]) for chunk in chunks)


def _numbers(name: str, column: pa.Array, seen: Seen) -> pa.Array:
    if pa.types.is_null(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if _is_string(column.type):
        column = _parsed_numbers(name, column, seen)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadCell(name, 1, f"its type is {column.type}, not a number. Convert it, or leave it out.")
    if pa.types.is_floating(column.type) and not _is_fine(column):
        _refuse_bad(name, column)
    return column


def _whole_cells(column: pa.Array) -> pa.Array:
    """Of a column of float64, which cells are whole numbers that it holds exactly."""
    return pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _EXACT))


def _parsed_numbers(name: str, column: pa.Array, seen: Seen) -> pa.Array:
    hexadecimal = pc.any(pc.match_substring_regex(column, "^[+-]?0[xX]")).as_py()
    if not (hexadecimal or seen.has_fractions):
        with suppress(pa.ArrowInvalid):
            return column.cast(pa.int64())
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        row = _first(partial(_begin_casts, column, pa.float64()), len(column))
        raise BadCell(
            name, row, f"{_cell(column, row)} is not a number. Fix the cell, or leave the column out."
        ) from None
    seen.has_fractions = True
    return numbers


def _is_fine(column: pa.Array) -> bool:
    """Whether each cell of floating numbers is finite and not too large, or empty; quick where they are."""
    if column.null_count:
        column = column.drop_null()
    if not len(column):
        return True
    numbers = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    return float(numbers.min()) >= -LARGEST and float(numbers.max()) <= LARGEST  # neither holds of NaN


def _refuse_bad(name: str, column: pa.Array) -> NoReturn:
    bad = pc.invert(pc.is_finite(column))
    if pc.any(bad).as_py():
        row = pc.index(bad, value=True).as_py() + 1
        what = "NaN" if pc.is_nan(column[row - 1]).as_py() else "infinity"
        raise BadCell(name, row, f"the value is {what}. Give a finite number, or remove the row.")
    large = pc.greater(pc.abs(column.cast(pa.float64(), safe=False)), LARGEST)
    row = pc.index(large, value=True).as_py() + 1
    raise BadCell(
        name,
        row,
        f"{column[row - 1].as_py()!r} is beyond ±{LARGEST:g}, which least squares cannot square in float64."
        " Choose a larger unit.",
    )


def _words(name: str, column: pa.Array, _seen: Seen) -> pa.Array:
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        whole = _whole_cells(column)
        integers = pc.if_else(whole, column, pa.scalar(0.0)).cast(pa.int64())
        return pc.if_else(whole, integers.cast(pa.string()), column.cast(pa.string()))
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BadCell(name, 1, f"its type is {column.type}, not words. Convert it, or leave it out.") from None


def _categories(name: str, column: pa.Array, seen: Seen) -> pa.Array:
    """Words in one spelling, cell by cell: pandas writes 1 as 1.0 beside an empty cell, and true as True."""
    words = pc.replace_substring_regex(_words(name, column, seen), _WHOLE, r"\1")
    if (pc.max(pc.utf8_length(words)).as_py() or 0) > _LONGEST_WORD:
        row = pc.index(pc.greater(pc.utf8_length(words), _LONGEST_WORD), value=True).as_py() + 1
        raise BadCell(
            name, row, f"a category's word has more than {_LONGEST_WORD:,} characters. Shorten it, or call it text()."
        )
    return pc.if_else(pc.is_in(words, value_set=pa.array(["True", "False"])), pc.utf8_lower(words), words)


def _booleans(name: str, column: pa.Array, seen: Seen) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return column
    if not (_is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadCell(name, 1, f"its type is {column.type}, not true or false. Convert it, or leave it out.")
    words = pc.utf8_lower(_categories(name, column, seen))
    is_true = pc.is_in(words, value_set=pa.array(_TRUE))
    is_other = pc.invert(pc.or_(pc.or_(is_true, pc.is_in(words, value_set=pa.array(_FALSE))), words.is_null()))
    if pc.any(is_other).as_py():
        row = pc.index(is_other, value=True).as_py() + 1
        raise BadCell(name, row, f"{_cell(column, row)} is not true or false, yes or no, 1 or 0. Fix the cell.")
    return pc.if_else(words.is_null(), pa.scalar(None, pa.bool_()), is_true)


def _dates(name: str, column: pa.Array, seen: Seen) -> pa.Array:
    moment = pa.timestamp("us")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type) or pa.types.is_null(column.type):
        return _in_calendar(name, column.cast(moment, safe=False))
    if not _is_string(column.type):
        raise BadCell(name, 1, f"its type is {column.type}, not a date. Convert it, or leave it out.")
    forms = _MOMENTS if seen.moments is None else (seen.moments,)
    for wanted in forms:
        if _casts(column, wanted):
            if column.null_count < len(column):
                seen.moments = wanted
            return _in_calendar(name, column.cast(wanted).cast(moment))
    # By the form that goes furthest: a table of one zone-less moment and ten with a zone is told of the former.
    row = max(_first(partial(_begin_casts, column, one), len(column)) for one in forms)
    raise BadCell(
        name,
        row,
        f"{_cell(column, row)} is not a date like 2026-11-30 or 2026-11-30T12:00:00, as the others are. Fix the cell.",
    )


def _in_calendar(name: str, column: pa.Array) -> pa.Array:
    ticks = column.cast(pa.int64())
    outside = pc.or_(pc.less(ticks, _FIRST_MOMENT), pc.greater(ticks, _LAST_MOMENT))
    if pc.any(outside).as_py():
        row = pc.index(outside, value=True).as_py() + 1
        raise BadCell(name, row, "the date is not of the years 1 to 9999. Fix the cell.")
    return column


_FIRST_MOMENT, _LAST_MOMENT = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 and 9999, in microseconds since 1970: what Python's dates know."""
_MOMENTS = (pa.timestamp("us"), pa.timestamp("us", tz="UTC"))

_READERS: dict[str, Callable[[str, pa.Array, Seen], pa.Array]] = {
    "number": _numbers,
    "category": _categories,
    "boolean": _booleans,
    "date": _dates,
    "text": _words,
    "identifier": _words,
}


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _cell(column: pa.Array, row: int) -> str:
    return short(str(column[row - 1].as_py()))


def _begin_casts(column: pa.Array, wanted: pa.DataType, end: int) -> bool:
    return _casts(column.slice(0, end), wanted)


def _casts(column: pa.Array, wanted: pa.DataType) -> bool:
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
