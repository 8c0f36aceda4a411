"""What reaches the terminal: tables for people, JSON for programs, and nothing that a terminal would obey.

Records can be edited by hand. Whatever is printed of them has its control characters replaced, or, in
JSON, escaped; those that hide or turn round text (zero width, right-to-left marks) too.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bulkhead import formatting
from bulkhead.text_table import fitted, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bulkhead.text_table import Step

    Style = dict[str, Any]
    """Keywords of ``click.style``."""

_AT_ONCE = 200  # lines in one write: a million records are not a million system calls
_LONGEST = 100

WIDE = "bulkhead.wide"
"""In the context of a command that was asked for whole tables."""

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


def room() -> int | None:
    """How many columns there are for a table; None: as many as it needs, for whoever reads is no terminal."""
    context = click.get_current_context(silent=True)
    if (context is not None and context.meta.get(WIDE)) or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def table(  # what a table is
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Callable[[int], Style] = lambda _: PLAIN,
    longest: int = _LONGEST,
    *,
    steps: Sequence[Step] = (),
    wrapped: str | None = None,
) -> None:
    """Print ``rows`` in aligned columns that fit the terminal; ``style`` gives the look of the row at an index.

    ``steps`` and ``wrapped`` say what becomes narrower first, as :func:`bulkhead.text_table.fitted` takes them. What is
    not shown then is told.
    """
    cells = [[shown(cell, longest) for cell in row] for row in [header, *rows]]
    shape = fitted(cells, room(), steps, wrapped)
    lines(
        click.style(line, **(FADED if i == 0 else style(i - 1)))
        for i, row_lines in enumerate(shape.rows)
        for line in row_lines
    )
    missing = [f"{', '.join(shape.left_out)} left out"] if shape.left_out else []
    missing += [f"{', '.join(shape.narrowed)} cut"] if shape.narrowed else []
    if missing:
        say(f"To fit the terminal: {'; '.join(missing)}. All of it: --wide.", FADED, err=True)


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> None:
    """Print ``rows`` in aligned columns without titles; on a terminal each in one line, the last column cut."""
    there = room()
    cells = [[shown(cell, 2000) for cell in row] for row in rows]
    shape = fitted([[""] * len(cells[0]), *cells], None if there is None else there - len(indent))
    lines(indent + line for row_lines in shape.rows[1:] for line in row_lines)


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
