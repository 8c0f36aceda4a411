"""Metrics as records have them: values by name, and which way each is better."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from bulkhead.errors import Refused, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.registry.records import Lineage

Goal = Literal["maximize", "minimize"]
GOALS = get_args(Goal)

NOT_METRICS = frozenset({"evaluated_on", "train_rows", "test_rows"})
"""Keys of a record's metrics that say what was measured on."""
_OLDER: dict[str, str] = {"r2": "maximize", "rmse": "minimize", "mae": "minimize"}
"""What records had before they said it."""


def goals_of(record: Lineage) -> Mapping[str, str]:
    """Which way each metric of ``record`` is better, the leading one first."""
    return record.goals or _OLDER


def leading(record: Lineage) -> str:
    """The metric by which ``record`` is judged first."""
    return next(iter(goals_of(record)), "r2")


def value(metrics: Mapping[str, Any], name: str) -> float | None:
    """The metric ``name``; None: it was not measured.

    Raises:
        Refused: it is no number.
    """
    found = metrics.get(name)
    if found is None:
        return None
    if type(found) not in (int, float) or not math.isfinite(found):
        raise Refused(f"its record says {name} is {short(str(found))}, which is no number. Train a new model.")
    return float(found)


def is_worse(goal: str, found: float, other: float, by: float = 0.0) -> bool:
    """Whether ``found`` is worse than ``other`` by more than ``by``."""
    return found > other + by if goal == "minimize" else found < other - by
