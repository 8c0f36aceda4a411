"""What reaches the terminal: tables for people, JSON for programs, and nothing that a terminal would obey.

Records can be edited by hand. Whatever is printed of them has its control characters replaced, or, in
JSON, escaped; those that hide or turn round text (zero width, right-to-left marks) too.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bulkhead import formatting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Style = dict[str, Any]
    """Keywords of ``click.style``."""

_AT_ONCE = 200  # lines in one write: a million records are not a million system calls
_LONGEST = 100

GOOD: Style = {"fg": "green", "bold": True}
BAD: Style = {"fg": "red", "bold": True}
TITLE: Style = {"bold": True}
FADED: Style = {"dim": True}
PLAIN: Style = {}


def shown(text: object, longest: int | None = None) -> str:
    """``text`` with a ``?`` for each character that is not for reading, cut at ``longest``."""
    line = str(text)
    if longest is not None and len(line) > longest:
        line = line[: longest - 1] + "…"
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)


def width(text: str) -> int:
    """How many columns a terminal gives ``text``."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def value(content: object) -> str:
    """Any value of a record, on one line."""
    match content:
        case bool():
            return str(content).lower()
        case None | int() | float():
            return formatting.number(content)
        case str():
            return content
        case list():
            return ", ".join(map(value, content)) or "none"
        case dict():
            return ", ".join(f"{name} {value(held)}" for name, held in content.items()) or "none"
    return str(content)


def squeezed(text: str, longest: int = 44) -> str:
    """``text`` with its middle left out where it is long: an image's tag and id are at its ends."""
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Callable[[int], Style] = lambda _: PLAIN,
    longest: int = _LONGEST,
) -> None:
    """Print ``rows`` in aligned columns; ``style`` gives the look of the row at an index."""
    cells = [[shown(cell, longest) for cell in row] for row in [header, *rows]]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    aligned = (
        "  ".join(cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    lines(click.style(line, **(FADED if i == 0 else style(i - 1))) for i, line in enumerate(aligned))


def pairs(rows: Iterable[tuple[str, str]], indent: str = "") -> None:
    """Print names and what they stand for, aligned."""
    told = [(shown(name, _LONGEST), shown(text, 2000)) for name, text in rows]
    wide = max((width(name) for name, _ in told), default=0)
    lines(f"{indent}{name}{' ' * (wide - width(name))}  {text}".rstrip() for name, text in told)


def say(text: str = "", style: Style = PLAIN, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(click.style(shown(text), **style), err=err)


def lines(texts: Iterable[str]) -> int:
    """Print ``texts``, which are fit to be shown, some hundred in one write; returns how many there were."""
    remaining, count = iter(texts), 0
    while batch := list(itertools.islice(remaining, _AT_ONCE)):
        click.echo("\n".join(batch))
        count += len(batch)
    return count


def as_json(content: object) -> str:
    """``content`` as one line of JSON that a terminal can show too."""
    text = msgspec.json.encode(content).decode()
    # Inside of strings alone can there be such a character, and there an escape means the same.
    return text if text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


_UNPRINTABLE = re.compile(r"[^ -~]")


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    return character if character.isprintable() else json.dumps(character)[1:-1]
