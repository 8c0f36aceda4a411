"""A model's own ``plots``: whatever its file gave, as tables, and as pictures where they are lists of one length."""

from __future__ import annotations

from itertools import islice
from typing import Any

from models_page import filters
from models_page.plots import figure
from models_page.plots.figure import Axis, Figure, Line

_PLOTS, _COLUMNS, _CURVES = 12, 12, 4


def figures(plots: dict[str, Any] | None) -> list[Figure]:
    """A figure for each of the first of ``plots``."""
    return [_figure(name, content) for name, content in islice((plots or {}).items(), _PLOTS)]


def _figure(name: str, content: object) -> Figure:
    called = filters.text(name, 60)
    match content:
        case dict() if content and all(isinstance(value, list) for value in content.values()):
            # A list for each column: a curve of each over the first.
            chosen = list(islice(content.items(), _COLUMNS))
            table = figure.columns([key for key, _ in chosen], [values for _, values in chosen])
            drawn = _curves(content)
            summary = f"{called}: {', '.join(table['header'])}, {max(map(len, content.values()))} rows"
            return Figure(title=called, summary=summary, **drawn, **table)
        case dict():
            rows = [[figure.cell(key), *_cells(value)] for key, value in islice(content.items(), figure.MOST_ROWS)]
            count = len(content)
        case list():
            rows = [_cells(content[row]) for row in figure.spread(len(content))]
            count = len(content)
        case _:
            rows, count = [[figure.cell(content)]], 1
    return Figure(title=called, summary=f"{called}, {count} rows", marks=[], rows=rows, more=count - len(rows))


def _curves(content: dict[str, Any]) -> dict[str, Any]:
    (across, first), *others = content.items()
    xs = figure.numbers(first)
    curves = [(name, ys) for name, values in others if (ys := figure.numbers(values)) and len(ys) == len(xs or [])]
    if xs is None or len(xs) < 2 or not others or len(curves) < len(others):  # noqa: PLR2004  # one point is no curve
        return {"marks": []}
    curves = curves[:_CURVES]
    return {
        "marks": [Line(series, list(zip(xs, ys, strict=True))) for series, (_, ys) in enumerate(curves)],
        "series": [figure.name(name) for name, _ in curves],
        "across": Axis(figure.name(across)),
        "up": Axis(figure.name(curves[0][0]) if len(curves) == 1 else ""),
    }


def _cells(value: object) -> list[figure.Cell]:
    """One row: of a list or a mapping its first members, of anything else itself."""
    match value:
        case dict():
            return [f"{figure.name(key)} {figure.cell(member)}" for key, member in islice(value.items(), _COLUMNS)]
        case list():
            return [figure.cell(member) for member in value[:_COLUMNS]]
    return [figure.cell(value)]
