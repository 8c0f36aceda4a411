"""The transformation: yours to edit.

Training and inference call the same function, and a model remembers the fingerprint of this file:
after an edit, inference refuses the models of before until a new one is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def transform(frame: pd.DataFrame) -> pd.DataFrame:
    """Double ``feature1``, where there is one.

    Works row by row: a row's result must not depend on the other rows, because training and
    inference see different ones. New columns may be added; rows may not be dropped.

    Args:
        frame: shape (rows, columns), float64, finite; in training the features, in inference every
            column of the source.

    Returns:
        A new frame with the same number of rows; its columns are what the model trains on.
    """
    if "feature1" in frame:
        return frame.assign(feature1=frame["feature1"] * 2)
    return frame.copy()
