"""The application: pages, JSON, static files, all behind the guard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from bulkhead_airflow.models_page.guard import Access, Guard

HERE = Path(__file__).parent


def create_app(models: Path, access: Access) -> FastAPI:
    app = FastAPI(title="Bulkhead models", docs_url=None, redoc_url=None)
    app.add_middleware(Guard, access=access)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    templates = Jinja2Templates(HERE / "templates")

    @app.get("/")
    def home(request: Request) -> HTMLResponse:
        return templates.TemplateResponse(request, "page.html", {"root": request.scope["root_path"]})

    return app
