"""Text of others where Markdown is shown, as Airflow shows notes and questions: it says what it says, and does nothing.

A column's name in a table can be an image's address, and a step can print what it likes. Backslashes do not help: what
looks like an address is made a link after they are gone. In a code span nothing means anything.
"""

from __future__ import annotations

import re

from bulkhead.errors import one_line

_TAME = re.compile(r"[\w .,:;#/'\"+=%()-]*")
"""Characters of which no link, image, table or HTML can be made."""
_ADDRESS = re.compile(r"://|www\.|@", re.IGNORECASE)


def code(text: str) -> str:
    """One line of ``text`` as a code span."""
    # A fence longer than any run of backticks in it, and spaces, which Markdown takes away, between the two.
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}"


def harmless(text: str, limit: int) -> str:
    """``text`` in one line of at most ``limit`` characters: as it is where that can do nothing, else as code."""
    line = one_line(text, limit)[:limit].strip()
    if _TAME.fullmatch(line) and not _ADDRESS.search(line):
        return line
    made = code(line)
    if len(made) <= limit:
        return made
    # Shorter by its fence; a cut cannot make a run of backticks longer.
    return code(one_line(line, max(1, limit - (len(made) - len(line)))))
