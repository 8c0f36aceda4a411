"""How good a fitted model is on rows that it has not seen, and what it looks at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from bulkhead import project_models
from bulkhead.errors import NotGoodEnough, Refused, short
from bulkhead.registry.lineage import MOST_INLINE
from bulkhead.scoring import Metric, maximize, minimize
from modeling.plain import numbers_by_name, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from modeling.definition import Definition
    from modeling.evaluating import Observed
    from modeling.training_rows import Rows

LARGEST_PLOTS = 64 << 10
"""Bytes of a record that its plots may take."""
_MOST_EXPLAINED = 100
"""Columns; with more, shuffling each of them would take longer than the fit."""
_EXPLAINED_ROWS = 2000
_SHUFFLES = 3
MOST_SHOWN = 100_000
"""Held-out rows that a model's own ``explain`` and ``plots`` get, in memory."""


def r2(truth: np.ndarray, predicted: np.ndarray) -> float | None:
    """The coefficient of determination; None below two rows, where there is none."""
    return float(r2_score(truth, predicted)) if len(truth) > 1 else None


def roc_auc(truth: np.ndarray, probabilities: np.ndarray) -> float | None:
    """The area under the ROC curve; None where the rows are of one class."""
    return float(roc_auc_score(truth, probabilities)) if len(np.unique(truth)) > 1 else None


