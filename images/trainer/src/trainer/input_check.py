"""check_input: read a table as a training would, from its beginning to its end, and say what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead import formatting
from bulkhead.errors import Refused, one_line
from bulkhead.uploads import MOST_COLUMNS, CheckAnswer, FoundColumn, FoundTable
from tabular import sample, tables

if TYPE_CHECKING:
    from pathlib import Path

_MOST_SHOWN = 20


def found_in(source: str, inputs: Path) -> FoundTable:
    """What is in the table that ``source`` names below ``inputs``; every cell of every column has been read.

    Raises:
        Refused: it is no table that a training could begin with.
    """
    table = tables.read_source(source, inputs, sample.with_target)
    table.check_separator()
    columns = table.inferred(table.names[:MOST_COLUMNS], reads_all=True)
    data = table.data
    return FoundTable(
        rows=data.rows,
        sha256=data.sha256,
        columns=[
            FoundColumn(name, column.kind, column.missing if column.is_feature else None)
            for name, column in columns.items()
        ],
        columns_total=len(table.names),
    )


def answer(source: str, inputs: Path) -> CheckAnswer:
    """As :func:`found_in`; a refusal is an answer, too."""
    try:
        return CheckAnswer(table=found_in(source, inputs))
    except Refused as error:
        return CheckAnswer(refused=one_line(str(error)))


def in_words(source: str, found: FoundTable) -> str:
    """``found``, for people: a line, and one for each of the first columns."""
    size = f"{formatting.count(found.rows, 'row')}, {formatting.count(found.columns_total, 'column')}"
    lines = [f"{one_line(source, 200)}: {size}, sha256 {found.sha256}"]
    shown = found.columns[:_MOST_SHOWN]
    for column in shown:
        missing = ", with empty cells" if column.missing else ""
        lines.append(f"  {one_line(column.name, 60)}: {column.kind}{missing}")
    more = found.columns_total - len(shown)
    return "\n".join(lines + [f"  and {more:,} more"] * (more > 0))
