"""The transformation with its promises checked, whoever edited it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkhead.errors import Refused
from transformation.transform import transform

if TYPE_CHECKING:
    import pandas as pd

_FIX = "Fix packages/transformation/src/transformation/transform.py, then run just build-images."


def apply(frame: pd.DataFrame) -> pd.DataFrame:
    """``transform(frame)``, checked.

    Args:
        frame: shape (rows, columns), float64, finite.

    Returns:
        The transformed frame: same rows, float64, finite, distinct column names.

    Raises:
        Refused: the transformation dropped or added rows, or gave something else than distinct
            columns of finite numbers.
    """
    result = transform(frame)
    if len(result) != len(frame):
        raise Refused(f"the transformation made {len(result)} rows out of {len(frame)}; it must keep each row. {_FIX}")
    if not result.columns.is_unique or result.columns.empty:
        raise Refused(
            f"the transformation must give distinct columns, at least one; it gave {list(result.columns)}. {_FIX}"
        )
    for name in result:
        try:
            values = result[name].to_numpy(dtype=float)
        except (TypeError, ValueError):
            raise Refused(f"the transformation made column {name!r} something else than numbers. {_FIX}") from None
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise Refused(
                f"the transformation made column {name!r}, row {bad[0] + 1}, {values[bad[0]]}."
                " Give smaller numbers, or fix the transformation."
            )
    return result.astype(float)
