"""A model's own check of whole tables, which takes them in memory; ``check_rows`` does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from bulkhead.prediction.typed import TypedBatch, TypedReader
from modeling import memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bulkhead.columns import Column
    from modeling.definition import Definition
    from tabular.tables import SourceTable

_FRAME_BYTES = 8
"""Of a cell, once the model's code has it."""


def check(table: SourceTable, definition: Definition, names: Sequence[str], kinds: Mapping[str, Column]) -> None:
    """Have the model's ``check`` look at the columns ``names`` of ``table``.

    Raises:
        Refused: it has something to say, or the table does not fit into memory.
    """
    how = f"or check rows by themselves, with check_rows instead of check in {definition.file}"
    batches, size = [], 0
    for batch in table.typed(TypedReader({name: kinds[name] for name in names})):
        rows = len(batch.arrays[names[0]])
        size += sum(array.nbytes for array in batch.arrays.values()) + rows * len(names) * _FRAME_BYTES
        memory.check_fits(f"check in {definition.file}", size, how)
        batches.append(batch)
    arrays = {name: pa.concat_arrays([batch.arrays[name] for batch in batches]) for name in names}
    definition.check(TypedBatch(arrays, kinds).frame(names), table.source)
