"""The application: pages, JSON, static files, all behind the login."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from bulkhead.index import Index
from bulkhead.maintenance.background_verify import BackgroundVerify
from models_page import api, pages, query_parameters
from models_page.login import LoginMiddleware
from models_page.registry_view import NotReady, RegistryView
from models_page.templates import Templates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from models_page.login import Access

_STATIC = Path(__file__).parent / "static"

_DESCRIPTION = (
    "What the Models page shows, as JSON. It reads, and changes nothing; models are promoted and rolled back by"
    " triggering their DAGs. Log in as for Airflow's own API: by its token in the Authorization header, or by the UI's"
    " cookie."
)


def create_app(models: Path, shared: Path, access: Access, folder: Path | None = None) -> FastAPI:
    """The application for the registry in ``models``; ``folder`` is for temporary files, and this user's alone."""
    index = Index(models, folder)
    registry_view = RegistryView(index)
    background_verify = BackgroundVerify(models, shared, index.folder)
    templates = Templates(registry_view)
    app = FastAPI(
        title="Bulkhead models",
        version="1",
        description=_DESCRIPTION,
        # FastAPI's own page loads its scripts from elsewhere; pages.py has one without any.
        docs_url=None,
        redoc_url=None,
        lifespan=lambda _app: _started(registry_view, background_verify),
    )
    app.include_router(api.router(registry_view, background_verify))
    app.include_router(pages.router(registry_view, background_verify, templates), include_in_schema=False)
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

    app.add_middleware(query_parameters.WithoutEmptyFields)
    app.add_middleware(LoginMiddleware, access=access, recorded=registry_view.recorded_places)
    _say_how_to_log_in(app)
    return app


@asynccontextmanager
async def _started(registry_view: RegistryView, background_verify: BackgroundVerify) -> AsyncIterator[None]:
    """Reading the registry begins when the server starts, not at the first visit."""
    await run_in_threadpool(registry_view.look)
    yield
    await run_in_threadpool(registry_view.close)
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
