"""The pages of models: made here, whole, on each request; small scripts add what HTML alone cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bulkhead.environments import ENVIRONMENTS, PROMOTED_TO
from bulkhead.errors import Refused
from bulkhead.index.attempts import AttemptFilter
from bulkhead.queries import comparison, hosts, promotion
from bulkhead.registry.metrics import goals_of
from models_page import filters
from models_page.annotations_api import may_annotate
from models_page.plots import distributions, evaluation, own
from models_page.query_parameters import PAGE, ModelsAsked
from models_page.readers import NotReady
from models_page.registry_view import AmbiguousModel, NoSuchModel
from models_page.selection import STATES

if TYPE_CHECKING:
    from bulkhead.maintenance.background_verify import BackgroundVerify
    from models_page.attempts_view import Attempts, AttemptsView
    from models_page.readers import Readers
    from models_page.registry_view import ModelDetails, RegistryView
    from models_page.templates import Templates

PROMOTE, ROLL_BACK, REVOKE = "promote_model_dag", "rollback_model_dag", "revoke_model_dag"
_INFERENCES_OF_A_MODEL = 10
_UNREADABLE, _UNREADABLE_ON_MODELS = 100, 5
_TWO = 2


def router(  # what it shows
    readers: Readers,
    registry_view: RegistryView,
    attempts_view: AttemptsView,
    background_verify: BackgroundVerify,
    templates: Templates,
) -> APIRouter:
    """The pages' routes."""
    pages = APIRouter(default_response_class=HTMLResponse, dependencies=[Depends(readers.look)])

    @pages.get("/")
    def models(request: Request, asked: ModelsAsked) -> HTMLResponse:
        trouble = None
        try:
            found = registry_view.models(PAGE, asked.selection, asked.begin)
        except Refused as error:
            found, trouble = None, str(error)
        served = registry_view.served()
        return templates.page(
            request,
            "models.html",
            422 if trouble else 200,
            environments=list(dict.fromkeys(one.environment for one in served)),
            names=registry_view.names(),
            asked=asked,
            states=STATES,
            found=found,
            trouble=trouble,
            served=[one for one in served if asked.name in (None, one.name)],
            unreadable=attempts_view.unreadable(_UNREADABLE_ON_MODELS, "training"),
            figures=registry_view.charts(asked.environment, asked.name),
            may_roll_back=request.state.visitor.may_trigger(ROLL_BACK),
        )

    @pages.get("/compare")
    def compare(
        request: Request,
        version: Annotated[list[str], Query()] = [],  # noqa: B006  # FastAPI copies it
        a: str | None = None,
        b: str | None = None,
    ) -> HTMLResponse:
        named = [*version, *(one for one in (a, b) if one)]
        if len(named) != _TWO:
            told = f"Choose two versions to compare, and not {len(named)}: tick them in the list of models."
            return templates.page(request, "unknown.html", 422, title="Compare two versions", words=told)
        try:
            left, right = (registry_view.model(one) for one in named)
        except NoSuchModel as error:
            return _unknown(request, error)
        rows = comparison.compare(left.record, right.record)
        return templates.page(
            request,
            "compare.html",
            left=left,
            right=right,
            differing=[row for row in rows if not row.same],
            same=[row for row in rows if row.same],
            figures=_side_by_side(left, right),
        )

    @pages.get("/promote/{environment}/{model:path}")
    def promote(request: Request, environment: str, model: str) -> HTMLResponse:
        try:
            history = registry_view.model(model)
        except NoSuchModel as error:
            return _unknown(request, error)
        if environment not in PROMOTED_TO:
            told = f"Models are promoted to {', '.join(PROMOTED_TO)}, and not to {environment[:100]}."
            return templates.page(request, "unknown.html", 404, title="No such environment", words=told)
        served = history.served.get(environment)
        record = registry_view.record(served.filename, environment) if served else None
        return templates.page(
            request,
            "promote.html",
            history=history,
            record=history.record,
            environment=environment,
            served=served,
            outlook=promotion.outlook(readers.models, history.record, record, environment),
            drift=_drift_of(attempts_view, history.called.filename),
            is_promotable=environment in _promotable_to(history),
            may_promote=request.state.visitor.may_trigger(PROMOTE),
        )

    @pages.get("/models/")
    def models_by_their_word(request: Request) -> RedirectResponse:
        """What people try who have seen the address of a model."""
        return RedirectResponse(f"{request.scope['root_path']}/?{request.url.query}".removesuffix("?"), 303)

    @pages.get("/models/{model:path}")
    def show_model(request: Request, model: str) -> HTMLResponse:
        try:
            history = registry_view.model(model)
        except NoSuchModel as error:
            return _unknown(request, error)
        filename = history.called.filename
        if model != filename:
            address = f"{request.scope['root_path']}/models/{filters.path(filename)}"
            return RedirectResponse(address, 303)  # type: ignore[return-value]  # a response all the same
        visitor = request.state.visitor
        return templates.page(
            request,
            "model.html",
            history=history,
            record=history.record,
            figures=evaluation.figures(history.record),
            own_figures=own.figures(history.record.plots),
            distributions=distributions.of_training(history.record),
            goals=goals_of(history.record),
            inferences=_newest_of(attempts_view, filename),
            may_promote=visitor.may_trigger(PROMOTE),
            may_revoke=visitor.may_trigger(REVOKE),
            may_annotate=may_annotate(request, history),
            promotable_to=_promotable_to(history),
        )

    @pages.get("/hosts")
    def show_hosts(request: Request) -> HTMLResponse:
        return _hosts(request, templates)

    @pages.get("/verify")
    def verify(request: Request) -> HTMLResponse:
        running = background_verify.progress()
        answer = templates.page(
            request,
            "verify.html",
            running=running,
            result=background_verify.latest(),
            unreadable=attempts_view.unreadable(_UNREADABLE),
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

    def _unknown(request: Request, error: NoSuchModel) -> HTMLResponse:
        several = isinstance(error, AmbiguousModel)
        title = "Several models could be meant" if several else "No such model"
        return templates.page(request, "unknown.html", 409 if several else 404, title=title, words=str(error))

    return pages


def _hosts(request: Request, templates: Templates) -> HTMLResponse:
    found, trouble = [], None
    try:
        found = hosts.listing()
    except Refused as error:
        trouble = str(error)
    return templates.page(request, "hosts.html", 503 if trouble else 200, hosts=found, trouble=trouble)


def _promotable_to(history: ModelDetails) -> list[str]:
    """Where the model could be promoted to, as far as its records say."""
    if history.out_of_service is not None:
        return []
    here = {version.record.environment for version in history.versions}
    served_in = {version.record.environment for version in history.versions if version.states[0] == "served"}
    return [one.name for one in ENVIRONMENTS if one.promotes_from in here and one.name not in served_in]


def _side_by_side(left: ModelDetails, right: ModelDetails) -> list[tuple[object, object]]:
    """The pictures of both that are of the same thing."""
    found = [
        {
            (kind, one.title): one
            for kind, figures in (
                ("evaluation", evaluation.figures(side.record)),
                ("own", own.figures(side.record.plots)),
                ("distribution", distributions.of_training(side.record)),
            )
            for one in figures
        }
        for side in (left, right)
    ]
    return [(found[0].get(of_what), found[1].get(of_what)) for of_what in dict.fromkeys([*found[0], *found[1]])]


def _newest_of(attempts_view: AttemptsView, filename: str) -> Attempts | None:
    """The newest inferences of a model; None while the index is being made."""
    try:
        return attempts_view.attempts(("inference",), AttemptFilter(model=filename), _INFERENCES_OF_A_MODEL)
    except NotReady:
        return None


def _drift_of(attempts_view: AttemptsView, filename: str) -> object | None:
    """The drift of the newest inference with the model that has some; None: there is none."""
    newest = _newest_of(attempts_view, filename)
    for _, record in newest.shown if newest else ():
        if getattr(record, "drift", None) is not None:
            return record
    return None
