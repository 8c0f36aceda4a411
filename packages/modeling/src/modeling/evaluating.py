"""What was true and what was predicted of held-out rows: for plots, and for the profile of the predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from bulkhead.prediction.predicting import label
from bulkhead.registry import profiles
from bulkhead.registry.profiles import Confusion, Evaluation
from modeling import profiling
from modeling.held_out import Draw
from modeling.measuring import MOST_SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.registry.profiles import ColumnProfile

_BINS = 20
"""Of the residuals."""
_PROBABILITY_BINS = 10
_LARGEST = 1e300
"""With room for what is computed of it; a prediction can be anything."""
_KEY = 2
"""Which sets this draw apart from that of the held-out rows."""


class Observed:
    """Some rows, with what is true of them and what was predicted: a uniform sample, in bounded memory.

    Args:
        rows: how many there are.
        seed: of the draw.
        classes: of a classifier, as the estimator has them, in the record's order; of a regressor none.
    """

    def __init__(self, rows: int, seed: int, classes: list[Any]) -> None:
        self.rows = min(rows, MOST_SHOWN)
        self._draw = Draw(rows, self.rows, [seed, _KEY])
        self.classes = classes
        self.truth: list[np.ndarray] = []
        self.predicted: list[np.ndarray] = []
        self.probabilities: list[np.ndarray] = []

    def add(self, truth: np.ndarray, responses: Callable[[str, np.ndarray], np.ndarray | None]) -> None:
        """The next rows.

        Args:
            truth: shape (rows,): numbers, or the places of classes.
            responses: gives, of ``predict`` or ``predict_proba``, what the estimator says of the rows of a mask;
                None: it does not say that.
        """
        mask = self._draw.next(len(truth))
        if not mask.any():
            return
        self.truth.append(truth[mask])
        predicted = responses("predict", mask)
        if predicted is not None:
            self.predicted.append(predicted)
        if self.classes and (found := responses("predict_proba", mask)) is not None:
            # Of a binary classifier the last class's alone; of many classes no more than there are curves.
            self.probabilities.append(found if found.ndim == 1 else found[:, : profiles.MOST_CURVES])

    def predictions(self) -> ColumnProfile | None:
        """The profile of what was predicted; None: that is nothing, or not finite."""
        if not self.predicted:
            return None
        found = np.concatenate(self.predicted)
        if self.classes:
            names = [label(one) for one in self.classes]
            words = pa.DictionaryArray.from_arrays(pa.array(found.astype(np.int32)), names).cast(pa.string())
            return profiling.of_words(words, known=names)
        numbers = _finite(found)
        return None if numbers is None else profiling.of_numbers(numbers, len(numbers))

    def probability(self) -> ColumnProfile | None:
        """The profile of a binary classifier's probability of the last class; None: there is none."""
        if len(self.classes) != 2 or not self.probabilities:  # noqa: PLR2004
            return None
        numbers = _finite(np.concatenate(self.probabilities))
        return None if numbers is None else profiling.of_numbers(numbers, len(numbers))

    def evaluation(self) -> Evaluation | None:
        """What plots need; None: nothing of it is finite."""
        if not self.predicted:
            return None
        truth, predicted = _finite(np.concatenate(self.truth)), _finite(np.concatenate(self.predicted))
        if truth is None or predicted is None:
            return None
        found = self._of_classes(truth, predicted) if self.classes else _of_numbers(truth, predicted)
        return _bounded(found)

    def _of_classes(self, truth: np.ndarray, predicted: np.ndarray) -> Evaluation:
        from sklearn.metrics import confusion_matrix

        names = [label(one) for one in self.classes]
        sizes = np.bincount(truth.astype(int), minlength=len(names))
        commonest = sorted(np.argsort(-sizes, kind="stable")[: profiles.MOST_CATEGORIES].tolist())
        confusion = None
        if sizes[commonest].any():
            counts = confusion_matrix(truth.astype(int), predicted.astype(int), labels=commonest)
            confusion = Confusion(classes=[names[place] for place in commonest], counts=counts.tolist())
        given = _finite(np.concatenate(self.probabilities)) if self.probabilities else None
        if given is None:
            return Evaluation(rows=len(truth), confusion=confusion)
        probabilities = np.clip(given, 0, 1)
        if probabilities.ndim == 1:
            of_last = truth == len(names) - 1
            roc, calibration = {names[-1]: _curve(of_last, probabilities)}, _calibration(of_last, probabilities)
        else:
            calibration = None
            roc = {names[place]: _curve(truth == place, column) for place, column in enumerate(probabilities.T)}
        drawn = {name: curve for name, curve in roc.items() if curve}
        return Evaluation(rows=len(truth), confusion=confusion, roc=drawn or None, calibration=calibration)


