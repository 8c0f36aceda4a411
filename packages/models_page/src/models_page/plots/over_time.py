"""Metrics of published versions over time.

However many there are, the picture has as many columns as a reader can tell apart. A column shows the range of what was
published in its time, and the median.
"""

from __future__ import annotations

import statistics
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bulkhead import formatting
from bulkhead.model_name import named
from bulkhead.registry.metrics import goals_of
from models_page.plots import figure
from models_page.plots.figure import Axis, Band, Dots, Figure, Line, Link, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.index.state_reader import ModelSummary

FEW = 120
"""Up to so many models each has a dot of its own."""
COLUMNS = 220
_METRICS = 2
"""Of each model, the leading one first."""
_MOST_NAMES = 12

_Measured = tuple["ModelSummary", float]


def figures(points: Sequence[ModelSummary], names: Sequence[str], environments: Sequence[str]) -> list[Figure]:
    """A picture of the first metrics of each of ``names``, in their order, a series for each environment."""
    own: dict[str, list[ModelSummary]] = {name: [] for name in islice(names, _MOST_NAMES)}
    for point in points:
        if point.name in own:
            own[point.name].append(point)
    drawn = [
        of_metric(found, metric, environments)
        for found in own.values()
        if found
        for metric in islice(goals_of(found[-1]), _METRICS)
    ]
    return [one for one in drawn if one is not None]


def of_metric(points: Sequence[ModelSummary], metric: str, environments: Sequence[str]) -> Figure | None:
    """The picture of ``metric`` of one model; None: no version has it."""
    measured = [(point, value) for point in points if (value := point.metrics.get(metric)) is not None]
    if not measured:
        return None
    called, shown = figure.name(measured[-1][0].name), figure.name(metric)
    low, high = figure.span(value for _, value in measured)
    first, last = (edge(point.time for point, _ in measured) for edge in (min, max))
    present = [one for one in environments if any(point.environment == one for point, _ in measured)]
    marks: list[Mark] = []
    for series, environment in enumerate(present):
        own = [(point, value) for point, value in measured if point.environment == environment]
        marks += (
            _few(series, own, shown, (low, high))
            if len(measured) <= FEW
            else _many(series, own, (first, last), (low, high))
        )
    values = [value for _, value in measured]
    day = formatting.moment
    return Figure(
        title=named(shown, called) if called != shown else shown,
        summary=f"{shown} of {named(f'{len(measured):,} models', called)}, {day(first)} to {day(last)}, from"
        f" {formatting.metric(min(values))} to {formatting.metric(max(values))}",
        across=Axis("UTC", "time"),
        up=Axis(shown, domain=(low, high)),
        series=[figure.name(one) for one in present],
        marks=marks,
        **_table(measured, shown),
    )


def _few(series: int, own: list[_Measured], metric: str, domain: tuple[float, float]) -> list[Mark]:
    at = [(point.time / 1000, figure.inside(value, domain)) for point, value in own]
    dots = [
        (x, y, _title(point, metric, value), path(point.model_filename))
        for (x, y), (point, value) in zip(at, own, strict=True)
    ]
    return [Line(series, at), Dots(series, dots)]


def _many(series: int, own: list[_Measured], times: tuple[int, int], domain: tuple[float, float]) -> list[Mark]:
    first, last = times
    width = max(1, (last - first) / COLUMNS)
    found: dict[int, list[float]] = {}
    for point, value in own:
        found.setdefault(min(COLUMNS - 1, int((point.time - first) / width)), []).append(figure.inside(value, domain))
    middles = [(first + (column + 0.5) * width) / 1000 for column in sorted(found)]
    values = [found[column] for column in sorted(found)]
    return [
        Band(series, [(x, min(some), max(some)) for x, some in zip(middles, values, strict=True)]),
        Line(series, [(x, statistics.median(some)) for x, some in zip(middles, values, strict=True)]),
    ]


def _table(measured: list[_Measured], metric: str) -> dict[str, Any]:
    """The newest first."""
    chosen = [measured[-1 - place] for place in figure.spread(len(measured))]
    rows = [
        [
            formatting.moment(point.time),
            figure.name(point.environment),
            Link(figure.name(point.short_name), path(point.model_filename)),
            formatting.number(value),
        ]
        for point, value in chosen
    ]
    header = ["Published (UTC)", "Environment", "Version", metric]
    return {"header": header, "rows": rows, "more": len(measured) - len(rows)}


def _title(point: ModelSummary, metric: str, value: float) -> str:
    where = f"{figure.name(point.short_name)}, {figure.name(point.environment)}, {formatting.moment(point.time)}"
    return f"{where}: {metric} {formatting.number(value)}"


def path(filename: str) -> str:
    """The page of a model file, below the page's root; empty: it has none."""
    return f"/models/{quote(filename, safe='', errors='replace')}" if len(filename) <= 300 else ""  # noqa: PLR2004
