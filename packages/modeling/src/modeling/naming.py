"""What people call an estimator."""

from __future__ import annotations

from typing import Any


def name_of(estimator: Any) -> str:
    """Its class; of a pipeline, that of what it ends in."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__
