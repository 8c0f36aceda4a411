"""Predictions as CSV: UTF-8, a header, commas, and quotes where a cell needs them."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhead.queries.predictions import Predictions

# At the beginning, and after what ends a cell or a line for a program that separates by semicolons or tabs, whatever
# quotes are around it. The wide forms are those of East Asian keyboards, which spreadsheets take for the same.
_FORMULA = re.compile(r"""(?:^|(?<=[;\t\r\n]))(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])""")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBERS = {int, float, bool, Decimal, type(None)}


def lines(found: Predictions, cell: Callable[[Any], object]) -> Iterator[str]:
    """The header and every row, without the ends of the lines; ``cell`` gives what is written of each cell."""
    # It returns what writing a line returns. Of older Pythons it quotes just those breaks that end its lines.
    line = csv.writer(_Line(), lineterminator="\r\n").writerow
    yield line([cell(name) for name in found.columns])
    for row in found.rows:
        yield line([cell(value) for value in row])


def as_it_is(value: Any) -> object:
    """``value`` itself: for programs."""
    return value


def for_spreadsheets(value: Any) -> object:
    """``value`` with an apostrophe before what a spreadsheet would take for a formula, and compute.

    Numbers are left alone, and text that is a number: neither does anything. Whoever wants each cell as it is has
    ``registry predictions --csv``.
    """
    if type(value) in _NUMBERS:
        return value
    text = str(value)
    if _FORMULA.search(text) is None or _NUMBER.fullmatch(text):
        return text
    return _FORMULA.sub("'", text)


class _Line:
    """A file that hands on what is written to it."""

    @staticmethod
    def write(line: str) -> str:
        return line[:-2]
