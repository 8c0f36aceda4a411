"""The pages: made here, whole, on each request; a small script adds what HTML alone cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bulkhead.environments import ENVIRONMENTS
from bulkhead.errors import Refused
from bulkhead.index.attempts import AttemptFilter
from bulkhead.queries import hosts
from models_page import query_parameters
from models_page.api import BOTH, Wants
from models_page.query_parameters import PAGE, Cursor, Data, Environment, Name
from models_page.registry_view import NoSuchModel, NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.maintenance.background_verify import BackgroundVerify
    from bulkhead.paths import JournalName
    from models_page.registry_view import Attempts, ModelDetails, RegistryView
    from models_page.templates import Templates

PROMOTE, ROLL_BACK = "promote_model_dag", "rollback_model_dag"
_INFERENCES_OF_A_MODEL = 10
_UNREADABLE, _UNREADABLE_ON_MODELS = 100, 5


def router(registry_view: RegistryView, background_verify: BackgroundVerify, templates: Templates) -> APIRouter:
    """The pages' routes."""
    pages = APIRouter(default_response_class=HTMLResponse, dependencies=[Depends(registry_view.look)])

    @pages.get("/")
    def models(
        request: Request,
        environment: Environment = None,
        name: Name = None,
        data: Data = None,
        cursor: Cursor = None,
    ) -> HTMLResponse:
        at = query_parameters.number(cursor)
        found = registry_view.models(PAGE, environment=environment, name=name, data=data, cursor=at)
        served = registry_view.served()
        return templates.page(
            request,
            "models.html",
            environments=list(dict.fromkeys(one.environment for one in served)),
            names=list(dict.fromkeys(one.name for one in served)),
            environment=environment,
            called=name,
            data=data,
            found=found,
            served=served,
            unreadable=registry_view.unreadable(_UNREADABLE_ON_MODELS, "training"),
            charts=registry_view.charts(environment, name),
            may_roll_back=request.state.visitor.may_trigger(ROLL_BACK),
        )

    @pages.get("/models/{filename:path}")
    def model(request: Request, filename: str) -> HTMLResponse:
        try:
            history = registry_view.model(filename)
        except NoSuchModel:
            return templates.page(request, "unknown.html", 404, filename=filename)
        return templates.page(
            request,
            "model.html",
            history=history,
            record=history.record,
            inferences=_newest_of(registry_view, filename),
            may_promote=request.state.visitor.may_trigger(PROMOTE),
            promotable_to=_promotable_to(history),
        )

    @pages.get("/inferences")
    def inferences(request: Request, wanted: Wants, cursor: Cursor = None) -> HTMLResponse:
        return _attempts(request, ("inference",), wanted, cursor)

    @pages.get("/failures")
    def failures(request: Request, wanted: Wants, cursor: Cursor = None) -> HTMLResponse:
        return _attempts(request, BOTH, msgspec.structs.replace(wanted, outcome="failed"), cursor)

    def _attempts(
        request: Request, journals: Sequence[JournalName], wanted: AttemptFilter, cursor: str | None
    ) -> HTMLResponse:
        found = registry_view.attempts(journals, wanted, PAGE, query_parameters.position(cursor))
        return templates.page(
            request,
            "attempts.html",
            of_failures=len(journals) > 1,
            choices=registry_view.choices(journals),
            found=found,
            wanted=wanted,
            cursor=query_parameters.cursor_of(found.cursor),
        )

    @pages.get("/hosts")
    def show_hosts(request: Request) -> HTMLResponse:
        found, trouble = [], None
        try:
            found = hosts.listing()
        except Refused as error:
            trouble = str(error)
        return templates.page(request, "hosts.html", 503 if trouble else 200, hosts=found, trouble=trouble)

    @pages.get("/verify")
    def verify(request: Request) -> HTMLResponse:
        running = background_verify.progress()
        answer = templates.page(
            request,
            "verify.html",
            running=running,
            result=background_verify.latest(),
            unreadable=registry_view.unreadable(_UNREADABLE),
        )
        if running is not None:
            answer.headers["Refresh"] = "2"
        return answer

    @pages.post("/verify")
    def verify_again(request: Request) -> RedirectResponse:
        background_verify.start()
        return RedirectResponse(f"{request.scope['root_path']}/verify", 303)

    @pages.get("/docs")
    def docs(request: Request) -> HTMLResponse:
        return templates.page(request, "docs.html", schema=request.app.openapi())

    return pages


def _promotable_to(history: ModelDetails) -> list[str]:
    """Where the model could be promoted to, as far as its records say."""
    if history.out_of_service is not None:
        return []
    here = {version.record.environment for version in history.versions}
    served_in = {version.record.environment for version in history.versions if version.states[0] == "served"}
    return [one.name for one in ENVIRONMENTS if one.promotes_from in here and one.name not in served_in]


def _newest_of(registry_view: RegistryView, filename: str) -> Attempts | None:
    """The newest inferences of a model; None while the index is being made."""
    try:
        return registry_view.attempts(("inference",), AttemptFilter(model=filename), _INFERENCES_OF_A_MODEL)
    except NotReady:
        return None
