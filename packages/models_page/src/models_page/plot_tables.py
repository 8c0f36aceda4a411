"""What a model's ``plots`` hold as tables: numbers that anybody may have written, so what is shown is bounded."""

from __future__ import annotations

from itertools import islice
from typing import Any

import msgspec

from models_page import filters
from models_page.curves import curve
from models_page.plot import Chart  # msgspec reads the annotations

_PLOTS, _ROWS, _COLUMNS = 12, 30, 12


class PlotTable(msgspec.Struct, frozen=True):
    """A plot's numbers, as text."""

    name: str
    header: list[str]
    """Empty: its columns have no names."""
    rows: list[list[str]]
    more: int
    """Rows that are not shown."""
    curve: Chart | None = None
    """Its picture, where it is lists of one length."""


def tables(plots: dict[str, Any] | None) -> list[PlotTable]:
    """A table for each of the first of ``plots``."""
    return [_table(name, content) for name, content in islice((plots or {}).items(), _PLOTS)]


def _table(name: str, content: object) -> PlotTable:
    header: list[str] = []
    match content:
        case dict() if content and all(isinstance(value, list) for value in content.values()):
            # A list for each column: a curve.
            columns = list(islice(content.items(), _COLUMNS))
            header = [_text(column) for column, _ in columns]
            count = max(len(values) for _, values in columns)
            rows = [
                [_text(values[row]) if row < len(values) else "" for _, values in columns]
                for row in _spread(count, _ROWS)
            ]
        case dict():
            count = len(content)
            rows = [[_text(key), *_cells(value)] for key, value in islice(content.items(), _ROWS)]
        case list():
            count = len(content)
            rows = [_cells(content[row]) for row in _spread(count, _ROWS)]
        case _:
            count, rows = 1, [[_text(content)]]
    return PlotTable(filters.text(name, 60), header, rows, count - len(rows), curve(name, content))


def _cells(value: object) -> list[str]:
    """One row: of a list or a mapping its first members, of anything else itself."""
    match value:
        case dict():
            return [f"{_text(key)} {_text(member)}" for key, member in islice(value.items(), _COLUMNS)]
        case list():
            return [_text(member) for member in value[:_COLUMNS]]
    return [_text(value)]


def _text(value: object) -> str:
    shown = filters.figure(value)
    return filters.text(shown, 40)


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` places, evenly apart, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]
