"""Rows of text in aligned columns, made to fit a terminal: for every table that people see.

Needs the standard library alone: ``just hosts`` prints its table on a host that has nothing else.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = "  "
LEAST = 6
"""Columns of a terminal that any cell keeps."""
_MODEL_FILE = re.compile(r"model_\d{8}T\d{12}Z_([0-9a-f]{8,})\.joblib")

Step = tuple[str, int]
"""A column's title, and how narrow it may become; 0: it is left out."""


@dataclass(frozen=True)
class Fitted:
    """A table as it is shown: for each row its lines, and what is not shown."""

    rows: list[list[str]]
    left_out: list[str]
    """Titles of the columns that are not there."""
    narrowed: list[str]
    """Titles of the columns of which something is not there."""


def width(text: str) -> int:
    """How many columns a terminal gives ``text``."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    return 0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(
    cells: Sequence[Sequence[str]], room: int | None, steps: Sequence[Step] = (), wrapped: str | None = None
) -> Fitted:
    """``cells``, titles first, in at most ``room`` columns where that can be.

    Args:
        cells: the titles, then the rows.
        room: how wide the terminal is; None: nothing is left out.
        steps: what is done, in this order and as far as it is needed, to make the table narrower. Then whatever is
            widest becomes narrower.
        wrapped: the title of the last column, whose cells go on below instead of being cut.
    """
    titles = list(cells[0])
    whole = [max(map(width, column)) for column in zip(*cells, strict=True)]
    widths = dict(enumerate(whole))
    if room is not None:
        _narrow(titles, widths, room, steps)
    narrowed = [column for column, wide in widths.items() if wide < whole[column]]
    last = len(titles) - 1 if titles[-1] == wrapped and len(titles) - 1 in widths else None
    return Fitted(
        rows=[_lines(row, widths, last) for row in cells],
        left_out=[title for column, title in enumerate(titles) if column not in widths],
        narrowed=[titles[column] for column in narrowed if column != last],
    )


def _narrow(titles: list[str], widths: dict[int, int], room: int, steps: Sequence[Step]) -> None:
    """Make ``widths`` fit ``room``; a column that is left out is in it no more."""
    whole = dict(widths)
    squeezed: list[int] = []
    for title, least in steps:
        if (excess := _total(widths) - room) <= 0:
            break
        column = titles.index(title)
        if column not in widths:
            continue
        if least == 0:
            del widths[column]
        elif widths[column] > least:
            widths[column] = max(least, widths[column] - excess)
            squeezed.append(column)
    while _total(widths) > room and max(widths.values()) > LEAST:
        widest = max(widths, key=lambda column: widths[column])
        widths[widest] -= 1
    # What was made too narrow, because later something else was left out.
    for column in reversed(squeezed):
        if column in widths:
            widths[column] += max(0, min(room - _total(widths), whole[column] - widths[column]))


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _lines(row: Sequence[str], widths: dict[int, int], wrapped: int | None) -> list[str]:
    """The lines of a row: one, but for a cell that goes on below."""
    columns = [
        textwrap.wrap(row[column], wide) or [""] if column == wrapped else [cut(row[column], wide)]
        for column, wide in widths.items()
    ]
    return [
        GAP.join(
            f"{cell}{' ' * (wide - width(cell))}" for cell, wide in zip(line, widths.values(), strict=True)
        ).rstrip()
        for line in zip_longest(*columns, fillvalue="")
    ]


def cut(text: str, wide: int) -> str:
    """``text`` in at most ``wide`` columns, of which one says that something is missing.

    Of a model's file the hash stays, by which it can be named; of words the first; else both ends.
    """
    if width(text) <= wide:
        return text
    if model := _MODEL_FILE.fullmatch(text):
        named = f"…{model[1]}.joblib"
        return named if len(named) <= wide else f"…{model[1][: wide - 2]}…"
    if " " in text:
        return f"{_first(text, wide - 1)}…"
    half = (wide - 1) // 2
    return f"{_first(text, wide - 1 - half)}…{_first(text[::-1], half)[::-1]}"


def _first(text: str, wide: int) -> str:
    """The beginning of ``text``, in at most ``wide`` columns."""
    return "".join(_taken(text, wide))


def _taken(text: str, wide: int) -> Iterator[str]:
    left = wide
    for character in text:
        left -= _width(character)
        if left < 0:
            return
        yield character
