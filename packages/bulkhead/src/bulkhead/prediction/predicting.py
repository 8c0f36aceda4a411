"""Predicting: the same for inference, the check before a promotion, the quality gate and a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bulkhead.errors import Refused, listed, one_line, short

if TYPE_CHECKING:
    import pandas as pd

    from bulkhead.registry.records import ModelRecord

ESTIMATOR = "estimator"
"""The last step of a published pipeline; what is before it is the transformation."""


class NotFinite(Refused):
    """A prediction is infinite, or no number."""


class DoesNotPredict(Refused):
    """The estimator, or what it calls, raised something."""


class Predictions:
    """What a model says of a table.

    Attributes:
        values: shape (rows,): finite numbers, or classes as text.
        probabilities: of a classifier that has them, shape (rows, classes), in the order of ``classes``; else None.
        classes: of a classifier, as text; else none.
    """

    def __init__(self, values: np.ndarray, probabilities: np.ndarray | None, classes: list[str]) -> None:
        self.values = values
        self.probabilities = probabilities
        self.classes = classes

    def columns(self) -> dict[str, np.ndarray]:
        """As columns: ``prediction``, and ``probability_<class>`` of each class."""
        columns = {"prediction": self.values}
        if self.probabilities is not None:
            columns |= {f"probability_{name}": self.probabilities[:, i] for i, name in enumerate(self.classes)}
        return columns

    def frame(self) -> pd.DataFrame:
        """The same, as a table."""
        import pandas as pd

        return pd.DataFrame(self.columns())


def estimator_of(model: Any) -> Any:
    """The estimator in a published ``model``, which takes transformed columns; an older one was published alone."""
    steps = getattr(model, "named_steps", {})
    return steps.get(ESTIMATOR, model)


def predict(estimator: Any, record: ModelRecord, frame: pd.DataFrame, *, rows_before: int = 0) -> Predictions:
    """What ``estimator`` gives for the transformed ``frame``.

    Args:
        estimator: as :func:`estimator_of` gives it.
        record: the model's record.
        frame: shape (rows, columns); columns that the model does not know are passed over.
        rows_before: how many rows of the table came before these.

    Raises:
        NotFinite: a prediction is not; the sentence names the first such row.
        DoesNotPredict: the estimator raised something.
        Refused: a column that the model was trained on is missing, or it does not give one prediction a row.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        missing = [name for name in names if name not in frame]
        if missing:
            raise Refused(
                f"{record.model_filename} needs the transformed columns {listed(missing)}. Train a new model."
            )
        frame = frame[list(names)]
    with np.errstate(all="ignore"):  # what overflows is refused below
        values = np.asarray(_asked(estimator, "predict", frame, record))
        if values.shape == (len(frame), 1):
            values = values[:, 0]
        if values.shape != (len(frame),):
            raise Refused(
                f"{record.model_filename} gives predictions of the shape {values.shape} for {len(frame)} rows, and not"
                " one each. Return an estimator of one target from build."
            )
        if not record.classes:
            return Predictions(_finite(values, record, rows_before), None, [])
        probabilities = _probabilities(estimator, frame, record, rows_before)
    return Predictions(np.array([label(one) for one in values], dtype=object), probabilities, record.classes)


def label(value: Any) -> str:
    """A class as text: records, files and pages have no other."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _finite(values: np.ndarray, record: ModelRecord, rows_before: int) -> np.ndarray:
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError):
        raise Refused(
            f"{record.model_filename} predicts {short(str(values[0]))} for row {rows_before + 1}, and not a number."
            " Declare PROBLEM, or return a regressor from build."
        ) from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise NotFinite(
            f"the prediction for row {rows_before + bad[0] + 1} is {numbers[bad[0]]}. Give smaller numbers there."
        )
    return numbers


def _probabilities(estimator: Any, frame: pd.DataFrame, record: ModelRecord, rows_before: int) -> np.ndarray | None:
    if not hasattr(estimator, "predict_proba"):
        return None
    found = np.asarray(_asked(estimator, "predict_proba", frame, record), dtype=float)
    order = [label(one) for one in getattr(estimator, "classes_", ())]
    classes = record.classes or []
    if found.shape != (len(frame), len(order)) or not set(classes) <= set(order):
        raise Refused(
            f"{record.model_filename} gives probabilities of the shape {found.shape} for {len(frame)} rows and the"
            f" classes {listed(order)}. Train a new model."
        )
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if bad.size:
        raise NotFinite(f"a probability for row {rows_before + bad[0] + 1} is not finite. Give smaller numbers there.")
    return found[:, [order.index(name) for name in classes]]


def _asked(estimator: Any, method: str, frame: pd.DataFrame, record: ModelRecord) -> Any:
    try:
        return getattr(estimator, method)(frame)
    except (MemoryError, Refused):
        raise
    except Exception as error:  # a word that it has not seen, or a fault of the user's own class
        told = one_line(f"{type(error).__name__}: {error}", 300)
        raise DoesNotPredict(
            f"{record.model_filename} does not predict from this table: {told}. Fix the table, or train a new model."
        ) from error
