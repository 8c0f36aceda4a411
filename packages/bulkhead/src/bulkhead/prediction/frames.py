"""Columns of Arrow as frames of pandas: what a model's code gets, and what exchange files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bulkhead.columns import Column


def of_columns(columns: Mapping[str, pa.Array], kinds: Mapping[str, Column]) -> pd.DataFrame:
    """What the model's code gets of columns that :func:`bulkhead.prediction.cells.typed` has made.

    See :mod:`bulkhead.columns`.
    """
    are_numbers = all(kinds[name].kind in {"number", "boolean"} for name in columns)
    if are_numbers and columns:
        return _of_numbers({name: column.cast(pa.float64(), safe=False) for name, column in columns.items()})
    made = {name: _series(column, kinds[name]) for name, column in columns.items()}
    return pd.DataFrame(made, columns=[*columns])


def of_batch(batch: pa.RecordBatch) -> pd.DataFrame:
    """The frame of some rows of an exchange file."""
    if batch.num_columns and all(field.type == pa.float64() for field in batch.schema):
        return _of_numbers(dict(zip(batch.schema.names, batch.columns, strict=True)))
    made = {name: _stored(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    return pd.DataFrame(made, columns=[*made])


def stored(column: pa.Array, kind: Column) -> pa.Array:
    """A column that :func:`bulkhead.prediction.cells.typed` has made, as exchange files have it."""
    match kind.kind:
        case "number" | "boolean":
            return column.cast(pa.float64(), safe=False)
        case "category":
            return column.dictionary_encode()
    return column


def to_batch(frame: pd.DataFrame, *, may_be_empty: bool) -> pa.RecordBatch:
    """``frame`` as a piece of an exchange file; NaN are empty cells, where there may be any."""
    if (frame.dtypes == np.float64).all():
        columns: list[Any] = list(frame.to_numpy().T)  # as they are in memory; to ask pandas for each takes longer
    else:
        columns = [frame[name] for name in frame.columns]
    arrays = [_alike(pa.array(column, from_pandas=may_be_empty)) for column in columns]
    return batch(list(frame.columns), arrays, [may_be_empty] * len(arrays))


def _alike(column: pa.Array) -> pa.Array:
    """``column``, the type of which does not tell how many words these rows have: others have more."""
    if not pa.types.is_dictionary(column.type):
        return column
    return column.cast(pa.dictionary(pa.int32(), column.type.value_type, column.type.ordered))


def batch(names: Sequence[str], arrays: Sequence[pa.Array], may_be_empty: Sequence[bool]) -> pa.RecordBatch:
    """Columns as a piece of an exchange file; those that are never empty are written and read in half the time."""
    fields = [
        pa.field(name, array.type, nullable=nullable)
        for name, array, nullable in zip(names, arrays, may_be_empty, strict=True)
    ]
    return pa.RecordBatch.from_arrays(list(arrays), schema=pa.schema(fields))


def beside(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of both."""
    return pa.RecordBatch.from_arrays([*one.columns, *other.columns], schema=pa.schema([*one.schema, *other.schema]))


def _of_numbers(columns: Mapping[str, pa.Array]) -> pd.DataFrame:
    """As pandas keeps numbers itself, a block for all of them, so that no more copy is made on the way to a fit."""
    rows = len(next(iter(columns.values())))
    block = np.empty((len(columns), rows))
    for place, column in enumerate(columns.values()):
        block[place] = numbers(column)
    return pd.DataFrame(block.T, columns=pd.Index([*columns]), copy=False)


def numbers(column: pa.Array) -> np.ndarray:
    """A column of floating numbers, its empty cells as NaN."""
    found: np.ndarray = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    return found


def _series(column: pa.Array, kind: Column) -> Any:
    match kind.kind:
        case "number" | "boolean":
            return pd.Series(np.asarray(numbers(column.cast(pa.float64(), safe=False)), dtype=float))
        case "date":
            return column.to_pandas()
    return _categorical(column)


def _stored(column: pa.Array) -> Any:
    if pa.types.is_dictionary(column.type):
        if column.type.ordered:
            return column.to_pandas()
        return _categorical(column.cast(column.type.value_type))
    if pa.types.is_floating(column.type):
        return pd.Series(numbers(column))
    if pa.types.is_string(column.type):
        return column.to_pandas().astype(object)
    return column.to_pandas()


def _categorical(column: pa.Array) -> Any:
    """Words in their order, so that what is learnt does not depend on which row came first."""
    words = pc.unique(column).drop_null()
    words = words.take(pc.array_sort_indices(words))
    codes = pc.index_in(column, value_set=words).fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(words.to_pandas())))
