"""The pages' templates, and what each of them is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from fastapi.responses import HTMLResponse

from bulkhead import environments, formatting
from bulkhead.model_name import DEFAULT_NAME
from models_page import PREFIX, filters, responses

if TYPE_CHECKING:
    from fastapi import Request

    from bulkhead.index import IndexProgress
    from models_page.readers import Readers

_FILTERS = {
    "text": filters.text,
    "drawing": lambda figure: responses.sound(figure.drawing),
    "figure": filters.figure,
    "told": filters.told,
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
    "is_query": filters.is_query,
    "is_file_name": filters.is_file_name,
    "model_name": filters.model_name,
    "is_model_file": filters.is_model_file,
    "pattern": filters.pattern,
    "by_name": filters.by_name,
    "psi": filters.psi,
    "refusal": filters.refusal,
    "leading_metrics": filters.leading_metrics,
    "with_query": filters.with_query,
    "with_cursor": filters.with_cursor,
    "without_cursor": filters.without_cursor,
}


class Templates:
    """Renders the templates in ``html/``; everything that is put into one is escaped."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
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
        values.setdefault("status", self._readers.look())
        return HTMLResponse(self._render(request, name, values), status_code)

    def indexing(self, request: Request, status: IndexProgress) -> HTMLResponse:
        """What is shown until the index is made; it loads itself again."""
        return HTMLResponse(self._render(request, "indexing.html", {"status": status}), headers={"Refresh": "2"})

    def _render(self, request: Request, name: str, values: dict[str, Any]) -> str:
        root = request.state.root
        known = {
            "root": root,
            "airflow": root.removesuffix(PREFIX),
            "first_environment": environments.FIRST,
            "default_name": DEFAULT_NAME,
            "visitor": request.state.visitor,
            "query": request.query_params,
            "url": request.url,
            "seen": self._readers.seen(),
        }
        return self._environment.get_template(name).render(known | values)
