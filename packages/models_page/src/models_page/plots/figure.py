"""A picture as the page has it: marks for the script, a sentence for who cannot see it, and a table of its numbers.

Records can be written by anybody: whatever goes into a figure is finite, bounded, and one line of text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bulkhead import formatting
from models_page import filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEYOND = 1e15
"""Where coordinates would lose their digits."""
LONGEST = 40
"""Characters of a name."""
MOST_ROWS = 30
"""Of a table; they are taken evenly from all."""
MOST_NAMES = 30
"""Bars that a reader can tell apart."""
_ENOUGH = 50
"""Values from which on one that is far out no longer sets the scale."""


class Link(msgspec.Struct, frozen=True):
    """A cell that leads to another page."""

    text: str
    href: str
    """Below the page's root."""


Cell = str | Link


class Axis(msgspec.Struct, frozen=True):
    """What is across or up."""

    label: str
    kind: Literal["number", "time"] = "number"
    """A time is in milliseconds since 1970, UTC."""
    domain: tuple[float, float] | None = None


class Line(msgspec.Struct, frozen=True, tag_field="mark", tag="line"):
    """A line through points."""

    series: int
    points: list[tuple[float, float]]


class Band(msgspec.Struct, frozen=True, tag_field="mark", tag="band"):
    """An area between a lower and an upper value."""

    series: int
    points: list[tuple[float, float, float]]


class Dots(msgspec.Struct, frozen=True, tag_field="mark", tag="dots"):
    """Points; each with its words and the page that it leads to, or an empty text."""

    series: int
    points: list[tuple[float, float, str, str]]
    is_small: bool = False


class Bars(msgspec.Struct, frozen=True, tag_field="mark", tag="bars"):
    """Upright bars: from, to, height."""

    series: int
    bars: list[tuple[float, float, float]]


class Groups(msgspec.Struct, frozen=True, tag_field="mark", tag="groups"):
    """Lying bars by name, one of each series."""

    names: list[str]
    values: list[list[float]]
    """By series, one for each name."""


class Matrix(msgspec.Struct, frozen=True, tag_field="mark", tag="matrix"):
    """Counts by two names."""

    names: list[str]
    counts: list[list[float]]


class Diagonal(msgspec.Struct, frozen=True, tag_field="mark", tag="diagonal"):
    """Where both axes are equal."""


class Rule(msgspec.Struct, frozen=True, tag_field="mark", tag="rule"):
    """A limit: a line across."""

    value: float
    name: str


Mark = Line | Band | Dots | Bars | Groups | Matrix | Diagonal | Rule


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One picture."""

    title: str
    summary: str
    """The picture in a sentence."""
    marks: list[Mark]
    """None: there is but the table."""
    across: Axis | None = None
    up: Axis | None = None
    series: list[str] = []
    """Their names, where there are several, or one that says something."""
    header: list[str] = []
    """Empty: its columns have no names."""
    rows: list[list[Cell]]
    more: int = 0
    """Rows that are not shown."""

    @property
    def has_links(self) -> bool:
        """Whether its points lead somewhere."""
        return any(isinstance(mark, Dots) and any(point[3] for point in mark.points) for mark in self.marks)

    @property
    def drawing(self) -> dict[str, Any]:
        """What the script draws."""
        return {
            "across": msgspec.to_builtins(self.across),
            "up": msgspec.to_builtins(self.up),
            "series": self.series,
            "marks": msgspec.to_builtins(self.marks),
        }


def name(text: object) -> str:
    """``text`` as the name of something in a picture."""
    return filters.text(text, LONGEST)


def within(value: float) -> float:
    """``value`` where coordinates keep their digits."""
    return max(-BEYOND, min(BEYOND, float(value)))


def inside(value: float, domain: tuple[float, float]) -> float:
    """``value``, or the end of ``domain`` that it is beyond: nothing is drawn outside of a picture."""
    return max(domain[0], min(domain[1], value))


def is_number(value: object) -> bool:
    """Whether it can be drawn."""
    return type(value) in (int, float) and abs(value) < BEYOND  # type: ignore[arg-type]  # nan and inf are not, either


def numbers(values: object, most: int = 5000) -> list[float] | None:
    """``values`` as numbers that can be drawn; None: they are none, or too many."""
    if not isinstance(values, list) or not 0 < len(values) <= most or not all(map(is_number, values)):
        return None
    return [float(value) for value in values]


def span(values: Iterable[float]) -> tuple[float, float]:
    """Where an axis for ``values`` begins and ends; of many values the far-out ones do not count."""
    ordered = sorted(map(within, values))
    cut = len(ordered) // 100 if len(ordered) >= _ENOUGH else 0
    low, high = ordered[cut], ordered[-1 - cut]
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 0.5
    return low - margin, high + margin


def spread(count: int, most: int = MOST_ROWS) -> list[int]:
    """At most ``most`` of ``count`` places, evenly apart, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def columns(header: Sequence[str], values: Sequence[Sequence[object]]) -> dict[str, Any]:
    """``header``, ``rows`` and ``more`` of a table with these columns."""
    count = max((len(column) for column in values), default=0)
    chosen = spread(count)
    rows = [[cell(column[row]) if row < len(column) else "" for column in values] for row in chosen]
    return {"header": [name(one) for one in header], "rows": rows, "more": count - len(chosen)}


def cell(value: object) -> Cell:
    """``value`` in a table."""
    if isinstance(value, Link):
        return value
    return filters.text(formatting.number(value) if type(value) in (int, float) else value, LONGEST)  # type: ignore[arg-type]
