"""Text of others in Markdown: shown as it is written, and nothing more.

What a requester or a record says comes to a person who decides by it. A link, an image or a row more in the table
would speak in this project's name.
"""

from __future__ import annotations

from bulkhead import markdown
from bulkhead.errors import one_line

_LONGEST = 500
_NOTHING = "-"


def quoted(value: object) -> str:
    """``value`` as one cell of a Markdown table, in which nothing of it means anything.

    It becomes a code span: in one neither HTML nor a link, not even a bare address, is more than its characters.
    Line breaks and control characters, those that turn the direction of writing among them, are spelled out.
    """
    # A pipe ends a cell even within code; GitHub's Markdown takes the backslash away again, in a table alone.
    text = one_line("" if value is None else str(value), _LONGEST).replace("|", r"\|")
    if not text.strip():
        return _NOTHING
    return markdown.code(text)


def row(*cells: str) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
