"""What a request asks for: filters, page sizes and cursors, the same for pages and for the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Query

from bulkhead import environments
from bulkhead.index.attempts import AttemptFilter, AttemptOutcome, Position
from bulkhead.index.filling import moment

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PAGE = 50
MOST = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most this many entries.")]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^-?\d{1,18}(\.(training|inference)\.\d{1,18})?$", description="`next_cursor` of the previous page."
    ),
]
_NAMES = ", ".join(f"`{name}`" for name in environments.NAMES)
Environment = Annotated[str | None, Query(max_length=300, description=f"Only this environment; one of {_NAMES}.")]
Name = Annotated[str | None, Query(max_length=300, description="Only versions of the model of this name.")]
Moment = Annotated[datetime | None, Query(description="ISO 8601; UTC if it names no time zone.")]
Data = Annotated[str | None, Query(max_length=300, description="Only models trained on the data with this SHA-256.")]


def position(cursor: str | None) -> Position | None:
    """Where the page begins that ``cursor`` names."""
    if cursor is None or "." not in cursor:
        return None
    time, journal, number = cursor.split(".")
    return int(time), journal, int(number)


def cursor_of(at: Position | None) -> str | None:
    """The name of the page that begins at ``at``."""
    return None if at is None else ".".join(map(str, at))


def number(cursor: str | None) -> int | None:
    """The number that a cursor of models is."""
    return int(cursor.partition(".")[0]) if cursor else None


def wanted(  # noqa: PLR0913, PLR0917  # one for each field of the form
    environment: Environment = None,
    name: Annotated[str | None, Query(max_length=300, description="Only attempts for the model of this name.")] = None,
    model: Annotated[str | None, Query(max_length=300, description="Only inferences by this model file.")] = None,
    outcome: Annotated[AttemptOutcome | None, Query(description="Only successful, or only failed ones.")] = None,
    cause: Annotated[str | None, Query(max_length=300, description="Only failures with this cause.")] = None,
    run_id: Annotated[str | None, Query(max_length=1000, description="Only attempts of this DAG run.")] = None,
    since: Moment = None,
    until: Moment = None,
) -> AttemptFilter:
    """The attempts that a request asks for."""
    return AttemptFilter(
        environment=environment,
        name=name,
        model=model,
        outcome=outcome,
        cause=cause,
        run_id=run_id,
        since=_microseconds(since),
        until=_microseconds(until),
    )


def _microseconds(time: datetime | None) -> int | None:
    if time is None:
        return None
    return moment((time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat(), 0)


class WithoutEmptyFields:
    """Takes empty fields out of a query: a form sends those too, and an empty filter is none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] == "http" and scope["query_string"]:
            fields = parse_qsl(scope["query_string"].decode("latin-1"), errors="replace")
            scope = dict(scope, query_string=urlencode(fields).encode())
        await self._app(scope, receive, send)
