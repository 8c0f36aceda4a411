"""Linear regression that does not depend on the columns' units, of a table of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy import optimize
from scipy.linalg import lapack
from sklearn import linear_model
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REFINED = 1_000_000
"""Cells of a table up to which the fit is refined: that takes all of it in memory, and extended precision."""
_ILL_CONDITIONED = 100
"""Beyond, a larger table is read once more, for a correction: rounding takes as many digits as this number has, twice
where the residuals are large."""
_ROWS = 1 << 16
_TIMES = 3
"""How many rows for each column are merged at once, at least."""
_BLOCKING = 64
_WIDE = 200
"""Columns from which on BLAS may have all its threads."""


class LinearRegression(linear_model.LinearRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Scikit-learn's ordinary least squares, fitted so that small units and like columns cost no digits.

    Scikit-learn drops every direction a millionth as long as the longest (its ``tol``), so a column
    in small units would silently count for nothing. Here columns are brought to like magnitude
    first (by powers of two, which is exact), and only what float64 cannot tell from zero is
    dropped. docs/decisions/0003 has the figures.

    The table is read in batches, each of which is merged into a triangular factor (QR) of as many rows as there are
    columns: docs/decisions/0027.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's
        """Fit.

        Args:
            X: shape (rows, columns), finite numbers.
            y: shape (rows,), likewise.
            sample_weight: not taken: least squares of equal rows.
        """
        if sample_weight is not None:
            raise ValueError("this LinearRegression takes no weights; take sklearn.linear_model's.")
        frame: Any = X if isinstance(X, pd.DataFrame) else np.asarray(X)
        target = np.asarray(y, dtype=float)
        places = range(0, len(frame), _ROWS)
        return self.fit_batches(lambda: ((frame[i : i + _ROWS], target[i : i + _ROWS]) for i in places))

    def fit_batches(self, batches: Callable[[], Iterable[tuple[Any, Any]]]) -> Self:
        """Fit on a table that is read in batches, in one pass; a small one is read once more.

        Args:
            batches: begins a pass: batches of features, shape (rows, columns), and target, shape (rows,).
        """
        self.coef_: np.ndarray
        self.intercept_: float
        factor = _Factor(with_intercept=self.fit_intercept)
        with np.errstate(all="ignore"):  # what overflows gives coefficients that are not finite
            frame: Any = None
            for frame, target in batches():
                factor.add(np.asarray(frame, dtype=float), np.asarray(target, dtype=float))
            solved = factor.solved(positive=self.positive)
            self.rank_, self.singular_ = solved.rank, solved.singular
            coefficients = solved.coefficients
            is_certain = solved.rank == factor.columns < factor.rows and not self.positive
            if is_certain and self.fit_intercept and factor.rows * factor.columns <= _REFINED:
                coefficients = _refined(*_together(batches()), solved.scale, coefficients)
            elif is_certain and solved.condition > _ILL_CONDITIONED:
                coefficients = self._corrected(batches(), coefficients)
            self.intercept_ = float(coefficients[0]) if self.fit_intercept else 0.0
            self.coef_ = coefficients[1:].astype(float)
        self.n_features_in_ = factor.columns
        names = getattr(frame, "columns", [])
        if len(names) and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        return self

    def _corrected(self, batches: Iterable[tuple[Any, Any]], coefficients: np.ndarray) -> np.ndarray:
        """The coefficients, with what a second fit finds of the first one's residuals, in extended precision."""
        factor = _Factor(with_intercept=self.fit_intercept)
        for frame, target in batches:
            columns = np.asarray(frame, dtype=float)
            wide = columns.astype(np.longdouble) @ coefficients[1:]
            residual = np.asarray(target, dtype=float) - (wide + coefficients[0])
            factor.add(columns, residual.astype(float))
        correction = factor.solved(positive=False).coefficients
        return coefficients + correction if np.isfinite(correction).all() else coefficients


class _Solved:
    """What a factor says: the coefficients, the intercept first, in extended precision; and how sure they are."""

    def __init__(self, coefficients: np.ndarray, scale: np.ndarray, rank: int, singular: np.ndarray) -> None:
        self.coefficients = coefficients
        self.scale = scale
        """Of each column, the power of two by which it was divided."""
        self.rank = rank
        self.singular = singular

    @property
    def condition(self) -> float:
        """How much larger than the data's relative error that of the coefficients may be."""
        return float(self.singular[0] / self.singular[-1]) if len(self.singular) else 1.0


