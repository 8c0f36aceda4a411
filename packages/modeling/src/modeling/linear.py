"""Linear regression that does not depend on the columns' units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn import linear_model

if TYPE_CHECKING:
    import pandas as pd

_REFINED = 1_000_000
"""Cells of a table up to which the fit is refined: extended precision takes twice the memory, and no BLAS."""


class LinearRegression(linear_model.LinearRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Scikit-learn's ordinary least squares, fitted so that small units and like columns cost no digits.

    Scikit-learn drops every direction a millionth as long as the longest (its ``tol``), so a column
    in small units would silently count for nothing. Here columns are brought to like magnitude
    first (by powers of two, which is exact), and only what float64 cannot tell from zero is
    dropped. docs/decisions/0003 has the figures.
    """

    def fit(self, X: pd.DataFrame, y: pd.Series[float], sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's
        """Fit.

        Args:
            X: shape (rows, columns), finite numbers.
            y: shape (rows,), likewise.
            sample_weight: not taken: least squares of equal rows.
        """
        if sample_weight is not None:
            raise ValueError("this LinearRegression takes no weights; take sklearn.linear_model's.")
        frame = X.astype(float)
        self.tol: float
        self.coef_: np.ndarray
        self.intercept_: float
        with np.errstate(all="ignore"):  # what overflows gives coefficients that are not finite, which is refused
            span = (frame - frame.mean()).abs().max().to_numpy()
            scale = np.exp2(np.round(np.log2(span, where=span > 0, out=np.zeros_like(span))))
            asked, self.tol = self.tol, np.finfo(float).eps * max(frame.shape)
            try:
                super().fit(frame / scale, y)
            finally:
                self.tol = asked  # a fit changes no parameter
            if self.rank_ == frame.shape[1] < len(frame) and frame.size <= _REFINED:
                self._refine((frame / scale).to_numpy(), np.asarray(y, dtype=float))
            self.coef_ = self.coef_ / scale
        return self

    def _refine(self, columns: np.ndarray, target: np.ndarray) -> None:
        """Correct the coefficients by what extended precision finds of their error (Björck 1967).

        Three rounds give NIST's worst tables 10 digits where the solver alone gives 7.
        """
        design = np.column_stack([np.ones(len(columns)), columns])
        q, r = np.linalg.qr(design)
        wide = design.astype(np.longdouble)
        coefficients = np.concatenate([[self.intercept_], self.coef_]).astype(np.longdouble)
        residual = target - wide @ coefficients
        for _ in range(3):
            error = (target - residual - wide @ coefficients).astype(float)
            slant = np.linalg.solve(r.T, -(wide.T @ residual).astype(float))
            step = q.T @ error - slant
            coefficients = coefficients + np.linalg.solve(r, step)
            residual = residual + (error - q @ step)
        if np.isfinite(coefficients).all():
            self.intercept_, self.coef_ = float(coefficients[0]), coefficients[1:].astype(float)
