"""Predicting: the same for inference, the check before a promotion, and the quality gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bulkhead.errors import Refused

if TYPE_CHECKING:
    import pandas as pd

    from bulkhead.registry.records import ModelRecord


def predict(model: Any, record: ModelRecord, frame: pd.DataFrame) -> np.ndarray:
    """What ``model`` gives for the transformed ``frame``; the caller looks whether all of it is finite.

    Args:
        model: as loaded.
        record: the model's record.
        frame: shape (rows, columns); columns that the model does not know are passed over.

    Returns:
        Shape (rows,).

    Raises:
        Refused: a column that the model was trained on is missing.
    """
    missing = [name for name in model.feature_names_in_ if name not in frame]
    if missing:
        raise Refused(f"{record.model_filename} needs the transformed columns {missing}. Train a new model.")
    with np.errstate(all="ignore"):  # what overflows is not finite, which is looked at
        predictions: np.ndarray = model.predict(frame[list(model.feature_names_in_)])
    return predictions