class _Factor:
    """The triangular factor of ``[1, X - shift, y]``, merged batch by batch (Golub and Van Loan, 5.2 and 6.5).

    The shift, the mean of the first batch, keeps what is far from zero from drowning what it differs by.
    """

    def __init__(self, *, with_intercept: bool) -> None:
        self._with_intercept = with_intercept
        # The triangle, where there is one, and the batches that are not merged into it yet.
        self._blocks: list[np.ndarray] = []
        self._threads = ThreadpoolController()  # which looks at all that is loaded, and takes its time for it
        self._shift = np.zeros(0)
        self.rows = 0
        self.columns = 0

    def add(self, columns: np.ndarray, target: np.ndarray) -> None:
        """Merge a batch: shape (rows, columns), and (rows,)."""
        if target.ndim != 1:
            raise ValueError("this LinearRegression predicts one number; take sklearn.linear_model's for more.")
        rows, self.columns = columns.shape
        if not self.rows:
            self._shift = columns.mean(axis=0) if self._with_intercept else np.zeros(self.columns)
        self.rows += rows
        ones = int(self._with_intercept)
        block = np.empty((rows, ones + self.columns + 1), order="F")
        block[:, :ones] = 1
        np.subtract(columns, self._shift, out=block[:, ones:-1])
        block[:, -1] = target
        self._blocks.append(block)
        # The triangle is reduced again each time: worth it for more rows than it has.
        if sum(map(len, self._blocks)) >= _TIMES * block.shape[1]:
            self._merge()

    def _merge(self) -> None:
        stacked = np.concatenate(self._blocks) if len(self._blocks) > 1 else self._blocks[0]
        self._blocks.clear()
        # Of so narrow blocks two threads would wait for each other.
        with self._threads.limit(limits=1 if stacked.shape[1] < _WIDE else None):
            room = _BLOCKING * stacked.shape[1]  # without, LAPACK goes column by column
            factored, _, _, _ = lapack.dgeqrf(np.asfortranarray(stacked), lwork=room, overwrite_a=1)
        self._blocks.append(np.asfortranarray(np.triu(factored[: stacked.shape[1]])))

    def solved(self, *, positive: bool) -> _Solved:
        """The coefficients of least squares; where columns depend on each other, the shortest ones."""
        if not self.rows:
            raise ValueError("there are no rows to fit on.")
        self._merge()
        ones, factor = int(self._with_intercept), self._blocks[0]
        # Of fewer rows than columns it is as short as the table; its last row has but the residual.
        rows = slice(ones, ones + self.columns)
        triangle, side = factor[rows, ones:-1], factor[rows, -1]
        # The spread of each column about its mean, to the next power of two: dividing by that is exact.
        span = np.sqrt((triangle**2).sum(axis=0) / self.rows)
        scale = np.exp2(np.round(np.log2(span, where=span > 0, out=np.zeros_like(span))))
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        scaled = triangle / scale
        if not (np.isfinite(scaled).all() and np.isfinite(side).all()):
            nothing = np.full(1 + self.columns, np.nan)
            return _Solved(nothing, scale, 0, np.zeros(0))
        left, singular, right = np.linalg.svd(scaled, full_matrices=False)
        tiny = np.finfo(float).eps * max(self.rows, self.columns) * singular.max(initial=0.0)
        kept = singular > tiny
        if positive:
            found = optimize.nnls(scaled, side)[0]
        else:
            found = right.T[:, kept] @ ((left.T[kept] @ side) / singular[kept])
        found = found.astype(np.longdouble) / scale
        intercept = np.longdouble(0)
        if ones:
            first = factor[0].astype(np.longdouble)
            intercept = (first[-1] - first[1:-1] @ found) / first[0] - self._shift.astype(np.longdouble) @ found
        return _Solved(np.concatenate([[intercept], found]), scale, int(kept.sum()), singular)


def _together(batches: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    frames, targets = zip(*batches, strict=True)
    columns = np.concatenate([np.asarray(one, dtype=float) for one in frames])
    return columns, np.concatenate([np.asarray(one, dtype=float) for one in targets])


def _refined(columns: np.ndarray, target: np.ndarray, scale: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """The coefficients, corrected by what extended precision finds of their error (Björck 1967).

    Three rounds give NIST's worst tables 10 digits where the solver alone gives 7.
    """
    scaled = columns / scale
    design = np.column_stack([np.ones(len(scaled)), scaled])
    q, r = np.linalg.qr(design)
    wide = design.astype(np.longdouble)
    found = np.concatenate([coefficients[:1], coefficients[1:] * scale])
    residual = target - wide @ found
    for _ in range(3):
        error = (target - residual - wide @ found).astype(float)
        slant = np.linalg.solve(r.T, -(wide.T @ residual).astype(float))
        step = q.T @ error - slant
        found = found + np.linalg.solve(r, step)
        residual = residual + (error - q @ step)
    if not np.isfinite(found).all():
        return coefficients
    return np.concatenate([found[:1], found[1:] / scale])
