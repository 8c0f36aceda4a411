"""Metrics as records have them: values by name, and which way each is better."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

from bulkhead.errors import Refused, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.registry.lineage import Lineage

Goal = Literal["maximize", "minimize"]
GOALS = get_args(Goal)
MOST_SHOWN = 20
"""Metrics of one record that lists and charts look at; a record can be written by anybody."""

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


def finite(found: object) -> float | None:
    """``found`` where it is a number to be shown; whatever else a record may hold is none."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:
        return None


def measured(record: Lineage, most: int = MOST_SHOWN) -> dict[str, float]:
    """The metrics of ``record`` that its goals name and that are numbers, the leading one first, at most ``most``."""
    found = record.metrics or {}
    named = islice(goals_of(record), MOST_SHOWN)
    numbers = ((name, number) for name in named if (number := finite(found.get(name))) is not None)
    return dict(islice(numbers, most))


def better(left: Lineage, right: Lineage, name: str) -> Literal["left", "right"] | None:
    """Which of two models has the better value of the metric ``name``; None: neither, or nobody can tell."""
    goals = {goals_of(left).get(name), goals_of(right).get(name)}
    one, other = (finite((record.metrics or {}).get(name)) for record in (left, right))
    if goals not in ({"maximize"}, {"minimize"}) or one is None or other is None or one == other:
        return None
    return "right" if is_worse(goals.pop() or "", one, other) else "left"


def is_worse(goal: str, found: float, other: float, by: float = 0.0) -> bool:
    """Whether ``found`` is worse than ``other`` by more than ``by``."""
    return found > other + by if goal == "minimize" else found < other - by
