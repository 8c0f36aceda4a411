"""A table's columns with their types, batch by batch: what each is in the end, the last batch says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from bulkhead.errors import Refused
from bulkhead.prediction import cells, frames
from bulkhead.prediction.cells import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from bulkhead.columns import Column

_MOST_WORDS = 1_000_000
"""Different words of a category, beyond which counting them would take memory that grows with the table."""


class TypedBatch:
    """Some rows of a table, as columns whose cells are what they should be.

    Args:
        arrays: by name, in the order of their columns.
        kinds: what each is.
        before: how many rows of the table came before these.
    """

    def __init__(self, arrays: Mapping[str, pa.Array], kinds: Mapping[str, Column], before: int = 0) -> None:
        self.arrays = arrays
        self.kinds = kinds
        self.before = before

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Those called ``names``, as a model's code gets them: shape (rows, len(names))."""
        return frames.of_columns({name: self.arrays[name] for name in names}, self.kinds)

    def columns(self, names: Sequence[str]) -> pa.RecordBatch:
        """Those called ``names``, as an exchange file has what :meth:`frame` gives."""
        arrays = [frames.stored(self.arrays[name], self.kinds[name]) for name in names]
        return frames.batch(list(names), arrays, [self.kinds[name].missing for name in names])

    def words(self, name: str) -> pa.Array:
        """The column ``name`` as text."""
        return self.arrays[name].cast(pa.string())

    def labels(self, name: str) -> pa.Array:
        """The column ``name`` as numbers, or as words where it is of words."""
        if self.kinds[name].kind == "number":
            return self.arrays[name].cast(pa.float64(), safe=False)
        return self.words(name)

    def example(self, names: Sequence[str]) -> dict[str, Any]:
        """The first row of those called ``names``, as JSON has it: dates as text, empty cells as None."""
        first = {name: self.arrays[name][0].as_py() for name in names}
        return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in first.items()}


class TypedReader:
    """Reads a table's batches, in their order, as what ``columns`` says, and says afterwards what they were."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.kinds = dict(columns)
        self._readers = {name: _ColumnReader(name, column) for name, column in columns.items()}
        self._rows = 0

    def read(self, batch: pa.RecordBatch | pa.Table) -> TypedBatch:
        """The next rows.

        Raises:
            BadCell: a cell is not what its column may hold, the first one of its column.
        """
        before = self._rows
        arrays = {name: reader.read(batch.column(name), before) for name, reader in self._readers.items()}
        self._rows += batch.num_rows
        return TypedBatch(arrays, self.kinds, before)

    @property
    def dtypes(self) -> dict[str, str]:
        """The type of each, as records have it: ``int64``, ``double``, ..., or what it is."""
        return {name: reader.dtype for name, reader in self._readers.items()}

    @property
    def missing(self) -> list[str]:
        """Those that may have empty cells."""
        return [name for name, column in self.kinds.items() if column.missing]

    @property
    def categories(self) -> dict[str, int]:
        """By category, how many different words there are."""
        return {name: len(one.words) for name, one in self._readers.items() if one.wanted.kind == "category"}

    def words(self, name: str) -> list[str]:
        """The different words of the category ``name``, in their order."""
        return sorted(self._readers[name].words)


class _ColumnReader:
    def __init__(self, name: str, wanted: Column) -> None:
        self.name = name
        self.wanted = wanted
        self.words: set[str] = set()
        self._seen = Seen()
        self._types: dict[str, pa.DataType] = {}
        self._has_empty = False
        self._is_whole = True

    def read(self, column: pa.Array, before: int) -> pa.Array:
        try:
            array = cells.typed(self.name, column, self.wanted, self._seen)
        except cells.BadCell as error:
            raise error.after(before) from None
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        self._has_empty |= array.null_count > 0
        match self.wanted.kind:
            case "number":
                self._types[str(array.type)] = array.type
                if self.wanted.missing and self._is_whole and pa.types.is_floating(array.type):
                    self._is_whole = cells.is_whole(array)
            case "category":
                self.words.update(word for word in pc.unique(array).to_pylist() if word is not None)
                if len(self.words) > _MOST_WORDS:
                    raise Refused(
                        f"column {self.name!r} has more than {_MOST_WORDS:,} different words, which is no category."
                        " Call it text() or identifier() in COLUMNS."
                    )
        return array

    @property
    def dtype(self) -> str:
        if self.wanted.kind != "number":
            return self.wanted.kind
        floating = [kind for kind in self._types.values() if pa.types.is_floating(kind)]
        if floating and self._has_empty and self._is_whole:
            return "int64"  # pandas has no empty cells among whole numbers, and makes fractions of them
        if len(self._types) == 1:
            return next(iter(self._types))
        return "double" if floating else "int64"
