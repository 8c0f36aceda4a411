"""The pages of inferences and failures."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from models_page import filters, query_parameters
from models_page.api import BOTH, with_model_file
from models_page.attempts_view import NoSuchAttempt
from models_page.plots import distributions
from models_page.query_parameters import PAGE, AttemptsAsked, FailuresAsked
from models_page.registry_view import AmbiguousModel, NoSuchModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.index.attempts import AttemptFilter
    from bulkhead.paths import JournalName
    from models_page.attempts_view import Attempts, AttemptsView
    from models_page.query_parameters import FailuresQuery
    from models_page.readers import Readers
    from models_page.registry_view import RegistryView
    from models_page.templates import Templates

_NUMBER = re.compile("[0-9]{1,18}")


def router(
    readers: Readers, registry_view: RegistryView, attempts_view: AttemptsView, templates: Templates
) -> APIRouter:
    """The pages' routes."""
    pages = APIRouter(default_response_class=HTMLResponse, dependencies=[Depends(readers.look)])

    @pages.get("/inferences")
    def inferences(request: Request, asked: AttemptsAsked) -> HTMLResponse:
        try:
            wanted = with_model_file(registry_view, asked.filter)
        except AmbiguousModel as error:
            return templates.page(request, "unknown.html", 409, title="Several models could be meant", words=str(error))
        return _attempts(request, ("inference",), asked, wanted, attempts_view.drift(wanted))

    @pages.get("/failures")
    def failures(request: Request, asked: FailuresAsked) -> HTMLResponse:
        return _attempts(request, BOTH, asked, asked.filter, None)

    def _attempts(
        request: Request, journals: Sequence[JournalName], asked: FailuresQuery, wanted: AttemptFilter, drift: object
    ) -> HTMLResponse:
        found = attempts_view.attempts(journals, wanted, PAGE, asked.begin, oldest_first=asked.oldest_first)
        return templates.page(
            request,
            "attempts.html",
            of_failures=len(journals) > 1,
            choices=attempts_view.choices(journals),
            found=found,
            wanted=asked.filter,
            asked=asked,
            names=registry_view.short_names(_models_of(found)),
            cursor=query_parameters.cursor_of(found.cursor),
            drift=drift,
        )

    @pages.get("/inferences/{offset}")
    def inference(request: Request, offset: str) -> HTMLResponse:
        at = _byte(offset)
        try:
            record = attempts_view.inference(at)
        except NoSuchAttempt:
            told = f"models/log_inference.txt has no inference at byte {filters.text(offset, 40)}."
            return templates.page(request, "unknown.html", 404, title="No such inference", words=told)
        model = None
        with suppress(NoSuchModel):
            model = registry_view.model(record.model_used)
        return templates.page(
            request,
            "inference.html",
            offset=at,
            record=record,
            time=attempts_view.time_of(record),
            model=model,
            figures=distributions.beside_training(model.record if model else None, record),
        )

    return pages


def _byte(text: str) -> int:
    """Which byte of a file ``text`` names; -1, where nothing is: none."""
    return int(text) if _NUMBER.fullmatch(text) else -1


def _models_of(found: Attempts) -> set[str]:
    return {record.model_used for _, record in found.shown if hasattr(record, "model_used")}
