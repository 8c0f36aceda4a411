"""The predictions of one inference: all of them as a CSV download, and the first rows as JSON."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from bulkhead.model_name import DEFAULT_NAME
from bulkhead.prediction_files import MOST_ROWS
from models_page import predictions_source, responses
from models_page.api import REFUSALS
from models_page.attempts_view import NoSuchAttempt
from models_page.query_parameters import PAGE, NothingAsked  # FastAPI reads the annotations

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from bulkhead.registry.records import InferenceRecord
    from models_page.attempts_view import AttemptsView
    from models_page.predictions_source import Source
    from models_page.readers import Readers

CSV = "text/csv; charset=utf-8; header=present"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_OFFSET = "`offset` of an inference."
Offset = Annotated[int, Path(ge=0, description=_OFFSET)]

_REFUSALS: dict[int | str, dict[str, Any]] = {
    **REFUSALS,
    **{
        code: {"model": responses.ProblemResponse, "description": words}
        for code, words in (
            (404, "There is no such inference"),
            (409, "The file is not the one that was recorded"),
            (410, "The file is gone, and the record holds no predictions"),
            (422, "The file cannot be read within the limits"),
            (503, "It cannot be read now, or the registry is still being read"),
        )
    },
}


class RowsQuery(BaseModel):
    """How many rows."""

    model_config = {"extra": "forbid"}

    limit: int = Field(PAGE, ge=1, le=MOST_ROWS, description="At most this many rows, the first ones.")


class PredictionsResponse(BaseModel):
    """The first rows of an inference's predictions."""

    columns: list[str] = Field(
        description="The identifier or `row`, `prediction`, and probabilities, if there are any."
    )
    rows: list[list[Any]] = Field(
        description="Each has a value for each column. A whole number beyond 2^53 is text; text of more than 1,000"
        " characters is cut."
    )
    total_rows: int
    in_file: bool = Field(description="Whether they are those of the predictions file; else they are the record's own.")
    sentence: str | None = Field(description="Why they are the record's own; null if they are not.")


class Download(StreamingResponse):
    """CSV that is read while it is sent; ``stack`` is closed when nobody receives it any more."""

    def __init__(self, source: Source, stack: AsyncExitStack, headers: dict[str, str]) -> None:
        super().__init__(source.pieces, headers=headers, media_type=CSV)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with self._stack:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send it; what is cut must not look whole to who receives it."""
        try:
            await super().stream_response(send)
        except ConnectionError:
            # An error alone does not do: Airflow's middleware (starlette's BaseHTTPMiddleware) then ends the answer as
            # if that were all, and tells of the error afterwards. No server sends text for bytes; it hangs up instead.
            await send({"type": "http.response.body", "body": "cut", "more_body": True})
            raise


def router(readers: Readers, attempts_view: AttemptsView) -> APIRouter:
    """The two routes."""
    both = APIRouter(dependencies=[Depends(readers.look)])

    async def record_at(offset: int) -> InferenceRecord:
        try:
            return await run_in_threadpool(attempts_view.inference, offset)
        except NoSuchAttempt:
            detail = f"models/log_inference.txt has no inference at byte {offset}."
            raise HTTPException(404, detail) from None

    @both.get(
        "/api/v1/inferences/{offset}/predictions",
        summary="The first rows that an inference has predicted",
        responses=_REFUSALS,
    )
    async def get_predictions(offset: Offset, asked: Annotated[RowsQuery, Query()]) -> PredictionsResponse:
        record = await record_at(offset)
        async with predictions_source.opened(record, asked.limit) as source:
            rows = await predictions_source.rows_of(source)
        return PredictionsResponse(
            columns=responses.sound(source.columns),
            rows=responses.sound(rows),
            total_rows=source.count,
            in_file=source.sentence is None,
            sentence=source.sentence,
        )

    @both.get(
        "/inferences/{offset}/predictions.csv",
        summary="All that an inference has predicted, as CSV",
        response_class=StreamingResponse,
        responses={**_REFUSALS, 200: {"content": {"text/csv": {}}, "description": "UTF-8, with a header."}},
    )
    async def download(offset: Offset, _: NothingAsked) -> Download:
        record = await record_at(offset)
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(predictions_source.opened(record))
            name = file_name(record, of_record=source.sentence is not None)
            # Not compressed on its way: it does not leave this machine, and gigabytes would take its processors.
            headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Encoding": "identity"}
            return Download(source, stack.pop_all(), headers)

    return both


def file_name(record: InferenceRecord, *, of_record: bool) -> str:
    """What a browser calls the file: ``predictions_churn_prd_2026-11-30T06.36.18Z.csv``."""
    moment = record.inference_time[:19].replace(":", ".")
    parts = ["predictions", record.model_name or DEFAULT_NAME, record.environment, moment, *(["of_record"] * of_record)]
    return f"{_UNSAFE.sub('-', '_'.join(parts))[:150]}.csv"
