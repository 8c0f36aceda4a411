"""Tables to try Bulkhead with."""

from __future__ import annotations


def sample_csv() -> bytes:
    """The built-in sample: 20 rows, feature1 0..19, feature2 20..39, target 40..59."""
    rows = (f"{i},{i + 20},{i + 40}\n" for i in range(20))
    return ("feature1,feature2,target\n" + "".join(rows)).encode()


def diabetes_csv() -> str:
    """Scikit-learn's diabetes table in its original units: 442 rows, 10 features, ``target``.

    Source: Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression", 2004.
    """
    from sklearn.datasets import load_diabetes

    return str(load_diabetes(as_frame=True, scaled=False).frame.to_csv(index=False))
