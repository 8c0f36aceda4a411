"""The pages' templates, and what each of them is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from fastapi.responses import HTMLResponse

from bulkhead_airflow.models_page import PREFIX, wording

if TYPE_CHECKING:
    from fastapi import Request

    from bulkhead.index import Status
    from bulkhead_airflow.models_page.catalogue import Catalogue

_FILTERS = {
    "text": wording.text,
    "figure": wording.figure,
    "brief": wording.brief,
    "time": wording.time,
    "moment": wording.moment,
    "short": wording.short,
    "size": wording.size,
    "seconds": wording.seconds,
    "run_path": wording.run_path,
    "predictions": wording.predictions,
    "plain": wording.plain,
    "path": wording.path,
    "typed": wording.typed,
    "is_file_name": wording.is_file_name,
    "model_name": wording.model_name,
    "with_cursor": wording.with_cursor,
    "without_cursor": wording.without_cursor,
}


class Templates:
    """Renders the templates in ``html/``; everything that is put into one is escaped."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
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
        values.setdefault("status", self._catalogue.look())
        return HTMLResponse(self._render(request, name, values), status_code)

    def indexing(self, request: Request, status: Status) -> HTMLResponse:
        """What is shown until the index is made; it loads itself again."""
        return HTMLResponse(self._render(request, "indexing.html", {"status": status}), headers={"Refresh": "2"})

    def _render(self, request: Request, name: str, values: dict[str, Any]) -> str:
        root = request.scope["root_path"]
        known = {
            "root": root,
            "airflow": root.removesuffix(PREFIX),
            "visitor": request.state.visitor,
            "query": request.query_params,
            "url": request.url,
        }
        return self._environment.get_template(name).render(known | values)
