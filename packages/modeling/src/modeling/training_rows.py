"""The table that preprocessing has left, as training reads it: in batches, or in memory, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bulkhead.prediction import frames
from modeling import memory
from tabular.pieces import rows_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modeling.held_out import HeldOut
    from tabular.exchange import Exchanged

Batch = tuple[pd.DataFrame, "pd.Series[Any]"]
"""Features, shape (rows, columns), and target, shape (rows,)."""
MOST_CLASSES = 100


class Rows:
    """Some rows of a table, to be read again and again.

    Args:
        read: begins to read them.
        count: how many they are.
    """

    def __init__(self, read: Callable[[], Iterator[Batch]], count: int) -> None:
        self._read = read
        self.count = count

    def __iter__(self) -> Iterator[Batch]:
        """Their batches."""
        return self._read()

    def head(self, rows: int) -> Batch:
        """The first ``rows`` of them, or all."""
        found, count = [], 0
        for frame, target in self:
            found.append((frame.iloc[: rows - count], target.iloc[: rows - count]))
            count += len(frame)
            if count >= rows:
                break
        together = [_concatenated(list(parts)) for parts in zip(*found, strict=True)]
        return together[0], together[1]


class TrainingTable:
    """The table that preprocessing has left.

    Args:
        table: its file.
        target: the target's column.
    """

    def __init__(self, table: Exchanged, target: str) -> None:
        self._table = table
        self.target = target
        self.rows = table.rows
        self.names = [name for name in table.schema.names if name != target]
        self.has_numbers = pa.types.is_floating(table.schema.field(target).type)
        """Whether the target is of numbers, and not of words."""

    def first_target(self) -> Any:
        """The target of the first row."""
        for batch in self._table.batches([self.target]):
            return _values(batch.column(0))[0]
        return None

    def classes(self) -> dict[Any, int]:
        """By class, in their order, how many rows have it; of more classes than any model takes, some."""
        counts: dict[Any, int] = {}
        for batch in self._table.batches([self.target]):
            for found in pc.value_counts(batch.column(0)).to_pylist():
                counts[found["values"]] = counts.get(found["values"], 0) + found["counts"]
            if len(counts) > MOST_CLASSES:
                break
        return dict(sorted(counts.items()))

    def classes_of(self, held: HeldOut) -> set[Any]:
        """The classes that those rows have that train."""
        found: set[Any] = set()
        draw = held.begin()
        for batch in self._table.batches([self.target]):
            target = _values(batch.column(0))
            found.update(pd.unique(target[~draw.mask(target)]).tolist())
        return found

    def split(self, held: HeldOut) -> tuple[Rows, Rows]:
        """Those that train and those that are held out, read in batches whenever they are asked for."""
        training = Rows(lambda: self._picked(held, is_held=False), self.rows - held.count)
        return training, Rows(lambda: self._picked(held, is_held=True), held.count)

    def loaded(self, held: HeldOut, estimator: str, file: str) -> tuple[Batch, Rows]:
        """Those that train, in memory; and those that are held out, in memory too.

        Raises:
            Refused: they do not fit.
        """
        how = f"or give less data, or say PARTIAL_FIT in {file} where {estimator} has partial_fit"
        memory.check_fits(f"the fit of {estimator}", self.rows * _row_bytes(self._table.schema), how)
        draw = held.begin()
        parts = (_Part(self, held.shuffled(self.rows - held.count)), _Part(self, np.arange(held.count)))
        for batch in self._table.batches():
            mask = draw.mask(_values(batch.column(self.target)))
            parts[0].add(batch, ~mask)
            parts[1].add(batch, mask)
        training, held_out = (part.taken() for part in parts)
        return training, Rows(lambda: _sliced(*held_out), held.count)

    def features_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Its columns but the target."""
        return batch.select(self.names)

    def target_of(self, batch: pa.RecordBatch) -> pd.Series[Any]:
        """The target, as numbers or as words."""
        return self.series(_values(batch.column(self.target)))

    def series(self, values: np.ndarray) -> pd.Series[Any]:
        """``values`` as the target is called."""
        return pd.Series(values, name=self.target)

    def _picked(self, held: HeldOut, *, is_held: bool) -> Iterator[Batch]:
        draw = held.begin()
        for batch in self._table.batches():
            target = _values(batch.column(self.target))
            mask = draw.mask(target)
            mask = mask if is_held else ~mask
            if mask.all():
                yield frames.of_batch(self.features_of(batch)), self.series(target)
            elif mask.any():
                picked = self.features_of(batch).filter(pa.array(mask))
                yield frames.of_batch(picked), self.series(target[mask])


class _Part:
    """Rows that are put together in memory: numbers at once where they stay, other columns when all are there.

    Args:
        table: whose.
        places: of each row that is added, where it stays.
    """

    def __init__(self, table: TrainingTable, places: np.ndarray) -> None:
        self._table = table
        self._places = places
        self._added = 0
        kinds = {field.type for field in table._table.schema if field.name != table.target}  # noqa: SLF001  # its own
        self._block: np.ndarray | None = None
        if len(kinds) == 1 and pa.types.is_floating(kind := kinds.pop()):
            self._block = np.empty((len(table.names), len(places)), dtype=kind.to_pandas_dtype())
        self._batches: list[pa.RecordBatch] = []
        self._targets: list[pd.Series[Any]] = []

    def add(self, batch: pa.RecordBatch, mask: np.ndarray) -> None:
        """The rows of ``batch`` that ``mask`` has."""
        self._targets.append(self._table.target_of(batch)[mask])
        features = self._table.features_of(batch)
        if self._block is None:
            self._batches.append(features.filter(pa.array(mask)))
            return
        end = self._added + int(mask.sum())
        places = self._places[self._added : end]
        for number, column in enumerate(features.columns):
            self._block[number, places] = frames.numbers(column)[mask]
        self._added = end

    def taken(self) -> Batch:
        """All of them; nothing is left here."""
        added = np.concatenate([one.to_numpy() for one in self._targets])
        self._targets.clear()
        target = np.empty_like(added)
        target[self._places] = added
        if self._block is not None:
            frame = pd.DataFrame(self._block.T, columns=pd.Index(self._table.names), copy=False)
            return frame, self._table.series(target)
        order = pa.array(np.argsort(self._places))
        table = pa.Table.from_batches(self._batches)
        self._batches.clear()
        columns = {}
        for name in self._table.names:  # one at a time, so that no more than one is there twice
            column = table.column(name).combine_chunks().take(order)
            table = table.drop_columns(name)
            columns[name] = frames.of_batch(pa.RecordBatch.from_arrays([column], names=[name]))[name]
        return pd.DataFrame(columns, copy=False), self._table.series(target)


def _values(column: pa.Array) -> np.ndarray:
    if pa.types.is_floating(column.type):
        return frames.numbers(column)
    words: np.ndarray = column.cast(pa.string()).to_numpy(zero_copy_only=False)
    return words


def _sliced(frame: pd.DataFrame, target: pd.Series[Any]) -> Iterator[Batch]:
    rows = rows_at_once(frame.shape[1])
    for begin in range(0, len(frame), rows):
        piece = frame.iloc[begin : begin + rows].reset_index(drop=True)
        yield piece, target.iloc[begin : begin + rows].reset_index(drop=True)


def _concatenated(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _row_bytes(schema: pa.Schema) -> int:
    """What a row takes in memory, as pandas has it."""
    return sum(field.type.bit_width // 8 if pa.types.is_floating(field.type) else 8 for field in schema)
