"""A model's own ``plots`` as pictures: lists of one length, the first of them across and the others up."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

from bulkhead import formatting
from bulkhead.errors import one_line
from bulkhead.model_name import DEFAULT_NAME
from models_page import plot
from models_page.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Series, Tick

_CURVES = 4
_LONGEST = 40
_POINTS = (2, 5000)


def curve(name: str, content: Any) -> Chart | None:
    """The picture of a plot; None: it is no such lists, and its table has to do."""
    if not isinstance(content, dict) or len(content) < 2 or not all(map(_is_list, content.values())):  # noqa: PLR2004
        return None
    (across, xs), *others = content.items()
    if not _POINTS[0] <= len(xs) <= _POINTS[1] or any(len(ys) != len(xs) for _, ys in others):
        return None
    drawn = list(islice(others, _CURVES))
    left, right = plot.span([float(value) for value in xs])
    low, high = plot.span([float(value) for _, ys in drawn for value in ys])

    def point(x: float, y: float) -> str:
        from_left = LEFT + (_within(x, left, right) - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        from_top = HEIGHT - BOTTOM - (_within(y, low, high) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{from_left:.1f},{from_top:.1f}"

    series = [Series(one_line(called, _LONGEST), " ".join(map(point, xs, ys)), "", []) for called, ys in drawn]
    names = ", ".join(one.environment for one in series)
    return Chart(
        name=DEFAULT_NAME,
        metric=one_line(name, _LONGEST),
        series=series,
        columns=[],
        across=[
            Tick(round(LEFT + (at - left) / (right - left) * (WIDTH - LEFT - RIGHT), 1), formatting.metric(at))
            for at in plot.steps(left, right)
        ],
        up=[
            Tick(round(HEIGHT - BOTTOM - (at - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1), formatting.metric(at))
            for at in plot.steps(low, high)
        ],
        summary=f"{names} by {one_line(across, _LONGEST)}, {len(xs)} points; the table below has them",
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(one) in (int, float) and abs(one) < plot.BEYOND and math.isfinite(one) for one in value
    )


def _within(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
