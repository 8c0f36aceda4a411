"""The page of ``shared/inputs/``: what tables are there, and a form for one more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from bulkhead.errors import Refused
from bulkhead.input_files import KINDS
from models_page import inputs_listing
from models_page.inputs_api import TRAIN

if TYPE_CHECKING:
    from pathlib import Path

    from models_page.arrivals import Arrivals
    from models_page.templates import Templates


def router(shared: Path, arrivals: Arrivals | None, refusal: str, templates: Templates) -> APIRouter:
    """The page's route; without ``arrivals`` nothing can be sent, and ``refusal`` says why."""
    pages = APIRouter(default_response_class=HTMLResponse)

    @pages.get("/inputs")
    def inputs(request: Request) -> HTMLResponse:
        found, trouble = [], None
        try:
            found = inputs_listing.inputs(shared)
        except (OSError, Refused) as error:
            trouble = f"shared/inputs/ cannot be read: {error}"
        return templates.page(
            request,
            "inputs.html",
            503 if trouble else 200,
            inputs=found,
            trouble=trouble,
            may_upload=arrivals is not None and request.state.visitor.may_trigger(TRAIN),
            refusal=None if arrivals is not None else refusal or "No table can be sent here: run 'just up'.",
            limit=arrivals.limit if arrivals is not None else 0,
            ends=list(KINDS),
            training_dag=TRAIN,
        )

    return pages
