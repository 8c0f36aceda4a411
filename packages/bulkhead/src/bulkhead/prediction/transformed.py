"""What a model's ``transform`` gave, with its promises checked: the same in steps and in a notebook."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bulkhead.errors import Refused, listed

_ROUNDING = 1e-6
"""What the order of sums and the length of vectors may change, in float32 too."""


def checked(result: Any, before: pd.DataFrame, *, may_be_empty: bool, fix: str, rows_before: int = 0) -> pd.DataFrame:
    """``result``, if an estimator and a file can take it.

    Args:
        result: what ``transform`` returned.
        before: the frame that it was given, whose index is 0, 1, 2, …
        may_be_empty: whether a column of that may have empty cells; then what comes out may have them too.
        fix: what to do about it, as the end of a sentence.
        rows_before: how many rows of the table came before these.

    Returns:
        float64, or float32 where ``transform`` made that, dates, and categories.

    Raises:
        Refused: rows were dropped, added or moved, or the columns are none that a model can take.
    """
    if not isinstance(result, pd.DataFrame):
        raise Refused(f"the transformation returned {type(result).__name__}, and not a DataFrame. {fix}")
    if len(result) != len(before):
        raise Refused(f"the transformation made {len(result)} rows out of {len(before)}; it must keep each row. {fix}")
    if not result.index.equals(before.index):
        raise Refused(
            "the transformation gave back another index than it got, so its rows may be in another order. Keep the"
            f" frame's index. {fix}"
        )
    names = list(result.columns)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise Refused(
            "the transformation must give distinct columns with names, at least one; it gave"
            f" {listed(map(str, names))}. {fix}"
        )
    check = partial(_column, may_be_empty=may_be_empty, fix=fix, rows_before=rows_before)
    if (result.dtypes == np.float64).all():  # as most are: what it is already is not taken apart
        values = result.to_numpy()
        if not (~np.isinf(values) if may_be_empty else np.isfinite(values)).all():
            for name in names:
                check(name, result[name])
        return result
    return pd.DataFrame({name: check(name, result[name]) for name in names}, columns=names)


def difference(one: pd.DataFrame, other: pd.DataFrame) -> str | None:
    """The column in which two frames of the same rows differ by more than rounding; None: there is none."""
    if list(one.columns) != list(other.columns):
        return str(next((name for name in one.columns if name not in other), next(iter(other.columns))))
    for name in one.columns:
        ours, theirs = _numbers_of(one[name]), _numbers_of(other[name])
        if pd.api.types.is_float_dtype(ours.dtype) and pd.api.types.is_float_dtype(theirs.dtype):
            size = float(np.nanmax(np.abs(ours.to_numpy()), initial=0.0))
            if not np.allclose(ours, theirs, rtol=_ROUNDING, atol=_ROUNDING * size, equal_nan=True):
                return str(name)
        elif ours.dtype.kind != theirs.dtype.kind or not ours.astype(object).equals(theirs.astype(object)):
            return str(name)
    return None


def _numbers_of(column: Any) -> Any:
    """``column``, as numbers where it is a category of them: pandas maps words to one or to the other."""
    if isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.is_any_real_numeric_dtype(
        column.cat.categories.dtype
    ):
        return column.astype(np.float64)
    return column


def _column(name: str, column: Any, *, may_be_empty: bool, fix: str, rows_before: int) -> Any:
    """One column, in a type that files and estimators take."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or _has_plain_categories(column):
        if not may_be_empty and column.isna().any():
            row = rows_before + int(np.flatnonzero(column.isna())[0]) + 1
            raise Refused(f"the transformation made column {name!r}, row {row}, empty. Fill it there. {fix}")
        return column
    numbers = None
    # NumPy would cut complex numbers to their real parts, and read numbers out of text.
    if not (np.iscomplexobj(column) or pd.api.types.is_string_dtype(column.dtype)):
        try:
            kind = np.float32 if column.dtype == np.float32 else np.float64
            numbers = column.to_numpy(dtype=kind, na_value=np.nan)
        except (TypeError, ValueError):
            numbers = None
    if numbers is None:
        kind = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
        raise Refused(
            f"the transformation made column {name!r} something else than numbers, categories or dates ({kind}). {fix}"
        )
    bad = np.flatnonzero(np.isinf(numbers) if may_be_empty else ~np.isfinite(numbers))
    if bad.size:
        raise Refused(
            f"the transformation made column {name!r}, row {rows_before + bad[0] + 1}, {numbers[bad[0]]}."
            f" Give smaller numbers there. {fix}"
        )
    return numbers


def _has_plain_categories(column: Any) -> bool:
    """Whether it is a category of words, numbers or dates, all of one kind: files have no other."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return False
    kinds = {"string", "integer", "floating", "boolean", "datetime64", "empty"}
    return pd.api.types.infer_dtype(column.cat.categories) in kinds
