"""A model as its file in ``project/`` defines it: what is declared, and each hook with its promises checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier, is_regressor

from bulkhead import project_models
from bulkhead.columns import EVERY_OTHER, Column
from bulkhead.errors import Refused, listed, one_line, short
from bulkhead.prediction import transformed
from bulkhead.prediction.predicting import label
from bulkhead.project_models import parameters_of
from bulkhead.registry.metrics import NOT_METRICS
from bulkhead.scoring import RESPONSES, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from bulkhead.parameters import TrainingParameters

PROBLEMS = ("regression", "binary", "multiclass")
_METRIC_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_SENTENCES = 20
_MOST_PASSES = 1000
_CUT = 0.381966
"""Of the golden ratio, which is as far from every simple fraction as one can be."""


class Definition:
    """The model ``name``; its hooks raise a :class:`~bulkhead.project_models.ProjectError` where its code fails.

    Attributes:
        target: the column to predict, unless a run names another.
        columns: by name, what each is; None: it is inferred from training's table.
        problem: ``regression``, ``binary`` or ``multiclass``; None: it follows from estimator and target.
        positive: of a binary classifier, the class that metrics are of; None: the last one in order.
        metrics: by name, the leading one first; None: those that go with the problem.
        partial_fit: how often the estimator is given all rows, batch by batch; 0: it is fitted on all at once.
    """

    def __init__(self, name: str) -> None:
        """Read the model's file.

        Raises:
            ProjectError: it fails.
            Refused: there is no such model, or what it declares is not what it should be.
        """
        project_models.check_known(name)
        self.name = name
        self.file = f"project/{name}.py"
        self._module = project_models.imported(name)
        self.target = self._declared("TARGET", str, "target")
        self.columns = self._columns()
        self.problem = self._declared("PROBLEM", str, None)
        if self.problem not in (None, *PROBLEMS):
            raise Refused(f"{self.file}: PROBLEM is {short(str(self.problem))}. Make it one of: {', '.join(PROBLEMS)}.")
        positive = getattr(self._module, "POSITIVE", None)
        if not isinstance(positive, str | bool | int | float | None):
            raise Refused(f"{self.file}: POSITIVE is {short(repr(positive))}, and not a class. Name one, as text.")
        self.positive = None if positive is None else label(positive)
        self.metrics = self._metrics()
        self.partial_fit = int(self._declared("PARTIAL_FIT", int, 0))
        if not 0 <= self.partial_fit <= _MOST_PASSES:
            raise Refused(
                f"{self.file}: PARTIAL_FIT is {self.partial_fit}. Make it how often all rows are given to partial_fit,"
                f" 1 to {_MOST_PASSES}, or take it out."
            )
        for hook in ("build", "transform", "check", "check_rows", "plots", "explain"):
            if (value := getattr(self._module, hook, None)) is not None and not callable(value):
                raise Refused(f"{self.file}: {hook} is no function. Make it one, or take it out.")
        if not self._has("build"):
            raise Refused(f"{self.file} has no function build. Add one: def build(parameters), returns an estimator.")

    def build(self, parameters: TrainingParameters) -> Any:
        """The estimator, unfitted."""
        estimator = self._call("build", parameters)
        if not (hasattr(estimator, "fit") and hasattr(estimator, "predict")) or isinstance(estimator, type):
            raise Refused(
                f"{self.file}: build returned {short(repr(estimator))}, and not an estimator."
                " Return an object with fit and predict, as scikit-learn's have."
            )
        try:
            is_either = is_classifier(estimator) or is_regressor(estimator)
        except AttributeError:  # it has not scikit-learn's base class, which answers that
            is_either = False
        if not is_either:
            raise Refused(
                f"{self.file}: build returned {type(estimator).__name__}, which scikit-learn knows as neither"
                " a regressor nor a classifier. Return one of them, or a pipeline that ends in one; a class of your own"
                " extends RegressorMixin or ClassifierMixin, then BaseEstimator."
            )
        return estimator

    def predicts_classes(self) -> bool:
        """Whether its estimator, with the default parameters, is a classifier."""
        return bool(is_classifier(self.build(parameters_of(self.name)())))

    @property
    def checks_whole(self) -> bool:
        """Whether its ``check`` looks at whole tables, which takes them in memory."""
        return self._has("check")

    @property
    def checks_rows(self) -> bool:
        """Whether it has a hook ``check_rows``, which looks at some rows at a time."""
        return self._has("check_rows")

    def check(self, frame: pd.DataFrame, called: str) -> None:
        """Refuse a table that the model's own ``check`` has something to say of."""
        if self._has("check"):
            self._refuse_said("check", frame.copy(deep=False), called)

    def check_rows(self, frame: pd.DataFrame, called: str, rows_before: int) -> None:
        """Refuse some rows of a table that the model's own ``check_rows`` has something to say of.

        Its frame's index is the rows' numbers in the table, from 1.
        """
        if self.checks_rows:
            numbers = range(rows_before + 1, rows_before + len(frame) + 1)
            self._refuse_said("check_rows", frame.set_axis(numbers), called)

    def _refuse_said(self, hook: str, frame: pd.DataFrame, called: str) -> None:
        said = self._call(hook, frame)
        if said is None:
            return
        if isinstance(said, str) or not all(isinstance(one, str) for one in _listed(said)):
            raise Refused(f"{self.file}: {hook} returned {short(repr(said))}. Return a list of sentences.")
        if sentences := [one_line(one, 500) for one in said]:
            more = f" And {len(sentences) - _MOST_SENTENCES} more." if len(sentences) > _MOST_SENTENCES else ""
            raise Refused(f"{called}: {' '.join(sentences[:_MOST_SENTENCES])}{more}")

    @property
    def transform(self) -> Any:
        """The model's own ``transform``; None: it has none."""
        return getattr(self._module, "transform", None)

    def transformed(self, frame: pd.DataFrame, *, may_be_empty: bool, rows_before: int = 0) -> pd.DataFrame:
        """``frame`` as the estimator gets it.

        Args:
            frame: shape (rows, columns), typed as :mod:`bulkhead.columns` says; some rows of a table, or all.
            may_be_empty: whether a column of it may have empty cells; then what comes out may have them too.
            rows_before: how many rows of the table came before these.

        Raises:
            Refused: rows were dropped or added, or the columns are none that a model can take.
        """
        if not self._has("transform"):
            return frame
        with np.errstate(all="ignore"):  # what is not finite is refused below
            # Shallow: pandas copies what is written to, and the frame may be most of the memory that there is.
            result = self._call("transform", frame.copy(deep=False))
        return transformed.checked(
            result, frame, may_be_empty=may_be_empty, fix=self._fix("transform"), rows_before=rows_before
        )

    def check_by_row(self, frame: pd.DataFrame, *, may_be_empty: bool) -> None:
        """Refuse a ``transform`` that makes something else of a row where other rows are beside it.

        Inference sees other rows than training, and large tables are transformed a batch at a time.

        Args:
            frame: some rows of a table.
            may_be_empty: as in :meth:`transformed`.

        Raises:
            Refused: it makes something else of the last row of ``frame``, or of one of two parts, than of the whole.
        """
        rows = len(frame)
        if not self._has("transform") or rows == 1:
            return
        whole = self.transformed(frame, may_be_empty=may_be_empty)
        # Not in the middle: a table that repeats itself has two halves of one mean. And a row alone, because parts that
        # are large have all words, and the same largest number, as the whole has.
        cut = max(1, int(rows * _CUT))
        for begin, end in ((0, cut), (cut, rows), (rows - 1, rows)):
            part = frame.iloc[begin:end].reset_index(drop=True)
            alone = self.transformed(part, may_be_empty=may_be_empty, rows_before=begin)
            if (name := transformed.difference(whole.iloc[begin:end].reset_index(drop=True), alone)) is not None:
                raise Refused(
                    f"the transformation makes something else of column {name!r} where other rows are beside a row, as"
                    " in an inference. Take what it needs from the row alone, or learn it in an estimator's pipeline."
                    f" {self._fix('transform')}"
                )

    def _fix(self, hook: str) -> str:
        return f"Fix {hook} in {self.file}, then run just build-images."

    def plots(self, estimator: Any, frame: pd.DataFrame, target: Any) -> Any:
        """What the model's own ``plots`` gives of the held-out rows; None: it has none."""
        return self._call("plots", estimator, frame.copy(), target.copy()) if self._has("plots") else None

    def explain(self, estimator: Any, frame: pd.DataFrame, target: Any) -> Any:
        """What the model's own ``explain`` gives of the held-out rows; None: it has none."""
        return self._call("explain", estimator, frame.copy(), target.copy()) if self._has("explain") else None

    @property
    def has_explain(self) -> bool:
        """Whether it has a hook ``explain``."""
        return self._has("explain")

    @property
    def has_plots(self) -> bool:
        """Whether it has a hook ``plots``."""
        return self._has("plots")

    def code_failed(self, error: Exception, doing: str) -> Exception:
        """What to raise where the estimator raised ``error`` while ``doing`` something."""
        return project_models.failed(error, f"{self.file}: {doing} fails")

    def columns_for(self, names: Sequence[str], inferred: Any, target: str) -> dict[str, Column]:
        """What each of the columns ``names`` is; those that nothing is said of are left out.

        Args:
            names: a table's columns, without the target.
            inferred: tells what columns seem to be; asked where the file declares none.
            target: the column to predict, which is none of them.

        Raises:
            Refused: a declared column is not there.
        """
        if self.columns is None:
            found: dict[str, Column] = inferred(names)
            return found
        missing = [name for name in self.columns if name not in set(names) and name not in (EVERY_OTHER, target)]
        if missing:
            raise Refused(
                f"{self.file} declares the columns {listed(missing)}, which the table does not have. It has:"
                f" {listed(list(names))}. Fix COLUMNS, or the table."
            )
        other = self.columns.get(EVERY_OTHER)
        chosen = {name: self.columns.get(name, other) for name in names}
        return {name: column for name, column in chosen.items() if column is not None}

    def _declared(self, name: str, kind: type, default: Any) -> Any:
        value = getattr(self._module, name, default)
        if value is not default and not isinstance(value, kind):
            raise Refused(f"{self.file}: {name} is {short(repr(value))}, and not a {kind.__name__}. Fix it.")
        return value

    def _columns(self) -> Mapping[str, Column] | None:
        columns = getattr(self._module, "COLUMNS", None)
        if columns is None:
            return None
        if not isinstance(columns, dict) or not columns:
            raise Refused(f"{self.file}: COLUMNS is no dict of columns. Write {{'name': number()}}, or leave it out.")
        for name, column in columns.items():
            if not isinstance(name, str) or not isinstance(column, Column):
                raise Refused(
                    f"{self.file}: COLUMNS says of {short(str(name))} that it is {short(repr(column))}."
                    " Use number(), category(), boolean(), date(), text() or identifier() of bulkhead.columns."
                )
        identifiers = [name for name, column in columns.items() if column.kind == "identifier"]
        if len(identifiers) > 1 or EVERY_OTHER in identifiers:
            raise Refused(f"{self.file}: COLUMNS has the identifiers {listed(identifiers)}. Name one column at most.")
        return columns

    def _metrics(self) -> dict[str, Metric] | None:
        metrics = getattr(self._module, "METRICS", None)
        if metrics is None:
            return None
        if not isinstance(metrics, dict) or not metrics:
            raise Refused(f"{self.file}: METRICS is no dict of metrics. Write {{'mae': minimize(function)}}.")
        for name, metric in metrics.items():
            if not isinstance(name, str) or not _METRIC_NAME.fullmatch(name) or name in NOT_METRICS:
                raise Refused(
                    f"{self.file}: METRICS names {short(str(name))}. Use small letters, digits and '_', and none of"
                    f" {', '.join(sorted(NOT_METRICS))}."
                )
            if not isinstance(metric, Metric) or not metric.is_sound:
                raise Refused(
                    f"{self.file}: the metric {name} is {short(repr(metric))}. Use maximize(function) or"
                    f" minimize(function) of bulkhead.scoring; what it measures is {' or '.join(RESPONSES)}."
                )
        return metrics

    def _has(self, hook: str) -> bool:
        return getattr(self._module, hook, None) is not None

    def _call(self, hook: str, *arguments: Any) -> Any:
        try:
            return getattr(self._module, hook)(*arguments)
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            raise project_models.failed(error, f"{hook} fails", self.file) from error


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
