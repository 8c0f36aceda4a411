"""How far inferences were from their models' training, over time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from bulkhead import formatting
from models_page import filters
from models_page.plots import figure
from models_page.plots.figure import Axis, Dots, Figure, Line, Link, Mark, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SERIES = 4
"""Models in environments that one picture tells apart."""


class DriftPoint(NamedTuple):
    """One inference."""

    time: int
    """In microseconds since 1970."""
    psi: float
    """The greatest of its columns and predictions."""
    column: str
    """Which has it."""
    href: str
    """Its page, below the root."""
    model: str
    """The file that predicted."""


def figure_of(points: Mapping[str, Sequence[DriftPoint]], limit: float | None) -> Figure | None:
    """The picture of ``points``, by what they are of, each oldest first; None: there are none.

    Args:
        points: by a model in an environment; the first four are drawn.
        limit: that of the newest inference; None: there is none.
    """
    known = {figure.name(of): [one for one in own if _is_psi(one.psi)] for of, own in points.items()}
    known = dict(islice(((of, own) for of, own in known.items() if own), _SERIES))
    if not known:
        return None
    every = sorted((one for own in known.values() for one in own), key=lambda one: one.time)
    shown = [every[-1 - place] for place in figure.spread(len(every))]
    marks: list[Mark] = []
    for series, own in enumerate(known.values()):
        at = [(one.time / 1000, one.psi) for one in own]
        marks.append(Line(series, at))
        marks.append(Dots(series, [(*place, _title(one), one.href) for place, one in zip(at, own, strict=True)]))
    bounded = limit if limit is not None and _is_psi(limit) else None
    greatest = max([one.psi for one in every] + [bounded or 0.0])
    return Figure(
        title="Drift",
        summary=f"The greatest population stability index of each of {len(every)} inferences of {', '.join(known)}; of"
        f" the newest {filters.psi(every[-1].psi)} ({figure.name(every[-1].column)})",
        across=Axis("UTC", "time"),
        up=Axis("PSI", domain=(0, greatest * 1.08 or 1)),
        series=list(known),
        marks=[*marks, *([] if bounded is None else [Rule(bounded, "limit")])],
        header=["Time (UTC)", "Greatest PSI", "Column", "Version"],
        rows=[
            [
                Link(formatting.moment(one.time), one.href),
                filters.psi(one.psi),
                figure.name(one.column),
                figure.name(one.model),
            ]
            for one in shown
        ],
        more=len(every) - len(shown),
    )


def _is_psi(value: object) -> bool:
    return figure.is_number(value) and value >= 0  # type: ignore[operator]  # it is a number


def _title(one: DriftPoint) -> str:
    return f"{formatting.moment(one.time)}: {figure.name(one.column)} {filters.psi(one.psi)}"
