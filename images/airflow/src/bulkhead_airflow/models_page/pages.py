"""The pages: made here, whole, on each request; a small script adds what HTML alone cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bulkhead.index.attempts import Wanted
from bulkhead_airflow.models_page import asking
from bulkhead_airflow.models_page.api import BOTH, Wants
from bulkhead_airflow.models_page.asking import PAGE, Cursor, Data, Environment
from bulkhead_airflow.models_page.catalogue import NotReady, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.checkup import Checkup
    from bulkhead.records import Pipeline
    from bulkhead_airflow.models_page.catalogue import Attempts, Catalogue
    from bulkhead_airflow.models_page.templates import Templates

PROMOTE, ROLL_BACK = "promote_model_dag", "rollback_model_dag"
_INFERENCES_OF_A_MODEL = 10
_UNREADABLE = 100


def router(catalogue: Catalogue, checkup: Checkup, templates: Templates) -> APIRouter:
    """The pages' routes."""
    pages = APIRouter(default_response_class=HTMLResponse, dependencies=[Depends(catalogue.look)])

    @pages.get("/")
    def models(
        request: Request, environment: Environment = None, data: Data = None, cursor: Cursor = None
    ) -> HTMLResponse:
        environments = catalogue.environments()
        found = catalogue.models(PAGE, environment=environment, data=data, cursor=asking.number(cursor))
        return templates.page(
            request,
            "models.html",
            environments=environments,
            environment=environment,
            data=data,
            found=found,
            served=catalogue.served(),
            below={name: catalogue.rolls_back_to(name) for name in environments},
            charts=catalogue.charts(environment, ("r2", "rmse")),
            may_roll_back=request.state.visitor.may_trigger(ROLL_BACK),
        )

    @pages.get("/models/{filename:path}")
    def model(request: Request, filename: str) -> HTMLResponse:
        try:
            history = catalogue.model(filename)
        except Unknown:
            return templates.page(request, "unknown.html", 404, filename=filename)
        served = catalogue.served()
        return templates.page(
            request,
            "model.html",
            history=history,
            record=history.record,
            inferences=_newest_of(catalogue, filename),
            may_promote=request.state.visitor.may_trigger(PROMOTE),
            served_in=[name for name, shown in served.items() if shown.record.model_filename == filename],
        )

    @pages.get("/inferences")
    def inferences(request: Request, wanted: Wants, cursor: Cursor = None) -> HTMLResponse:
        return _attempts(request, ("inference",), wanted, cursor)

    @pages.get("/failures")
    def failures(request: Request, wanted: Wants, cursor: Cursor = None) -> HTMLResponse:
        return _attempts(request, BOTH, msgspec.structs.replace(wanted, outcome="failed"), cursor)

    def _attempts(request: Request, logs: Sequence[Pipeline], wanted: Wanted, cursor: str | None) -> HTMLResponse:
        environments, causes = catalogue.choices(logs)
        found = catalogue.attempts(logs, wanted, PAGE, asking.position(cursor))
        return templates.page(
            request,
            "attempts.html",
            of_failures=len(logs) > 1,
            environments=environments,
            causes=causes,
            found=found,
            wanted=wanted,
            cursor=asking.cursor_of(found.cursor),
        )

    @pages.get("/verify")
    def verify(request: Request) -> HTMLResponse:
        running = checkup.progress()
        answer = templates.page(
            request,
            "verify.html",
            running=running,
            result=checkup.latest(),
            unreadable=catalogue.unreadable(_UNREADABLE),
        )
        if running is not None:
            answer.headers["Refresh"] = "2"
        return answer

    @pages.post("/verify")
    def verify_again(request: Request) -> RedirectResponse:
        checkup.start()
        return RedirectResponse(f"{request.scope['root_path']}/verify", 303)

    @pages.get("/docs")
    def docs(request: Request) -> HTMLResponse:
        return templates.page(request, "docs.html", schema=request.app.openapi())

    return pages


def _newest_of(catalogue: Catalogue, filename: str) -> Attempts | None:
    """The newest inferences of a model; None while the index is being made."""
    try:
        return catalogue.attempts(("inference",), Wanted(model=filename), _INFERENCES_OF_A_MODEL)
    except NotReady:
        return None
