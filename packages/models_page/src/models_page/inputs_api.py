"""The JSON API of ``shared/inputs/``: what tables are there, and one more, sent from a browser.

What is sent is only written down here. A sealed container reads it, and the launcher puts it in its place, or not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from bulkhead import environments, formatting
from bulkhead.errors import Refused
from bulkhead.input_files import KINDS
from bulkhead.unix_http import Client
from bulkhead.uploads import DEFAULT_SOCKET, SOCKET_VARIABLE, FoundTable, checked_end, checked_name
from models_page import inputs_listing, responses
from models_page.arrivals import NotTaken
from models_page.query_parameters import InputsAskedOfApi, NothingAsked  # noqa: TC001  # FastAPI reads the annotations

if TYPE_CHECKING:
    from pathlib import Path

    from models_page.arrivals import Arrivals, Arrived

TRAIN = environments.dag_id(environments.FIRST, "train_model")
"""Whoever may trigger this DAG may add to its inputs."""
_ANSWER_SECONDS = 1800.0
"""Longer than the launcher needs for a check, and for those that came before."""
_CREATED = 201
_HEADERS = {503: {"Retry-After": "30"}, 408: {"Connection": "close"}}
"""Of refusals by their status; whoever was too slow is not listened to any longer."""
_TOLD = {400, 409, 422, 503}
"""Statuses of the launcher's that are the page's, too."""


def _described(*refusals: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": responses.ProblemResponse, "description": words} for code, words in refusals}


_LISTING = _described((401, "Not logged in"), (403, "Not permitted"), (503, "The folder cannot be read"))
_SENDING = _described(
    (400, "The name cannot be an input's, or the table did not arrive to its end"),
    (401, "Not logged in"),
    (403, f"Not permitted to trigger `{TRAIN}`, or sent by another site's page"),
    (408, "The table did not arrive in time"),
    (409, "There is a table of this name; none is overwritten"),
    (413, "Larger than BULKHEAD_UPLOAD_LIMIT"),
    (415, "The name is not a table's, or the body is encoded"),
    (422, "What is in it is no table that a training could begin with"),
    (503, "It could not be checked now, or too many are sent at once"),
    (507, "The disk has no room"),
)


class InputResponse(BaseModel):
    """A table in `shared/inputs/`, or a folder of tables."""

    name: str = Field(description="What a form takes as its source.")
    kind: str = Field(description="`table`, or `folder`: all tables in it are one.")
    bytes: int
    modified: str = Field(description="UTC, to the second.")
    tables: int = Field(description="How many files it is.")


class InputCollectionResponse(BaseModel):
    """What is in `shared/inputs/`, newest first."""

    inputs: list[InputResponse]
    total_entries: int
    may_upload: bool = Field(description="Whether this user may add a table.")
    limit: int = Field(description="The most bytes of a table that is sent.")
    ends: list[str] = Field(description="How the names of tables end.")


class ColumnResponse(BaseModel):
    """A column of a table."""

    name: str
    kind: str = Field(description="`number`, `category`, `boolean`, `date`, `text` or `identifier`, as it seems.")
    missing: bool | None = Field(description="Whether it has empty cells; null of text and identifiers.")


class UploadedResponse(BaseModel):
    """A table that was checked, and is in `shared/inputs/` now."""

    name: str
    bytes: int
    rows: int
    columns: list[ColumnResponse] = Field(description="The first 200, in the table's order.")
    columns_total: int
    sha256: str
    sentence: str


def router(shared: Path, arrivals: Arrivals | None, trouble: str = "") -> APIRouter:
    """The routes; without ``arrivals`` nothing can be sent, and ``trouble`` says why."""
    api = APIRouter(prefix="/api/v1")

    @api.get("/inputs", summary="Tables in `shared/inputs/`, newest first", responses=_LISTING)
    def get_inputs(request: Request, asked: InputsAskedOfApi) -> InputCollectionResponse:
        try:
            found = inputs_listing.inputs(shared)
        except (OSError, Refused) as error:
            raise HTTPException(503, f"shared/inputs/ cannot be read: {error}") from None
        return InputCollectionResponse(
            inputs=[
                InputResponse(
                    name=one.name,
                    kind=one.kind,
                    bytes=one.size,
                    modified=formatting.moment(one.modified),
                    tables=one.tables,
                )
                for one in found[: asked.limit]
            ],
            total_entries=len(found),
            may_upload=arrivals is not None and request.state.visitor.may_trigger(TRAIN),
            limit=arrivals.limit if arrivals else 0,
            ends=list(KINDS),
        )

    @api.post(
        "/inputs/{name:path}",
        status_code=_CREATED,
        summary="Put a table into `shared/inputs/`; the body is the file, as it is",
        responses=_SENDING,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def post_input(request: Request, name: str, _: NothingAsked) -> UploadedResponse:
        # All of this before a byte of the body is read.
        if not await run_in_threadpool(request.state.visitor.may_trigger, TRAIN):
            raise HTTPException(403, f"Adding a table needs permission to trigger {TRAIN}. Ask an administrator.")
        if arrivals is None:
            raise HTTPException(503, trouble or "No table can be sent here: there is no folder for it. Run 'just up'.")
        _check_name(name)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "the body has a Content-Encoding. Send the file as it is.")
        if await run_in_threadpool(_is_there, shared / "inputs" / name):
            raise HTTPException(409, f"{name}: is there already in shared/inputs/. Give it another name.")
        try:
            async with arrivals.receiving(request.stream(), _length(request)) as arrived:
                found = await run_in_threadpool(_placed, arrived, name)
        except NotTaken as refused:
            raise HTTPException(refused.status, f"{name}: {refused.detail}", _HEADERS.get(refused.status)) from None
        return UploadedResponse(
            name=name,
            bytes=arrived.size,
            rows=found.rows,
            columns=[ColumnResponse(name=one.name, kind=one.kind, missing=one.missing) for one in found.columns],
            columns_total=found.columns_total,
            sha256=found.sha256,
            sentence=f"{name} is in shared/inputs/: {formatting.count(found.rows, 'row')},"
            f" {formatting.count(found.columns_total, 'column')}, {formatting.size(arrived.size)}."
            " Give its name as the source of a training or an inference.",
        )

    return api


def _check_name(name: str) -> None:
    try:
        checked_name(name)
    except Refused as error:
        raise HTTPException(400, str(error)) from None
    try:
        checked_end(name)
    except Refused as error:
        raise HTTPException(415, str(error)) from None


def _length(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _placed(arrived: Arrived, name: str) -> FoundTable:
    """What is in the table, now that it is in its place.

    Raises:
        HTTPException: it was refused, or nobody could look at it.
    """
    socket = os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET
    wanted = {"upload": arrived.upload, "name": name, "sha256": arrived.sha256}
    try:
        status, body = Client(socket, _ANSWER_SECONDS).request("POST", "/check_input", wanted)
    except OSError as error:
        raise HTTPException(
            503,
            f"{name}: the launcher does not answer ({error.strerror or error}). Read 'just logs launcher', then send it"
            " again.",
            _HEADERS[503],
        ) from None
    try:
        if status == _CREATED:
            return msgspec.json.decode(body, type=FoundTable)
        detail = str(msgspec.json.decode(body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        status = 503
        detail = f"{name}: the launcher's answer is none. Run 'just build-images airflow launcher', then 'just up'."
    raise HTTPException(status if status in _TOLD else 503, detail)
