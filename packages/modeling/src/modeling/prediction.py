"""Predicting: the same for inference, the check before a promotion, and the quality gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bulkhead.errors import Refused

if TYPE_CHECKING:
    import pandas as pd

    from bulkhead.registry.records import ModelRecord


class NotFinite(Refused):
    """A prediction is infinite, or no number."""


def predict(model: Any, record: ModelRecord, frame: pd.DataFrame) -> np.ndarray:
    """What ``model`` gives for the transformed ``frame``.

    Args:
        model: as loaded.
        record: the model's record.
        frame: shape (rows, columns); columns that the model does not know are passed over.

    Returns:
        Shape (rows,), finite.

    Raises:
        NotFinite: a prediction is not; the sentence names the first such row.
        Refused: a column that the model was trained on is missing.
    """
    missing = [name for name in model.feature_names_in_ if name not in frame]
    if missing:
        raise Refused(f"{record.model_filename} needs the transformed columns {missing}. Train a new model.")
    with np.errstate(all="ignore"):  # what overflows is refused below
        predictions: np.ndarray = model.predict(frame[list(model.feature_names_in_)])
    bad = np.flatnonzero(~np.isfinite(predictions))
    if bad.size:
        raise NotFinite(f"the prediction for row {bad[0] + 1} is {predictions[bad[0]]}. Give smaller numbers there.")
    return predictions