def f1_macro(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The mean of the classes' F1."""
    return float(f1_score(truth, predicted, average="macro"))


def cross_entropy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean negative log-likelihood, in nats."""
    classes = 2 if probabilities.ndim == 1 else probabilities.shape[1]
    return float(log_loss(truth, probabilities, labels=range(classes)))


METRICS: Mapping[str, Mapping[str, Metric]] = {
    "regression": {
        "r2": maximize(r2),
        "rmse": minimize(root_mean_squared_error),
        "mae": minimize(mean_absolute_error),
    },
    "binary": {
        "roc_auc": maximize(roc_auc, response="predict_proba"),
        "accuracy": maximize(accuracy_score),
        "log_loss": minimize(cross_entropy, response="predict_proba"),
    },
    "multiclass": {
        "accuracy": maximize(accuracy_score),
        "f1_macro": maximize(f1_macro),
        "log_loss": minimize(cross_entropy, response="predict_proba"),
    },
}
"""By problem, the metrics of a model that declares none."""


class RegressionSums:
    """The metrics of a regression as sums over its rows: memory does not grow with them.

    The truth's spread is put together as Chan, Golub and LeVeque (1983) do: a mean far from zero costs no digits.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._mean = self._spread = self._squares = self._distances = 0.0

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Some rows: what is true of them, and what was predicted, shape (rows,) each."""
        with np.errstate(all="ignore"):  # what is not finite is refused
            error = truth - predicted
            # Sums of NumPy's own: a product of so few numbers is not worth BLAS's threads.
            self._squares += float(np.square(error).sum())
            self._distances += float(np.abs(error).sum())
            mean = float(truth.mean())
            apart = truth - mean
            together = self._rows + len(truth)
            shift = mean - self._mean
            self._spread += float(np.square(apart).sum()) + shift * shift * self._rows * len(truth) / together
            self._mean += shift * len(truth) / together
            self._rows = together

    def metrics(self) -> dict[str, float | None]:
        """``r2``, as scikit-learn's ``r2_score`` has it, and None below two rows; ``rmse``; ``mae``."""
        unexplained = self._squares / self._spread if self._spread else float(self._squares > 0)
        return {
            "r2": 1 - unexplained if self._rows > 1 else None,
            "rmse": math.sqrt(self._squares / self._rows),
            "mae": self._distances / self._rows,
        }


class Measured:
    """The metrics of one model, ready to be measured.

    Args:
        definition: the model.
        problem: what it is.
        classes: of a classifier, its classes as the estimator has them, in the record's order.
        with_probabilities: whether it gives them; where not, no metric of theirs is measured that nobody declared.
    """

    def __init__(
        self, definition: Definition, problem: str, classes: list[Any], *, with_probabilities: bool = True
    ) -> None:
        self._definition = definition
        self._classes = classes
        self._problem = problem
        self.metrics = definition.metrics or {
            name: metric
            for name, metric in METRICS[problem].items()
            if with_probabilities or metric.response == "predict"
        }

    @property
    def goals(self) -> dict[str, str]:
        """Which way each is better, the leading one first."""
        return {name: metric.goal for name, metric in self.metrics.items()}

    @property
    def has_own_explanation(self) -> bool:
        """Whether the model's file says itself what the model looks at."""
        return self._definition.has_explain

    def measure(self, estimator: Any, rows: Rows, observed: Observed | None = None) -> dict[str, float | None]:
        """Each metric of ``estimator`` on ``rows``.

        The metrics of a regression that declares none are sums, which take no memory; others get all rows' truth and
        response at once.

        Args:
            estimator: fitted.
            rows: those that it has not seen.
            observed: gets some of them, with what was predicted.

        Raises:
            NotGoodEnough: one is not finite.
            Refused: one fails, or gives no number.
        """
        self._check_responses(estimator)
        if self._definition.metrics is None and self._problem == "regression":
            found = self._summed(estimator, rows, observed)
        else:
            found = self._collected(estimator, rows, observed)
        bad = [name for name, value in found.items() if value is not None and not math.isfinite(value)]
        if bad:
            raise NotGoodEnough(
                f"the metric {bad[0]} is {found[bad[0]]}, which is not finite. Choose larger units for large columns,"
                f" or fix METRICS in {self._definition.file}.",
                {name: None if name in bad else value for name, value in found.items()},
            )
        return found

    def _check_responses(self, estimator: Any) -> None:
        if self._definition.metrics is None or hasattr(estimator, "predict_proba"):
            return
        for name, metric in self.metrics.items():
            if metric.response == "predict_proba":
                raise Refused(
                    f"{self._definition.file}: the metric {name} needs probabilities, and"
                    f" {type(estimator).__name__} gives none. Take another metric or estimator."
                )

    def observe(self, estimator: Any, rows: Rows, observed: Observed) -> None:
        """Give ``observed`` some of ``rows``, with what ``estimator`` predicts of them."""
        for frame, target in rows:
            self._show(observed, estimator, frame, self._places(target.to_numpy()), {})

    def _show(
        self, observed: Observed, estimator: Any, frame: pd.DataFrame, truth: np.ndarray, known: dict[str, np.ndarray]
    ) -> None:
        def response(kind: str, mask: np.ndarray) -> np.ndarray | None:
            if kind in known:
                found: np.ndarray = known[kind][mask]
                return found
            if kind == "predict_proba" and not hasattr(estimator, "predict_proba"):
                return None
            return self._response(estimator, kind, frame if mask.all() else frame[mask])

        observed.add(truth, response)

    def _summed(self, estimator: Any, rows: Rows, observed: Observed | None) -> dict[str, float | None]:
        sums = RegressionSums()
        for frame, target in rows:
            truth, predicted = target.to_numpy(), self._numbers(estimator, frame)
            sums.add(truth, predicted)
            if observed is not None:
                self._show(observed, estimator, frame, truth, {"predict": predicted})
        return {name: sums.metrics()[name] for name in self.metrics}

    def _numbers(self, estimator: Any, frame: pd.DataFrame) -> np.ndarray:
        """The predictions of a regressor, which are finite."""
        given = self._response(estimator, "predict", frame)
        called = f"{self._definition.file}: predict of {type(estimator).__name__} gives"
        try:
            numbers = given.astype(float)
        except (TypeError, ValueError):
            raise Refused(
                f"{called} {short(repr(given.tolist()[0]))} for a held-out row, and not a number. Return a regressor"
                " from build."
            ) from None
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            raise NotGoodEnough(
                f"{called} {numbers[bad[0]]} for a held-out row. Choose larger units for large columns, or fix the"
                " estimator.",
                dict.fromkeys(self.metrics),
            )
        return numbers

    def _collected(self, estimator: Any, rows: Rows, observed: Observed | None) -> dict[str, float | None]:
        asked = {one.response for one in self.metrics.values()}
        if not hasattr(estimator, "predict_proba"):
            asked.discard("predict_proba")  # nobody asked for it
        truths: list[np.ndarray] = []
        parts: dict[str, list[np.ndarray]] = {response: [] for response in asked}
        for frame, target in rows:
            truths.append(self._places(target.to_numpy()))
            given = {response: self._response(estimator, response, frame) for response in parts}
            for response, answers in parts.items():
                answers.append(given[response])
            if observed is not None:
                self._show(observed, estimator, frame, truths[-1], given)
        truth = np.concatenate(truths)
        responses = {response: np.concatenate(answers) for response, answers in parts.items()}
        return {
            name: self._value(name, metric, truth, responses[metric.response]) if metric.response in responses else None
            for name, metric in self.metrics.items()
        }

    def importances(self, estimator: Any, rows: Rows, seed: int) -> dict[str, float] | None:
        """By column, how much the leading metric loses where its values are shuffled; None: there are too many."""
        if self._definition.has_explain:
            own = self._definition.explain(estimator, *rows.head(MOST_SHOWN))
            if own is not None:
                return numbers_by_name(own, f"{self._definition.file}: explain")
        frame, target = rows.head(_EXPLAINED_ROWS)
        if frame.shape[1] > _MOST_EXPLAINED or len(frame) < 2:  # noqa: PLR2004  # one row cannot be shuffled
            return None
        name, metric = next(iter(self.metrics.items()))
        if metric.response == "predict_proba" and not hasattr(estimator, "predict_proba"):
            return None
        # Which imports more than the rest of a training: a linear model has coefficients instead.
        from sklearn.inspection import permutation_importance

        truth = self._places(target.to_numpy())
        sign = -1 if metric.goal == "minimize" else 1

        def score(fitted: Any, shuffled: pd.DataFrame, _target: Any) -> float:
            value = self._value(name, metric, truth, self._response(fitted, metric.response, shuffled))
            return math.nan if value is None else sign * value

        found = permutation_importance(
            estimator, frame, target, scoring=score, n_repeats=_SHUFFLES, random_state=seed
        ).importances_mean
        if not np.isfinite(found).all():
            return None
        return dict(zip(frame.columns, found.tolist(), strict=True))

    def plots(self, estimator: Any, rows: Rows) -> dict[str, Any] | None:
        """What the model's own ``plots`` gives of ``rows``, or of the first of them, as JSON has it.

        Raises:
            Refused: it is no dict of numbers, or too large.
        """
        if not self._definition.has_plots:
            return None
        given = self._definition.plots(estimator, *rows.head(MOST_SHOWN))
        if given is None:
            return None
        called = f"{self._definition.file}: plots"
        if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
            raise Refused(f"{called} returned {short(repr(given))}. Return a dict of numbers by name.")
        found = {plain(name, called): plain(value, f"{called}: {name}") for name, value in given.items()}
        if (size := len(msgspec.json.encode(found))) > LARGEST_PLOTS:
            raise Refused(f"{called} has {size} bytes, and {LARGEST_PLOTS} are kept. Return fewer points.")
        return found

    def _places(self, values: np.ndarray) -> np.ndarray:
        """Classes by their place; numbers as they are."""
        if self._problem == "regression":
            return values
        places = {one: place for place, one in enumerate(self._classes)}
        return np.array([places[one] for one in values.tolist()])

    def _response(self, estimator: Any, response: str, frame: pd.DataFrame) -> np.ndarray:
        try:
            with np.errstate(all="ignore"):  # what is not finite is refused
                if response == "predict":
                    predicted = np.asarray(estimator.predict(frame))
                    if predicted.shape != (len(frame),):
                        predicted = predicted.reshape(len(frame))
                    return self._places(predicted)
                probabilities = np.asarray(estimator.predict_proba(frame), dtype=float)
                order = list(estimator.classes_)
                ordered: np.ndarray = probabilities[:, [order.index(one) for one in self._classes]]
        except (MemoryError, Refused):
            raise
        except Exception as error:
            raise self._definition.code_failed(error, f"{response} of {type(estimator).__name__}") from error
        return ordered[:, 1] if self._problem == "binary" else ordered

    def _value(self, name: str, metric: Metric, truth: np.ndarray, response: np.ndarray) -> float | None:
        try:
            value = metric.function(truth, response)
        except MemoryError:
            raise
        except Exception as error:
            raise project_models.failed(error, f"{self._definition.file}: the metric {name} fails") from error
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise Refused(f"{self._definition.file}: the metric {name} gave {short(repr(value))}. Return one number.")
        try:
            return float(value)
        except OverflowError:  # a whole number of hundreds of digits
            return math.inf


def coefficients(estimator: Any, names: list[str]) -> tuple[float, dict[str, float]] | None:
    """Intercept and coefficients of a linear model of one output; None: it is none, or has too many."""
    weights, intercept = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", None)
    if not isinstance(weights, np.ndarray) or intercept is None or weights.size != len(names):
        return None
    if len(names) > MOST_INLINE or np.size(intercept) != 1:
        return None
    return float(np.ravel(intercept)[0]), dict(zip(names, np.ravel(weights).astype(float).tolist(), strict=True))
