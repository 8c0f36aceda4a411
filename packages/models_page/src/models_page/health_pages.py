"""The page that says whether all is well: what ``just status`` says, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from bulkhead.queries import health
from bulkhead.queries.health import LastVerify

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.maintenance.background_verify import BackgroundVerify
    from models_page.readers import Readers
    from models_page.registry_view import RegistryView
    from models_page.templates import Templates


def router(
    readers: Readers,
    registry_view: RegistryView,
    background_verify: BackgroundVerify,
    shared: Path,
    templates: Templates,
) -> APIRouter:
    """The page's route."""
    pages = APIRouter(default_response_class=HTMLResponse, dependencies=[Depends(readers.look)])

    @pages.get("/health")
    def show_health(request: Request) -> HTMLResponse:
        report = background_verify.latest()
        verified = LastVerify.of(report) if report is not None else None
        with readers.state() as state:  # held still, and not while the registrar is asked
            known = health.places(state, readers.models)
        found = health.look(readers.models, shared, verified=verified, known=known)
        names = registry_view.short_names(one.model_filename for one in found.served if one.model_filename)
        return templates.page(request, "health.html", health=found, names=names)

    return pages
