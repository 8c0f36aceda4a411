"""A table to try Bulkhead with, beside the built-in sample."""

from __future__ import annotations


def diabetes_csv() -> str:
    """Scikit-learn's diabetes table in its original units: 442 rows, 10 features, ``target``.

    Source: Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression", 2004.
    """
    from sklearn.datasets import load_diabetes

    return str(load_diabetes(as_frame=True, scaled=False).frame.to_csv(index=False))
