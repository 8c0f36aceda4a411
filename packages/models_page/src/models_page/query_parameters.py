"""What a request asks for: filters, orders, page sizes and cursors, the same for pages and for the API.

A page passes over what it does not know; the API refuses it: who mistypes a filter must not be given everything.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bulkhead import environments
from bulkhead.index.attempts import AttemptFilter, AttemptOutcome, Position
from bulkhead.index.filling import moment
from models_page.selection import SORTS, STATES, ModelSelection

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PAGE = 50
MOST = 500

_NAMES = ", ".join(f"`{name}`" for name in environments.NAMES)
Environment = Annotated[str | None, Field(max_length=300, description=f"Only this environment; one of {_NAMES}.")]
Name = Annotated[str | None, Field(max_length=300, description="Only versions of the model of this name.")]


def _in_utc(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    try:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


Moment = Annotated[
    datetime | None, AfterValidator(_in_utc), Field(description="ISO 8601; UTC if it names no time zone.")
]
Words = Annotated[str | None, Field(max_length=300)]


class Nothing(BaseModel):
    """A request that can be asked for nothing in particular."""

    model_config = ConfigDict(extra="forbid")


class PlacesQuery(BaseModel):
    """Models of an environment, of a name."""

    environment: Environment = None
    name: Name = None


class ModelsQuery(PlacesQuery):
    """Which versions, in which order."""

    search: Words = Field(None, description="In short name, file, hash, source of the data, notes and tags.")
    state: Words = Field(None, description=f"Only in this state; one of {', '.join(f'`{one}`' for one in STATES)}.")
    data: Words = Field(None, description="The beginning of the SHA-256 of the training data, or a part of its name.")
    metric: Words = Field(None, description="`roc_auc>=0.8`; several with commas.")
    note: Words = Field(None, description="A part of a note.")
    tag: Words = Field(None, description="`key` or `key=value`.")
    sort: str = Field(
        "-time",
        max_length=300,
        description=f"{', '.join(f'`{one}`' for one in SORTS)}, or a metric; `-` before it: from the greatest down.",
    )
    cursor: str | None = Field(None, pattern=r"^\d{1,18}$", description="`next_cursor` of the previous page.")

    @property
    def selection(self) -> ModelSelection:
        """What is asked for."""
        asked = {name: getattr(self, name) for name in ModelSelection.__struct_fields__}
        return ModelSelection(**asked)

    @property
    def begin(self) -> int | None:
        """The number after which the page begins."""
        return int(self.cursor) if self.cursor else None


class FailuresQuery(BaseModel):
    """Which failures, in which order."""

    environment: Environment = None
    name: Words = Field(None, description="Only attempts for the model of this name.")
    cause: Words = Field(None, description="Only failures with this cause.")
    source: str | None = Field(None, max_length=1000, description="Only attempts on this table, as it was asked for.")
    run_id: str | None = Field(None, max_length=1000, description="Only attempts of this DAG run.")
    since: Moment = None
    until: Moment = None
    sort: str = Field("-time", pattern="^-?time$", description="`-time`: the newest first; `time`: the oldest first.")
    cursor: str | None = Field(
        None,
        pattern=r"^-?\d{1,18}(\.(training|inference)\.\d{1,18})?$",
        description="`next_cursor` of the previous page.",
    )

    @property
    def filter(self) -> AttemptFilter:
        """What is asked for; the model as it was named."""
        same = ("environment", "name", "cause", "source", "run_id")
        return AttemptFilter(
            **{field: getattr(self, field) for field in same},
            model=getattr(self, "model", None),
            outcome=getattr(self, "outcome", "failed"),
            since=_microseconds(self.since),
            until=_microseconds(self.until),
        )

    @property
    def begin(self) -> Position | None:
        """Where the page begins."""
        if self.cursor is None or "." not in self.cursor:
            return None
        time, journal, number = self.cursor.split(".")
        return int(time), journal, int(number)

    @property
    def oldest_first(self) -> bool:
        """Which way."""
        return self.sort == "time"


class AttemptsQuery(FailuresQuery):
    """Which inferences, in which order."""

    model: Words = Field(None, description="Only those by this model: its file, short name or hash.")
    outcome: AttemptOutcome | None = Field(
        None,
        description="`success`: finished ones, those that drifted among them; `drifted`: those alone; `failed`.",
    )


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Limited(_Strict):
    limit: int = Field(PAGE, ge=1, le=MOST, description="At most this many entries.")


class ModelsApiQuery(ModelsQuery, _Limited):
    """As the API is asked."""

    data_sha256: Words = Field(None, description="As `data`.")


class AttemptsApiQuery(AttemptsQuery, _Limited):
    """As the API is asked."""


class FailuresApiQuery(FailuresQuery, _Limited):
    """As the API is asked."""


class InputsApiQuery(_Limited):
    """As the API is asked."""


class PlacesApiQuery(PlacesQuery, _Strict):
    """As the API is asked."""


NothingAsked = Annotated[Nothing, Query()]
ModelsAsked = Annotated[ModelsQuery, Query()]
AttemptsAsked = Annotated[AttemptsQuery, Query()]
FailuresAsked = Annotated[FailuresQuery, Query()]
ModelsAskedOfApi = Annotated[ModelsApiQuery, Query()]
AttemptsAskedOfApi = Annotated[AttemptsApiQuery, Query()]
FailuresAskedOfApi = Annotated[FailuresApiQuery, Query()]
InputsAskedOfApi = Annotated[InputsApiQuery, Query()]
PlacesAskedOfApi = Annotated[PlacesApiQuery, Query()]


def cursor_of(at: Position | None) -> str | None:
    """The name of the page that begins at ``at``."""
    return None if at is None else ".".join(map(str, at))


def _microseconds(time: datetime | None) -> int | None:
    if time is None:
        return None
    return moment(time.isoformat(), 0)


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
