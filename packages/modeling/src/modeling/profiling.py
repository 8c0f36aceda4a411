"""The profile of a column: its bins, and which share of its values is in each."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bulkhead.registry.profiles import LARGEST, MOST_CATEGORIES, MOST_EDGES, ColumnProfile, Profile
from modeling.sampling import DAY, Sampler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bulkhead.columns import Column
    from bulkhead.prediction.typed import TypedBatch

_ROWS_A_BIN = 5
"""Fewer would make a bin's share a matter of chance. Rarer words are among all others: of a table with many of them an
input has others, and as many (Good and Turing)."""
_LONGEST_WORD = 100
"""Characters; a longer word is one of all others."""
_DIGITS = 6
_SAME = 1e-9
"""Numbers that differ by less, beside their size, differ by rounding."""
_APART = 1e-4
"""How far from a constant, beside its size, its bin reaches."""
_TINY = 1e-9
"""The same, of a constant zero."""


class Profiler:
    """The profile of the features of a table, whose batches stream by; memory does not grow with the rows.

    Rows, empty cells, least and greatest are of all rows; bins and shares of a uniform sample.

    Args:
        columns: by name, what the features are, in their order.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._sampler = Sampler(columns)
        self._rows = 0
        self._empty: Counter[str] = Counter()
        self._range: dict[str, tuple[float, float]] = {}

    def add(self, batch: TypedBatch) -> None:
        """The next rows."""
        self._sampler.add(batch)
        self._rows += len(batch.arrays[self._sampler.names[0]])
        for name in self._sampler.names:
            array = batch.arrays[name]
            if array.null_count:
                self._empty[name] += array.null_count
            if self._columns[name].kind in {"number", "date"} and array.null_count < len(array):
                least, greatest = _ends(array)
                low, high = self._range.get(name, (least, greatest))
                self._range[name] = min(low, least), max(high, greatest)

    def profile(self) -> Profile:
        """What was seen, as far as there is room for it."""
        sample = self._sampler.taken()
        columns = {}
        for name in self._sampler.names:
            column = sample.column(name)
            empty = _rounded(self._empty[name] / self._rows)
            if pa.types.is_floating(column.type):
                found = of_numbers(column.drop_null().to_numpy(), sample.num_rows, empty=empty)
                if name in self._range:
                    low, high = (_rounded(one) for one in self._range[name])
                    found = msgspec.structs.replace(found, low=low, high=high)
                columns[name] = found
            else:
                columns[name] = of_words(column, empty=empty)
        return bounded(Profile(rows=self._rows, columns=columns, left_out=len(self._columns) - len(columns)))


def of_numbers(values: np.ndarray, rows: int, *, empty: float = 0.0) -> ColumnProfile:
    """The profile of a column of numbers.

    Args:
        values: those of the sample that are there, finite.
        rows: of the sample.
        empty: the share of empty cells.
    """
    if not values.size:
        return ColumnProfile(kind="number", rows=rows, edges=[], shares=[0.0], empty=empty)
    edges = edges_of(values)
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return ColumnProfile(
        kind="number",
        rows=rows,
        edges=edges,
        shares=_shares(counts),
        empty=empty,
        low=_rounded(float(values.min())),
        high=_rounded(float(values.max())),
    )


def of_words(column: pa.Array, *, empty: float = 0.0, known: Sequence[str] | None = None) -> ColumnProfile:
    """The profile of a column of words.

    Args:
        column: of the sample; null where it is empty.
        empty: the share of empty cells.
        known: the words that there are, whether they come or not; None: those that come.
    """
    counted = {one["values"]: one["counts"] for one in pc.value_counts(column.drop_null()).to_pylist()}
    common = known or [word for word, count in counted.items() if count >= _ROWS_A_BIN]
    words = [word for word in common if len(word) <= _LONGEST_WORD and "\0" not in word]
    words = sorted(words, key=lambda word: (-counted.get(word, 0), word))[:MOST_CATEGORIES]
    counts = [counted.get(word, 0) for word in words]
    counts.append(sum(counted.values()) - sum(counts))
    return ColumnProfile(
        kind="category", rows=len(column), categories=words, shares=_shares(np.array(counts)), empty=empty
    )


