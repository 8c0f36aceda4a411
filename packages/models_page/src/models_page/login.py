"""Who is let in: nobody without a login, to no route; and what every answer tells the browser.

A middleware around the whole application, so that a route cannot be forgotten: pages, JSON, static
files, the description of the API and addresses that do not exist are all behind it.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from bulkhead import environments
from bulkhead.model_name import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # Nothing but this application's own files; no inline script or style, so that a record which got out of its
    # quotes would still be nothing but text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}

_SAFE_METHODS = ("GET", "HEAD")

_LOGIN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


@dataclass(frozen=True)
class Visitor:
    """A logged-in user of Airflow."""

    name: str
    may_read: Callable[[str], bool]
    """The runs of the DAG of this id; blocks."""
    may_trigger: Callable[[str], bool]
    """The DAG of this id; blocks."""


def dags_of_records(recorded: Iterable[tuple[str, str]]) -> list[str]:
    """The ids of the DAGs whose runs the records tell of; ``recorded``: the environments and models that these name.

    Those of every environment of the definition, whatever is recorded. An environment or a model that was removed has
    no DAG any more, and its records stay: who could not read such a DAG does not see them. The page shows all
    records or none, so one that nobody may read as a single DAG is left to those who may read every DAG.
    """
    places = dict.fromkeys([*((name, DEFAULT_NAME) for name in environments.NAMES), *sorted(recorded)])
    return [
        environments.dag_id(environment, pipeline, name)
        for environment, name in places
        for pipeline in ("train_model", "inference_pipe")
    ]


class NotLoggedIn(Exception):  # as Airflow says it
    """The request carries no valid login; the text is Airflow's."""


class Access(Protocol):
    """Finds out who sends a request."""

    async def visitor(self, request: Request) -> Visitor:
        """Who asks.

        Raises:
            NotLoggedIn: nobody that Airflow knows.
        """


class LoginMiddleware:
    """Lets logged-in readers through to ``app``; ``recorded``: the environments and models that its records name."""

    def __init__(self, app: ASGIApp, access: Access, recorded: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._app = app
        self._access = access
        self._recorded = recorded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSocket is served; said, lest the server call it an error of ours
            await send({"type": "websocket.close"})
            return
        request = Request(scope, receive)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = await self._refusal(request) or self._app
        await answer(scope, receive, send_with_headers)

    async def _refusal(self, request: Request) -> Response | None:
        try:
            visitor = await self._access.visitor(request)
        except NotLoggedIn as error:
            return _answer(request, 401, str(error), "Log in to Airflow, then open this page again.")
        if not await run_in_threadpool(self._may_read, visitor):
            words = "Reading the models needs permission to read the runs of every environment's DAGs."
            return _answer(request, 403, "Forbidden", f"{words} Ask an administrator of Airflow.")
        if request.method not in _SAFE_METHODS and not _same_origin(request):
            return _answer(request, 403, "Cross-site request refused", "Open the page in Airflow, and try there.")
        request.state.visitor = visitor
        request.state.root = request.scope["root_path"]  # a part of the application that is mounted has another one
        return None

    def _may_read(self, visitor: Visitor) -> bool:
        return all(map(visitor.may_read, dags_of_records(self._recorded())))


def _same_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages asks; a client that is no browser says nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _answer(request: Request, status: int, title: str, text: str) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_LOGIN.format(title=html.escape(title), text=html.escape(text)), status)
    return JSONResponse({"detail": title}, status)
