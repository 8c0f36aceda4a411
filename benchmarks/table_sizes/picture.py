"""How work and memory grow with the rows, as SVG, made here: two panels, both axes logarithmic.

Work is the processors' seconds: sizes are measured one after another, and other work on the machine comes and goes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.table_sizes.figures import Figure

_WIDTH, _HEIGHT = 960, 380
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 64, 20, 64, 48, 76
_PANEL = (_WIDTH - _LEFT - _RIGHT - _BETWEEN) / 2
# Apart for who sees no colours too: the plain script is dashed. On white and on black, GitHub's two.
_COLOURS = {"training": "#2563eb", "inference": "#d97706"}
_STYLE = """text { font: 13px sans-serif; fill: #888 } .grid { stroke: #888; stroke-opacity: 0.25 }
.line { fill: none; stroke-width: 2 } .plain { stroke-dasharray: 5 4 }"""


class _Line(NamedTuple):
    what: str
    is_plain: bool
    points: list[tuple[float, float]]


class _Axis(NamedTuple):
    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        share = (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return round(self.begin + share * (self.end - self.begin), 1)


def svg(figures: Sequence[Figure]) -> str:
    """The picture of those that are of Parquet tables of numbers."""
    drawn = sorted(
        (figure for figure in figures if figure.case.kind == "Parquet" and figure.case.what in _COLOURS),
        key=lambda figure: figure.case.rows,
    )
    body = [*_legend()]
    for number, (title, unit) in enumerate((("Processors' seconds", "s"), ("Peak memory, MiB", "MiB"))):
        body += _panel(_LEFT + number * (_PANEL + _BETWEEN), title, _lines(drawn, unit))
    inner = "\n".join(body)
    called = "Processors' seconds and peak memory by rows, of the plain script and of the steps"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{called}">\n'
        f"<style>{_STYLE}</style>\n{inner}\n</svg>\n"
    )


def _lines(figures: Sequence[Figure], unit: str) -> list[_Line]:
    lines = []
    for what in _COLOURS:
        own = [figure for figure in figures if figure.case.what == what]
        steps = [(float(one.case.rows), one.processor if unit == "s" else one.mib) for one in own]
        plain = [
            (float(one.case.rows), one.plain.processor if unit == "s" else one.plain.mib)
            for one in own
            if one.plain is not None
        ]
        lines += [_Line(what, is_plain=False, points=steps), _Line(what, is_plain=True, points=plain)]
    return [line for line in lines if line.points]


def _legend() -> list[str]:
    body, x = [], float(_LEFT)
    for what, colour in _COLOURS.items():
        for name in ("steps", "plain script"):
            kind = "line plain" if name != "steps" else "line"
            body.append(f'<path class="{kind}" stroke="{colour}" d="M{x},16h32"/>')
            body.append(f'<text x="{x + 40}" y="20">{what}, {name}</text>')
            x += 190 if name == "steps" else 230
    return body


def _panel(left: float, title: str, lines: Sequence[_Line]) -> list[str]:
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    across = _Axis(min(xs) * 0.8, max(xs) * 1.25, left, left + _PANEL)
    low, high = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys)))
    up = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)
    body = [f'<text x="{left}" y="{_TOP - 14}">{title}</text>']
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = up.at(10.0**power)
        body.append(f'<path class="grid" d="M{left:.1f},{y}h{_PANEL:.1f}"/>')
        body.append(f'<text x="{left - 8:.1f}" y="{y + 4}" text-anchor="end">{10.0**power:,g}</text>')
    for x in sorted(set(xs)):
        at = across.at(x)
        body.append(f'<path class="grid" d="M{at},{_TOP}V{_HEIGHT - _BOTTOM}"/>')
        body.append(f'<text x="{at}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{x / 1e6:g} M</text>')
    body.append(f'<text x="{left + _PANEL / 2:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">rows of ten features</text>')
    for line in lines:
        points = [(across.at(x), up.at(y)) for x, y in line.points]
        path = "M" + "L".join(f"{x},{y}" for x, y in points)
        colour, kind = _COLOURS[line.what], "line plain" if line.is_plain else "line"
        body.append(f'<path class="{kind}" stroke="{colour}" d="{path}"/>')
        body += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in points]
    return body
