"""Metrics over time as SVG, made here: no script draws, and no library is shipped (docs/decisions/0012).

However many models there are, the picture has as many columns as a reader can tell apart. A column shows the
range of what was published in its time, and the median.
"""

from __future__ import annotations

import statistics
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from bulkhead import formatting
from bulkhead.errors import one_line
from bulkhead.model_name import named
from bulkhead.registry.metrics import goals_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.index.state_reader import ModelSummary

WIDTH, HEIGHT = 960, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 10, 24
COLUMN = 4
_COLUMNS = (WIDTH - LEFT - RIGHT) // COLUMN
_FEW = 120
"""Up to so many models each has a dot of its own."""
_TICKS = 4
_METRICS = 2
"""Of each model, the leading one first."""
_MOST_NAMES = 12
_LONGEST_NAME = 40
_ENOUGH = 50
"""Models from which on one far-out value no longer sets the scale."""
BEYOND = 1e15
"""Where coordinates would lose their digits."""


class Dot(msgspec.Struct, frozen=True):
    """One model."""

    x: float
    y: float
    number: int
    title: str


class Series(msgspec.Struct, frozen=True):
    """One environment."""

    environment: str
    line: str
    """The path of the medians."""
    band: str
    """The path around smallest and greatest."""
    dots: list[Dot]


class Column(msgspec.Struct, frozen=True):
    """A stripe of the picture that tells what is in it."""

    x: float
    width: float
    title: str


class Tick(msgspec.Struct, frozen=True):
    """A mark on an axis."""

    at: float
    text: str


class Chart(msgspec.Struct, frozen=True):
    """One metric of one model."""

    name: str
    """Of which model."""
    metric: str
    series: list[Series]
    columns: list[Column]
    across: list[Tick]
    up: list[Tick]
    summary: str
    """The picture in a sentence."""


def charts(points: Sequence[ModelSummary], names: Sequence[str], environments: Sequence[str]) -> list[Chart]:
    """Of each of ``names`` the leading metric of its newest version, and the next one, where any version has it."""
    own: dict[str, list[ModelSummary]] = {name: [] for name in names[:_MOST_NAMES]}
    for point in points:
        if point.name in own:
            own[point.name].append(point)
    drawn = [
        chart(found, metric, environments)
        for found in own.values()
        if found
        for metric in islice(goals_of(found[-1]), _METRICS)
    ]
    return [one for one in drawn if one is not None]


def chart(points: Sequence[ModelSummary], metric: str, environments: Sequence[str]) -> Chart | None:
    """The picture of ``metric`` of one model, a series for each of ``environments``; None: no version has it."""
    measured = [(point, value) for point in points if (value := point.metrics.get(metric)) is not None]
    if not measured:
        return None
    metric = one_line(metric, _LONGEST_NAME)
    first = min(point.time for point, _ in measured)
    last = max(point.time for point, _ in measured)
    low, high = span([value for _, value in measured])

    def x(time: int) -> float:
        share = (time - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = (min(high, max(low, value)) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    few = len(measured) <= _FEW
    buckets: dict[int, dict[str, list[float]]] = {}
    series = []
    for environment in environments:
        own = [(point, value) for point, value in measured if point.environment == environment]
        if not own:
            continue
        name = one_line(environment, _LONGEST_NAME)
        columns: dict[int, list[float]] = {}
        for point, value in own:
            columns.setdefault(min(_COLUMNS - 1, int((x(point.time) - LEFT) / COLUMN)), []).append(value)
        for column, values in columns.items():
            buckets.setdefault(column, {})[name] = values
        dots = [
            Dot(round(x(point.time), 1), round(y(value), 1), point.number, _title(name, metric, point, value))
            for point, value in own
            if few
        ]
        line = " ".join(f"{dot.x},{dot.y}" for dot in dots) if few else _medians(columns, y)
        series.append(Series(name, line, "" if few else _band(columns, y), dots))
    width = (last - first) / _COLUMNS
    called = one_line(measured[-1][0].name, _LONGEST_NAME)
    return Chart(
        name=called,
        metric=metric,
        series=series,
        columns=[
            Column(LEFT + column * COLUMN, COLUMN, _about(metric, int(first + column * width), values))
            for column, values in sorted(buckets.items())
            if not few
        ],
        across=[Tick(round(x(time), 1), _day(time)) for time in _times(first, last)],
        up=[Tick(round(y(value), 1), formatting.metric(value)) for value in steps(low, high)],
        summary=f"{metric} of {named(f'{len(measured):,} models', called)}, {_day(first)} to {_day(last)}, from"
        f" {formatting.metric(min(value for _, value in measured))}"
        f" to {formatting.metric(max(value for _, value in measured))}",
    )


def span(values: list[float]) -> tuple[float, float]:
    """Where an axis for ``values`` begins and ends; of many values the far-out ones do not count."""
    values = sorted(max(-BEYOND, min(BEYOND, value)) for value in values)
    cut = len(values) // 100 if len(values) >= _ENOUGH else 0
    low, high = values[cut], values[-1 - cut]
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 0.5
    return low - margin, high + margin


def steps(low: float, high: float) -> list[float]:
    """Where an axis has its marks."""
    return [low + (high - low) * (step + 0.5) / _TICKS for step in range(_TICKS)]


def _times(first: int, last: int) -> list[int]:
    if first == last:
        return [first]
    return [first + (last - first) * (2 * step + 1) // (2 * _TICKS) for step in range(_TICKS)]


def _medians(columns: dict[int, list[float]], y: _Scale) -> str:
    return " ".join(
        f"{LEFT + (column + 0.5) * COLUMN:.0f},{y(statistics.median(values)):.1f}"
        for column, values in sorted(columns.items())
    )


def _band(columns: dict[int, list[float]], y: _Scale) -> str:
    ordered = sorted(columns.items())
    upper = [f"{LEFT + (column + 0.5) * COLUMN:.0f},{y(max(values)):.1f}" for column, values in ordered]
    lower = [f"{LEFT + (column + 0.5) * COLUMN:.0f},{y(min(values)):.1f}" for column, values in reversed(ordered)]
    return " ".join(upper + lower)


def _about(metric: str, time: int, by_environment: dict[str, list[float]]) -> str:
    said = [f"from {_day(time)}"]
    for environment, values in by_environment.items():
        middle = f"{metric} {formatting.metric(statistics.median(values))}"
        if len(values) > 1:
            middle += (
                f" (median of {len(values)}, {formatting.metric(min(values))} to {formatting.metric(max(values))})"
            )
        said.append(f"{environment}: {middle}")
    return "\n".join(said)


def _title(environment: str, metric: str, point: ModelSummary, value: float) -> str:
    return f"{environment}, {formatting.moment(point.time)}\n{metric} {formatting.number(value)}"


def _day(time: int) -> str:
    return formatting.moment(time)[: -len(":00")]


if TYPE_CHECKING:
    from collections.abc import Callable

    _Scale = Callable[[float], float]