def edges_of(values: np.ndarray) -> list[float]:
    """The inner boundaries of the bins of ``values``, which are finite and at least one.

    They lie half-way between two neighbours, so no rounding moves a value from its bin. A column of few different
    numbers has a bin for each, and one below and above all of them: a constant that changes is seen. Of others, the
    boundaries are those nearest to the deciles (of less than 50 values, of fewer parts), so that a number that comes
    often makes the bins beside it fewer.
    """
    places, counts = np.unique(values, return_counts=True)
    low, high = float(places[0]), float(places[-1])
    size = max(abs(low), abs(high))
    half = high / 2 - low / 2  # because the greatest number has no room for twice its size
    if 2 * half <= _SAME * size or half == 0:
        apart = _APART * size or _TINY
        return [_rounded(low - apart), _rounded(high + apart)]
    middles = places[:-1] / 2 + places[1:] / 2
    if len(places) < MOST_EDGES and 2 * len(places) <= len(values):
        apart = float(np.diff(places).min()) / 2
        found = [low - apart, *middles.tolist(), high + apart]
    else:
        parts = max(2, min(MOST_EDGES + 1, len(values) // _ROWS_A_BIN))
        reached = np.cumsum(counts)[:-1] / len(values)
        found = middles[[int(np.abs(reached - part / parts).argmin()) for part in range(1, parts)]].tolist()
    # As many digits more as the numbers have in common.
    digits = _DIGITS + 1 + max(0, _exponent(size) - _exponent(half))
    return sorted({float(f"{edge:.{min(digits, 17)}g}") for edge in found})


def counts_of(profile: ColumnProfile, column: pa.Array) -> np.ndarray:
    """How many of ``column`` are in each bin of ``profile``; behind them, how many are empty.

    Args:
        profile: training's.
        column: float64 or words, as :mod:`modeling.sampling` has them.
    """
    values = column.drop_null()
    if profile.kind == "number":
        edges = profile.edges or []
        places = np.searchsorted(edges, values.to_numpy(zero_copy_only=False), side="left")
        counts = np.bincount(places, minlength=len(edges) + 1)
    else:
        known = pa.array(profile.categories or [], pa.string())
        places = pc.index_in(values, value_set=known).fill_null(len(known)).to_numpy(zero_copy_only=False)
        counts = np.bincount(places, minlength=len(known) + 1)
    return np.append(counts, column.null_count)


def bounded(profile: Profile) -> Profile:
    """``profile`` without the last columns, for which a record has no room."""
    room = LARGEST - len(msgspec.json.encode(msgspec.structs.replace(profile, columns={}))) - _DIGITS
    kept = {}
    for name, column in profile.columns.items():
        room -= len(msgspec.json.encode({name: column})) - 1
        if room < 0:
            break
        kept[name] = column
    left_out = profile.left_out + len(profile.columns) - len(kept)
    return msgspec.structs.replace(profile, columns=kept, left_out=left_out)


def _ends(array: pa.Array) -> tuple[float, float]:
    """The least and the greatest number; of dates, in days."""
    is_date = pa.types.is_temporal(array.type)
    array = array.cast(pa.int64()) if is_date else array
    # NumPy's are twice as fast as Arrow's, and know no empty cells.
    values = (array.drop_null() if array.null_count else array).to_numpy(zero_copy_only=False)
    unit = DAY if is_date else 1
    return float(values.min()) / unit, float(values.max()) / unit


def _shares(counts: np.ndarray) -> list[float]:
    return [_rounded(one) for one in (counts / max(int(counts.sum()), 1)).tolist()]


def _exponent(number: float) -> int:
    return math.floor(math.log10(number))


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
