"""Tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def shown(text: str) -> str:
    """``text`` without control characters: a record can be edited by hand, and none may reach the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def number(value: object) -> str:
    """A measure in four digits; ``-`` for what is none (a record can be edited by hand)."""
    return f"{value:.4g}" if isinstance(value, float) else "-"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """``rows`` as lines with aligned columns."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
