"""A uniform sample of a table that streams by: the same rows however it is cut into batches, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.columns import Column
    from bulkhead.prediction.typed import TypedBatch

MOST_ROWS = 10_000
"""At which chance moves PSI by less than a hundredth."""
_MOST_CELLS = 1 << 21
MOST_COLUMNS = 400
"""Of numbers, a record has no room for the profiles of more than some 270."""
DAY = 86_400_000_000
"""In microseconds."""


class Sampler:
    """Keeps the rows with the least of random keys, one for each row of the table (reservoir sampling by keys).

    The sample has numbers as float64, dates as days since 1970, and all else as words; empty cells are null.

    Args:
        columns: by name, what the features are; the first :data:`MOST_COLUMNS` of them are sampled.
        seed: of the keys.
    """

    def __init__(self, columns: Mapping[str, Column], seed: int = 0) -> None:
        self.names = list(columns)[:MOST_COLUMNS]
        self.most = min(MOST_ROWS, _MOST_CELLS // max(len(self.names), 1))
        self._kinds = columns
        self._draw = np.random.default_rng(seed)
        self._keys: list[np.ndarray] = []
        self._pieces: list[pa.RecordBatch] = []
        self._kept = 0
        self._bound = 1.0

    def add(self, batch: TypedBatch) -> None:
        """The next rows."""
        keys = self._draw.random(len(next(iter(batch.arrays.values()))))
        picked = np.flatnonzero(keys < self._bound)
        if not picked.size:
            return
        if picked.size > self.most:
            picked = np.sort(picked[np.argpartition(keys[picked], self.most)[: self.most]])
        rows = pa.array(picked)
        arrays = [_plain(batch.arrays[name].take(rows), self._kinds[name]) for name in self.names]
        self._pieces.append(pa.RecordBatch.from_arrays(arrays, names=self.names))
        self._keys.append(keys[picked])
        self._kept += picked.size
        if self._kept > 2 * self.most:
            self._prune()

    def taken(self) -> pa.RecordBatch:
        """The sample, in the table's order."""
        self._prune()
        return self._pieces[0]

    def _prune(self) -> None:
        keys = np.concatenate(self._keys)
        table = pa.Table.from_batches(self._pieces)
        if len(keys) > self.most:
            order = np.argpartition(keys, self.most)
            self._bound = float(keys[order[self.most]])
            kept = np.sort(order[: self.most])
            keys, table = keys[kept], table.take(pa.array(kept))
        self._keys, self._kept = [keys], len(keys)
        self._pieces = table.combine_chunks().to_batches()


def _plain(column: pa.Array, kind: Column) -> pa.Array:
    """A column that :func:`bulkhead.prediction.cells.typed` has made, as float64 or as words."""
    match kind.kind:
        case "number":
            return column.cast(pa.float64(), safe=False)
        case "date":
            ticks = column.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(float)
            return pa.array(ticks / DAY, mask=column.is_null().to_numpy(zero_copy_only=False))
    return column.cast(pa.string())
