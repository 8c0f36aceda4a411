"""What every figure must be, whatever its record holds."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models_page.plots.figure import Figure

LARGEST = 300_000
"""Bytes of one drawing."""
LONGEST = 400
"""Characters of a name that had to be spelled out."""


def assert_sound(drawn: Figure) -> None:
    """It has a sentence, a table, and marks within its axes; all numbers are finite, all texts one printable line."""
    from models_page.plots import figure

    drawing = drawn.drawing
    assert len(json.dumps(drawing, allow_nan=False)) < LARGEST
    for number in numbers_in(drawing):
        assert math.isfinite(number)
        assert abs(number) <= 1.2 * figure.BEYOND  # an axis has a margin
    cells = [cell if isinstance(cell, str) else cell.text for row in drawn.rows for cell in row]
    assert drawn.title.strip()
    assert drawn.summary.strip()
    for text in [drawn.title, *drawn.series, *drawn.header, *cells, *texts_in(drawing)]:
        assert text.isprintable(), ascii(text)
        assert len(text) < LONGEST
    assert drawn.summary.isprintable()
    assert len(drawn.summary) < 6 * LONGEST
    assert drawn.header or drawn.rows or not drawn.marks
    assert not drawn.header or {len(row) for row in drawn.rows} <= {len(drawn.header)}
    assert len(drawn.rows) <= 200
    assert drawn.more >= 0
    for mark in drawing["marks"]:
        assert mark.get("series", 0) < max(1, len(drawn.series))
        for x, ys in coordinates(mark):
            assert is_within(x, drawing["across"]), (mark["mark"], x)
            assert all(is_within(y, drawing["up"]) for y in ys), (mark["mark"], ys)
    for axis in (drawing["across"], drawing["up"]):
        if axis and axis["domain"]:
            assert axis["domain"][0] < axis["domain"][1]


def coordinates(mark: dict[str, Any]) -> Iterator[tuple[float | None, list[float]]]:
    """Where the points of ``mark`` are."""
    match mark["mark"]:
        case "line" | "dots":
            yield from ((point[0], [point[1]]) for point in mark["points"])
        case "band":
            yield from ((point[0], [*point[1:3]]) for point in mark["points"])
        case "bars":
            yield from ((edge, []) for bar in mark["bars"] for edge in bar[:2])
        case "rule":
            yield (None, [mark["value"]]) if mark["name"] else (mark["value"], [])


def is_within(value: float | None, axis: dict[str, Any] | None) -> bool:
    """Whether ``value`` is where ``axis`` is; one without ends goes wherever its values are."""
    return not axis or not axis["domain"] or value is None or axis["domain"][0] <= value <= axis["domain"][1]


def numbers_in(value: object) -> Iterator[float]:
    """Every number in it."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from numbers_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from numbers_in(member)


def texts_in(value: object) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from texts_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member)
