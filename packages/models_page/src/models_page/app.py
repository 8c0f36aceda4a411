"""The application: pages, JSON, static files, all behind the login."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from bulkhead.index import Index
from bulkhead.maintenance.background_verify import BackgroundVerify
from models_page import (
    annotations_api,
    api,
    attempts_pages,
    health_pages,
    help_pages,
    inputs_api,
    inputs_pages,
    pages,
    predictions_api,
    query_parameters,
)
from models_page.attempts_view import AttemptsView
from models_page.login import LoginMiddleware
from models_page.readers import NotReady, Readers
from models_page.registry_view import RegistryView
from models_page.templates import Templates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from models_page.arrivals import Arrivals
    from models_page.login import Access

_STATIC = Path(__file__).parent / "static"

_DESCRIPTION = (
    "What the Models page shows, as JSON. It reads the registry; notes and tags are all that it adds there: models are"
    " promoted, rolled back and revoked by triggering their DAGs. A table can be put into `shared/inputs/`. Log in as"
    " for Airflow's own API: by its token in the Authorization header, or by the UI's cookie."
)


class Vendored(StaticFiles):
    """Files whose names hold their version: who has one need not ask for it again. Whoever has no login gets none."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, to be kept by the browser that asked, and by nobody between."""
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return answer


def create_app(  # noqa: PLR0913  # what it stands on
    models: Path,
    shared: Path,
    access: Access,
    folder: Path | None = None,
    *,
    docs: Path | None = None,
    arrivals: Arrivals | None = None,
    trouble: str = "",
) -> FastAPI:
    """The application for the registry in ``models``.

    Args:
        models: the registry.
        shared: the inputs are in it, and what verify looks at.
        access: finds out who asks.
        folder: for temporary files, and this user's alone.
        docs: in it are README.md and ``docs/``; None: this clone's are not there.
        arrivals: where tables from the browser arrive; None: nowhere.
        trouble: why nowhere.
    """
    index = Index(models, folder)
    readers = Readers(index)
    registry_view, attempts_view = RegistryView(readers), AttemptsView(readers)
    background_verify = BackgroundVerify(models, shared, index.folder)
    templates = Templates(readers)
    app = FastAPI(
        title="Bulkhead models",
        version="1",
        description=_DESCRIPTION,
        # FastAPI's own page loads its scripts from elsewhere; pages.py has one without any.
        docs_url=None,
        redoc_url=None,
        lifespan=lambda _app: _started(readers, background_verify, arrivals),
    )
    app.include_router(annotations_api.router(readers, registry_view))
    app.include_router(api.router(readers, registry_view, attempts_view, background_verify))
    app.include_router(inputs_api.router(shared, arrivals, trouble))
    app.include_router(predictions_api.router(readers, attempts_view))
    for router in (
        attempts_pages.router(readers, registry_view, attempts_view, templates),
        inputs_pages.router(shared, arrivals, trouble, templates),
        health_pages.router(readers, registry_view, background_verify, shared, templates),
        help_pages.router(docs, templates),
        pages.router(readers, registry_view, attempts_view, background_verify, templates),
    ):
        app.include_router(router, include_in_schema=False)
    app.mount("/static/vendor", Vendored(directory=_STATIC / "vendor"), name="vendor")
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.exception_handler(NotReady)
    def not_ready(request: Request, error: NotReady) -> Response:
        if not _is_page(request):
            detail = f"The registry is being read, {error.status.percent} % done. Ask again in a few seconds."
            return JSONResponse({"detail": detail}, 503, {"Retry-After": "2"})
        return templates.indexing(request, error.status)

    @app.exception_handler(RequestValidationError)
    def not_understood(request: Request, error: RequestValidationError) -> Response:
        if _is_page(request):
            return templates.page(request, "refused.html", 422, errors=error.errors())
        return JSONResponse({"detail": jsonable_encoder(error.errors(), exclude={"ctx", "input"})}, 422)

    @app.exception_handler(StarletteHTTPException)
    def not_there(request: Request, error: StarletteHTTPException) -> Response:
        if not _is_page(request):
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        status, detail, phrase = error.status_code, str(error.detail), HTTPStatus(error.status_code).phrase
        words = "There is no page at this address." if detail == phrase else detail
        return templates.page(request, "unknown.html", status, title=phrase, words=words)

    app.add_middleware(query_parameters.WithoutEmptyFields)
    app.add_middleware(LoginMiddleware, access=access, recorded=readers.recorded_places)
    _say_how_to_log_in(app)
    return app


@asynccontextmanager
async def _started(
    readers: Readers, background_verify: BackgroundVerify, arrivals: Arrivals | None
) -> AsyncIterator[None]:
    """Reading the registry begins when the server starts, not at the first visit."""
    if arrivals is not None:
        await run_in_threadpool(arrivals.sweep)
    await run_in_threadpool(readers.look)
    yield
    await run_in_threadpool(readers.close)
    await run_in_threadpool(background_verify.close)


def _is_page(request: Request) -> bool:
    return not request.url.path.startswith(f"{request.scope['root_path']}/api/")


def _say_how_to_log_in(app: FastAPI) -> None:
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        schema.setdefault("components", {})["securitySchemes"] = {
            "OAuth2PasswordBearer": {
                "type": "oauth2",
                "flows": {"password": {"scopes": {}, "tokenUrl": "/auth/token"}},
            },
            "HTTPBearer": {"type": "http", "scheme": "bearer"},
        }
        schema["security"] = [{"OAuth2PasswordBearer": []}, {"HTTPBearer": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way of extending it
