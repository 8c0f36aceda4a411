"""What the columns of a table seem to be, where nobody says: one look at all of it, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from bulkhead.columns import Column, boolean, category, date, identifier, number, text
from bulkhead.prediction.cells import BadCell, Seen, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_CATEGORIES = 1000
"""More different words are no category, where nobody says what a column is."""
_COMPARED = 1_000_000
"""Rows in which the values of a column called ``id`` must all be different: to compare more takes ever more memory."""
_MAKERS: dict[str, Callable[..., Column]] = {"number": number, "boolean": boolean, "date": date, "category": category}


class Guess:
    """What each of the columns ``names`` seems to be.

    A column whose name is ``id`` or ends in ``_id``, with another value in each row, is the identifier. Text with many
    different values is passed over.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: _ColumnGuess(name) for name in names}

    def look(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""
        for name, column in self._columns.items():
            column.look(batch.column(name))

    def columns(self) -> dict[str, Column]:
        """What they seem to be."""
        found: dict[str, Column] = {}
        for name, column in self._columns.items():
            found[name] = column.kind(has_identifier=any(one.kind == "identifier" for one in found.values()))
        return found


class _ColumnGuess:
    def __init__(self, name: str) -> None:
        self._name = name
        # By what it can still be, what was seen of it.
        self._open = {kind: Seen() for kind in _MAKERS}
        self._rows = 0
        self._empty = 0
        self._type: pa.DataType | None = None
        # Words, as a category has them, and the values of what may be an identifier: sets that stop growing.
        self._words: set[str] = set()
        self._values: set[object] = set()
        self._is_id = name.lower() == "id" or name.lower().endswith("_id")

    def look(self, column: pa.Array) -> None:
        self._type = column.type
        made = {}
        for kind in list(self._open):
            try:
                made[kind] = typed(self._name, column, _MAKERS[kind](missing=True), self._open[kind])
            except BadCell:
                del self._open[kind]
        self._rows += len(column)
        first = next(iter(made.values()), None)
        self._empty += column.null_count if first is None else first.null_count
        if "category" in made and len(self._words) <= _MOST_CATEGORIES:
            self._words.update(word for word in pc.unique(made["category"]).to_pylist() if word is not None)
            if len(self._words) > _MOST_CATEGORIES and not self._is_id:
                del self._open["category"]  # to spell all of many numbers out would take its time
        if self._is_id and first is not None:
            # By their words, because whether all of them are numbers only the last one tells.
            self._look_for_repeats(made.get("category", first))

    def _look_for_repeats(self, column: pa.Array) -> None:
        room = max(_COMPARED - len(self._values), 0)
        column = column.slice(0, room)
        before = len(self._values)
        self._values.update(column.to_pylist())
        if column.null_count or len(self._values) < before + len(column):
            self._is_id = False

    def kind(self, *, has_identifier: bool) -> Column:
        missing = self._empty > 0
        names_rows = self._is_id and not missing
        for kind in ("number", "boolean", "date"):
            if kind in self._open:
                if self._empty == self._rows:
                    return text()
                if kind == "number" and names_rows and not has_identifier:
                    return identifier()
                return _MAKERS[kind](missing=missing)
        if self._type is not None and (pa.types.is_integer(self._type) or pa.types.is_floating(self._type)):
            return number(missing=missing)  # and its cell is told where it is read
        if "category" not in self._open:  # lists, bytes, and what else is no word, or a long one
            return text()
        if names_rows:
            return text() if has_identifier else identifier()
        if len(self._words) <= min(_MOST_CATEGORIES, self._rows // 2 or 1):
            return category(missing=missing)
        return text()
