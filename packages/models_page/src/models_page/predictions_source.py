"""The predictions of an inference, as the launcher's container prints them, or as the record has them.

No file of predictions is opened here: it is Parquet, which a step has written. What comes is handed on in pieces, and
no more than one is in memory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator  # msgspec reads the annotations
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import HTTPException

from bulkhead.errors import Refused, short
from bulkhead.prediction_files import (
    LONGEST_HEAD,
    LONGEST_ROWS,
    ROUTE,
    SECONDS,
    Head,
    PredictionsRequest,
)
from bulkhead.queries import prediction_csv, predictions
from bulkhead.unix_http.aio import AsyncClient
from bulkhead.uploads import DEFAULT_SOCKET, SOCKET_VARIABLE
from models_page import responses

if TYPE_CHECKING:
    from bulkhead.queries.predictions import Predictions
    from bulkhead.registry.records import InferenceRecord
    from bulkhead.unix_http.aio import AsyncAnswer

OF_RECORD = "The predictions file is gone; these are the predictions in the record."
NO_FILE = "There never was a predictions file; these are the predictions in the record."
_OK, _GONE, _AWAY = 200, 410, 503
_TOLD = {409, 410, 422, 503}
"""Statuses of the launcher's that are the page's, too."""
_HEADERS = {_AWAY: {"Retry-After": "30"}}
_ROWS_AT_ONCE = 1000
_REFUSAL = 64 << 10
"""Bytes of a refusal."""


class Source(msgspec.Struct, frozen=True):
    """A table of predictions, to be read once."""

    columns: list[str]
    count: int
    """Rows that there are, whatever was asked for."""
    pieces: AsyncIterator[bytes]
    """All rows as CSV, with the columns; or the first ones, each a line of JSON, without."""
    sentence: str | None = None
    """Why these are not those of the file; None: they are."""


@asynccontextmanager
async def opened(record: InferenceRecord, limit: int | None = None) -> AsyncIterator[Source]:
    """The predictions of ``record``, to be read inside of the block.

    Args:
        record: the inference.
        limit: only so many rows, as JSON; None: all of them, as CSV.

    Raises:
        HTTPException: there are none, and why.
    """
    async with AsyncExitStack() as stack:
        if record.predictions_path is None:
            yield _of_record(record, limit, NO_FILE)
            return
        wanted = msgspec.json.encode(_request(record, limit))
        client = AsyncClient(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET, SECONDS)
        try:
            answer = await stack.enter_async_context(client.stream(ROUTE, wanted))
            found = await _begun(answer) if answer.status == _OK else await _refusal(answer)
        except OSError as error:
            why = f"the launcher does not answer ({error.strerror or error})"
            raise _away(f"{why}. Read 'just logs launcher', then try again.") from None
        if isinstance(found, HTTPException):
            if found.status_code != _GONE or not isinstance(record.predictions, list):
                raise found
            found = _of_record(record, limit, OF_RECORD)
        yield found


def _request(record: InferenceRecord, limit: int | None) -> PredictionsRequest:
    path, sha256 = str(record.predictions_path), record.output_sha256
    wanted = {"path": path, "sha256": sha256, "limit": limit}
    try:
        return msgspec.convert(wanted, PredictionsRequest)
    except msgspec.ValidationError:
        raise HTTPException(
            409,
            f"{short(path, 200)}: its record has no SHA-256 of it ({short(str(sha256), 70)}), so nobody can tell"
            " whether it is the file that was written. It is not read. Run the inference again.",
        ) from None


async def _begun(answer: AsyncAnswer) -> Source | HTTPException:
    """An answer whose first line is read."""
    pieces = answer.pieces()
    found = bytearray()
    async for piece in pieces:
        found += piece
        if b"\n" in piece or len(found) > LONGEST_HEAD:
            break
    line, _, rest = bytes(found).partition(b"\n")
    try:
        head = msgspec.json.decode(line, type=Head)
    except msgspec.DecodeError:
        return _away("the launcher's answer is none. Read 'just logs launcher'.")
    return Source(head.columns, head.rows, _resumed(rest, pieces))


async def _resumed(rest: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if rest:
        yield rest
    async for piece in pieces:
        yield piece


async def _refusal(answer: AsyncAnswer) -> HTTPException:
    try:
        detail = str(msgspec.json.decode(await answer.whole(_REFUSAL))["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return _away("the launcher's answer is none. Read 'just logs launcher'.")
    status = answer.status if answer.status in _TOLD else _AWAY
    return HTTPException(status, detail, _HEADERS.get(status))


def _away(why: str) -> HTTPException:
    return HTTPException(_AWAY, f"The predictions were not read: {why}", _HEADERS[_AWAY])


def _of_record(record: InferenceRecord, limit: int | None, sentence: str) -> Source:
    try:
        found = predictions.in_record(record)
    except Refused as error:
        raise HTTPException(_GONE, str(error)) from None
    lines = _csv(found) if limit is None else _json(found, limit)
    return Source(found.columns, found.count, lines, sentence)


async def _csv(found: Predictions) -> AsyncIterator[bytes]:
    kept: list[str] = []
    for line in prediction_csv.lines(found, prediction_csv.for_spreadsheets):
        kept.append(f"{line}\n")
        if len(kept) == _ROWS_AT_ONCE:
            yield "".join(kept).encode(errors="replace")
            kept.clear()
    yield "".join(kept).encode(errors="replace")


async def _json(found: Predictions, limit: int) -> AsyncIterator[bytes]:
    for _, row in zip(range(limit), found.rows, strict=False):
        yield msgspec.json.encode(responses.sound(row)) + b"\n"


async def rows_of(source: Source) -> list[list[Any]]:
    """The first rows, that were asked for as JSON.

    Raises:
        HTTPException: they did not come to their end.
    """
    found = bytearray()
    try:
        async for piece in source.pieces:
            found += piece
            if len(found) > 2 * LONGEST_ROWS:
                raise ConnectionError("it is too long")
        return [msgspec.json.decode(line, type=list[Any]) for line in found.splitlines()]
    except (OSError, msgspec.DecodeError) as error:
        raise _away(f"the launcher's answer was cut ({error}). Try again.") from None
