"""The model that comes with Bulkhead: a linear regression on numbers. Yours to edit; docs/your-own-model.md shows how."""

import pandas as pd
from bulkhead.columns import number
from modeling.linear import PreciseLinearRegression
from sklearn.base import BaseEstimator

from project.parameters import Parameters

TARGET = "target"
"""The column to predict, unless the trigger form names another."""

COLUMNS = {"*": number()}
"""By column, what it is; ``*`` is every column that is not named. Left out, it is inferred from training's table."""


def transform(frame: pd.DataFrame) -> pd.DataFrame:
    """Double ``feature1``, where there is one.

    Training and inference call the same function, row by row: a row's result must not depend on the other rows, because
    the two see different ones. Columns may be added; rows may not be dropped.

    Args:
        frame: shape (rows, columns), the columns of the signature.

    Returns:
        A new frame with the same rows; what the estimator is fitted on.
    """
    if "feature1" in frame:
        return frame.assign(feature1=frame["feature1"] * 2)
    return frame


def build(parameters: Parameters) -> BaseEstimator:
    """The estimator, unfitted: any of scikit-learn's, or a pipeline of them."""
    del parameters  # this one has no settings
    return PreciseLinearRegression()
