"""Tables from a browser: where they wait, what they may be called, and what page, launcher and check agree on.

The API server writes what arrives into :data:`ARRIVING`, and can write nowhere else. The launcher takes it from there
into :data:`UPLOADS`, has a sealed container look at it, and gives it its name in ``shared/inputs/``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from bulkhead.columns import Kind  # msgspec reads the annotations
from bulkhead.errors import Refused, short
from bulkhead.input_files import HIDDEN, KINDS, NO_DATA, is_pattern

UPLOADS = f"shared/inputs/{HIDDEN}"
"""What the launcher has taken, relative to the project. On the file system of the inputs: a link makes it one."""
ARRIVING = f"{UPLOADS}/arriving"
"""What is still being sent: the one folder that the API server may write."""
SOCKET_VARIABLE = "BULKHEAD_PAGE_LAUNCHER_SOCKET"
DEFAULT_SOCKET = "/run/bulkhead/page-launcher/launcher.sock"
"""Where the launcher listens for the API server, and for nobody else."""
TASK = "check_input"
"""The trainer's command; by this name ``.env`` sets its limits, like those of a step."""

SECONDS = 300.0
CPUS = 1.0
MEMORY = "1g"
"""What a check may take where ``.env`` does not say otherwise."""

MOST_COLUMNS = 200
"""A table may have more; of so many it is said what they are."""
LONGEST_ANSWER = 4 << 20
"""Bytes of what the check prints; so many names of the longest kind need less."""
LONGEST_NAME = 200
_NO_UTF8 = "\ufffd"
"""What servers put in the place of bytes that are not."""

_ENDS = ", ".join(KINDS)


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /check_input``: look at a table that has arrived, and put it in its place."""

    upload: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    """The file's name in :data:`ARRIVING`."""
    name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
    """What it is to be called."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of what was sent."""


class FoundColumn(msgspec.Struct, frozen=True):
    """What a column seems to be, where no model says what it is."""

    name: Annotated[str, msgspec.Meta(max_length=1000)]
    kind: Kind
    missing: bool | None
    """Whether it has empty cells; None of what no model predicts from, text and identifiers."""


class FoundTable(msgspec.Struct, frozen=True):
    """A table that was read from its beginning to its end."""

    rows: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    columns: Annotated[list[FoundColumn], msgspec.Meta(max_length=MOST_COLUMNS)]
    """The first ones, in the table's order."""
    columns_total: Annotated[int, msgspec.Meta(ge=1)]


class CheckAnswer(msgspec.Struct, frozen=True):
    """What ``check_input --json`` prints: one of the two."""

    table: FoundTable | None = None
    refused: Annotated[str, msgspec.Meta(max_length=4000)] | None = None
    """The sentence with which a training would refuse the table."""


def checked_name(name: str) -> str:
    """``name``, if a table in ``shared/inputs/`` can be called so, whoever reads that folder.

    Raises:
        Refused: it cannot; the sentence says why.
    """
    shown = short(name, 80)
    if not name or not name.isprintable() or _NO_UTF8 in name:
        raise Refused(
            f"{shown}: not a file's name: it is empty, not UTF-8, or has a character that cannot be printed. Rename it."
        )
    if "/" in name or "\\" in name:
        raise Refused(f"{shown}: has a slash in it. Give a plain file name; it goes into shared/inputs/ itself.")
    if len(name.encode()) > LONGEST_NAME:
        raise Refused(
            f"{shown}: the name is too long: it has {len(name.encode()):,} bytes, and {LONGEST_NAME} are taken at most."
            " Give a shorter one."
        )
    if name.startswith((*NO_DATA, "-", " ")) or name.endswith(" "):
        raise Refused(f"{shown}: begins with '.', '_', '-' or a blank, or ends with one. Rename it.")
    if is_pattern(name):
        raise Refused(f"{shown}: has *, ? or [ in it, so as a source it would be a pattern. Rename it.")
    return name


def checked_end(name: str) -> str:
    """``name``, if what is in a file of that name can be read as a table.

    Raises:
        Refused: it cannot.
    """
    if not name.lower().endswith(tuple(KINDS)):
        raise Refused(f"{short(name, 80)}: not the name of a table. Send a file that ends in {_ENDS}.")
    return name
