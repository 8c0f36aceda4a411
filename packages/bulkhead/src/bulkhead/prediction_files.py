"""Predictions for the page: what page, launcher, and the sealed container that reads a predictions file agree on.

The page names a file and its recorded hash. The launcher starts a container that sees the run folder of it. That prints
a line of JSON, and then the rows.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from bulkhead.errors import Refused, short
from bulkhead.paths import RUNS

TASK = "show_predictions"
"""The inference image's command; by this name ``.env`` sets its limits, like those of a step."""
ROUTE = "/predictions"

SECONDS = 1800.0
CPUS = 1.0
MEMORY = "512m"
"""What a reading may take where ``.env`` does not say otherwise, until its last row has left."""

MOST_ROWS = 500
"""Of the first rows; all of them are CSV."""
LONGEST_HEAD = 4 << 20
"""Bytes of the first line; it has the columns' names in it."""
LONGEST_ROWS = 16 << 20
"""Bytes of the first rows, as JSON."""
LONGEST_CELL = 1000
"""Characters of a cell of the first rows; longer text is cut."""
LARGEST_WHOLE = 2**53
"""Greater whole numbers are text in JSON, where a browser would round them."""

_COMPONENTS = {2, 3}
"""Of a path below :data:`RUNS`: perhaps a DAG, a run, and the file. Steps write no further down."""


class PredictionsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /predictions``: read a file of predictions."""

    path: Annotated[str, msgspec.Meta(max_length=1000)]
    """As it is recorded."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """As it is recorded."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)] | None = None
    """Only so many rows, each a line of JSON; None: all of them, as CSV."""


class Head(msgspec.Struct, frozen=True):
    """The first line that the container prints: rows follow, or nothing."""

    columns: list[str] = []
    rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many the file has."""
    refused: Annotated[str, msgspec.Meta(max_length=4000)] | None = None
    """Why no row follows."""
    is_another: bool = False
    """Whether that is because the file is not the recorded one."""


def place_of(path: str) -> tuple[str, str] | None:
    """The run folder of a recorded path, relative to the project, and the file in it; None: it is no file of a run."""
    parts = path.split("/")
    depth = len(RUNS.split("/"))
    above, below = "/".join(parts[:depth]), parts[depth:]
    if above != RUNS or len(below) not in _COMPONENTS or not {"", ".", ".."}.isdisjoint(below):
        return None
    return "/".join(parts[:-1]), parts[-1]


def no_file_of_a_run(path: str) -> Refused:
    """What a record names as its predictions is elsewhere."""
    return Refused(
        f"the predictions are recorded at {short(path, 200)}, which is no file of a run. It is not read."
        " Run 'just registry verify', which says what else is wrong."
    )