def _of_numbers(truth: np.ndarray, predicted: np.ndarray) -> Evaluation:
    places = np.linspace(0, len(truth) - 1, min(len(truth), profiles.MOST_POINTS)).round().astype(int)
    scatter = {"actual": _rounded(truth[places]), "predicted": _rounded(predicted[places])}
    with np.errstate(all="ignore"):
        errors = _finite(truth - predicted)
    residuals = None
    if errors is not None:
        low, high = float(errors.min()), float(errors.max())
        size = max(abs(low), abs(high))
        if high / 2 - low / 2 <= size * 1e-9:  # a constant: one bin around it
            edges = np.array([low - (size * 1e-3 or 0.5), high + (size * 1e-3 or 0.5)])
        else:
            steps = np.linspace(0, 1, _BINS + 1)
            edges = low * (1 - steps) + high * steps
        inner = np.searchsorted(edges[1:-1], errors, side="right")
        counts = np.bincount(inner, minlength=len(edges) - 1)
        residuals = {"edges": _rounded(edges), "counts": counts.tolist()}
    return Evaluation(rows=len(truth), scatter=scatter, residuals=residuals)


def _curve(is_it: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float]]:
    """One class's ROC; nothing where all rows are of it, or none."""
    from sklearn.metrics import roc_curve

    if is_it.all() or not is_it.any():
        return {}
    false_positives, true_positives, _ = roc_curve(is_it, probabilities)
    most = min(len(false_positives), profiles.MOST_CURVE_POINTS)
    places = np.linspace(0, len(false_positives) - 1, most).round().astype(int)
    return {
        "false_positive_rate": _rounded(false_positives[places]),
        "true_positive_rate": _rounded(true_positives[places]),
    }


def _calibration(is_it: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float]]:
    """As scikit-learn's ``calibration_curve`` has it, the import of which takes as long as a small training."""
    edges = np.linspace(0, 1, _PROBABILITY_BINS + 1)
    places = np.searchsorted(edges[1:-1], probabilities)
    rows = np.bincount(places, minlength=_PROBABILITY_BINS)
    is_there = rows > 0
    means = [
        np.bincount(places, weights=values, minlength=_PROBABILITY_BINS)[is_there] / rows[is_there]
        for values in (probabilities, is_it)
    ]
    return {"predicted": _rounded(means[0]), "observed": _rounded(means[1]), "rows": rows[is_there].tolist()}


def _bounded(found: Evaluation) -> Evaluation:
    """``found`` without its largest parts, where a record has no room for them."""
    while len(msgspec.json.encode(found)) > profiles.LARGEST:
        parts = [name for name in found.__struct_fields__ if name != "rows"]
        largest = max(parts, key=lambda name: len(msgspec.json.encode(getattr(found, name))))
        found = msgspec.structs.replace(found, **{largest: None})
    return found


def _finite(values: np.ndarray) -> np.ndarray | None:
    """``values`` as numbers; None: one of them is none that counts."""
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError):
        return None
    return numbers if (np.abs(numbers) <= _LARGEST).all() else None  # which does not hold of NaN


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{one:.6g}") for one in values.tolist() if math.isfinite(one)]
