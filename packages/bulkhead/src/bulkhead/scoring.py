"""Metrics as ``project/<name>.py`` declares them: a function, and which way it is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from bulkhead.registry.metrics import GOALS, Goal  # msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Callable

Response = Literal["predict", "predict_proba"]
RESPONSES = get_args(Response)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric.

    The function is called as ``function(truth, response)``, both of the held-out rows. A class is its place among the
    model's classes there, so that of a binary classifier 1 is the positive one and all of scikit-learn's metrics apply.
    """

    function: Any
    goal: Goal
    response: Response = "predict"
    """What the function measures: predictions; or probabilities: of a binary classifier those of the positive class,
    shape (rows,), else all, shape (rows, classes)."""

    @property
    def is_sound(self) -> bool:
        """Whether each of them is what it should be: nothing has looked while it was made."""
        return callable(self.function) and self.goal in GOALS and self.response in RESPONSES


def maximize(function: Callable[..., Any], response: Response = "predict") -> Metric:
    """More of it is better."""
    return Metric(function=function, goal="maximize", response=response)


def minimize(function: Callable[..., Any], response: Response = "predict") -> Metric:
    """Less of it is better."""
    return Metric(function=function, goal="minimize", response=response)
