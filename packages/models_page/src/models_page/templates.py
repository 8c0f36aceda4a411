"""The pages' templates, and what each of them is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from fastapi.responses import HTMLResponse

from bulkhead import environments, formatting
from bulkhead.model_name import DEFAULT_NAME
from models_page import PREFIX, filters, plot_tables

if TYPE_CHECKING:
    from fastapi import Request

    from bulkhead.index import IndexProgress
    from models_page.registry_view import RegistryView

_FILTERS = {
    "text": filters.text,
    "figure": filters.figure,
    "metric": formatting.metric,
    "time": formatting.time,
    "moment": formatting.moment,
    "short": filters.short,
    "size": formatting.size,
    "duration": formatting.duration,
    "run_path": filters.run_path,
    "predictions": filters.predictions,
    "plain": filters.plain,
    "path": filters.path,
    "typed": filters.typed,
    "is_file_name": filters.is_file_name,
    "model_name": filters.model_name,
    "leading_metrics": filters.leading_metrics,
    "plot_tables": plot_tables.tables,
    "with_query": filters.with_query,
    "with_cursor": filters.with_cursor,
    "without_cursor": filters.without_cursor,
}


class Templates:
    """Renders the templates in ``html/``; everything that is put into one is escaped."""

    def __init__(self, registry_view: RegistryView) -> None:
        self._registry_view = registry_view
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "html"),
            autoescape=True,
            undefined=jinja2.ChainableUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(_FILTERS)
        for name in self._environment.list_templates():
            self._environment.get_template(name)  # compiled now, not in somebody's request

    def page(self, request: Request, name: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """The page ``name``, with what every page says of the state of the registry."""
        values.setdefault("status", self._registry_view.look())
        return HTMLResponse(self._render(request, name, values), status_code)

    def indexing(self, request: Request, status: IndexProgress) -> HTMLResponse:
        """What is shown until the index is made; it loads itself again."""
        return HTMLResponse(self._render(request, "indexing.html", {"status": status}), headers={"Refresh": "2"})

    def _render(self, request: Request, name: str, values: dict[str, Any]) -> str:
        root = request.scope["root_path"]
        known = {
            "root": root,
            "airflow": root.removesuffix(PREFIX),
            "first_environment": environments.FIRST,
            "default_name": DEFAULT_NAME,
            "visitor": request.state.visitor,
            "query": request.query_params,
            "url": request.url,
        }
        return self._environment.get_template(name).render(known | values)
