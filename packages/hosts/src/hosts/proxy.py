"""What of Airflow's API server and of the registrar a host may ask, by the gateway's hand.

The worker's own requests (``/edge_worker/v1``) are signed here, for the host that its connection has proved to be: no
host has the key that signs tokens, and none can speak as another one or as an admin. What a task asks
(``/execution``) carries the token of that one task, which came with it.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
import jwt
import msgspec
from aiohttp import web
from yarl import URL

from bulkhead.hosts_protocol import own_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_EDGE = "/edge_worker/v1/"
_TOKEN_SECONDS = 30
_BODY = 8 << 20
_SECONDS = aiohttp.ClientTimeout(total=300)
_OF_REGISTRAR = {
    ("POST", "/look"),
    ("POST", "/conclude"),
    ("POST", "/fail"),
    ("POST", "/unapproved"),
    ("POST", "/report"),
    ("POST", "/give_up"),
    ("GET", "/chain"),
    ("GET", "/health"),
    ("GET", "/hosts"),
}
_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "upgrade", "te"}


class Proxy:
    """Passes on what hosts may ask.

    Args:
        api: address of Airflow's API server.
        key: signs the tokens of workers, ``[api_auth] jwt_secret``.
        registrar: the registrar's socket.
        queues_of: the queues that a host may serve, by its name.
        settings: what a host has to know of the first one, by names of environment variables.
    """

    def __init__(
        self,
        api: str,
        key: str,
        registrar: Path,
        queues_of: Callable[[str], list[str]],
        settings: Mapping[str, str],
    ) -> None:
        self._api = api
        self._key = key
        self._registrar = registrar
        self._queues_of = queues_of
        self._settings = dict(settings)
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """End what is open."""
        for session in self._sessions.values():
            await session.close()

    def api_of(self, host: str) -> web.Server:
        """Airflow's API server for ``host``."""

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            return await self._ask_api(host, request)

        return web.Server(serve)

    def registrar_of(self, host: str) -> web.Server:
        """The registrar for ``host``."""

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            if (request.method, request.path) not in _OF_REGISTRAR:
                return _refused(403, f"{request.method} {request.path[:60]} is nothing that a host asks")
            url = URL(f"http://registrar/hosts/{host}{request.path}")
            return await self._pass(self._session("registrar"), request, url, await _body(request), {})

        return web.Server(serve)

    async def _ask_api(self, host: str, request: web.BaseRequest) -> web.StreamResponse:
        path, body = request.rel_url.raw_path, await _body(request)
        if (request.method, path) == ("GET", "/settings"):
            return web.json_response(self._settings)
        headers = {}
        if path.startswith(_EDGE):
            rest = unquote(path.removeprefix(_EDGE))
            match request.method, rest.split("/"):
                case "POST", ["jobs", "fetch", name] if name == host:
                    body = self._with_own_queues(host, body)
                case ("POST" | "PATCH", ["worker", name]) if name == host:
                    pass
                case ("PATCH", ["jobs", "state", _, *_]) | ("POST", ["logs", "push", _, *_]) | ("GET", ["health"]):
                    pass
                case _:
                    return _refused(403, f"{request.method} {path[:100]} is nothing that the host {host} asks")
            headers["Authorization"] = self._token(rest)
        elif not path.startswith("/execution/") or "/../" in unquote(path):
            return _refused(403, f"{request.method} {path[:100]} is nothing that a host asks")
        url = URL(self._api + str(request.rel_url), encoded=True)
        return await self._pass(self._session("api"), request, url, body, headers)

    def _with_own_queues(self, host: str, body: bytes) -> bytes:
        """The request for work with the queues alone that are this host's."""
        allowed = {*self._queues_of(host), own_queue(host)}
        try:
            content: Any = msgspec.json.decode(body)
            asked = content.get("queues") or [own_queue(host)]
            content["queues"] = [one for one in asked if one in allowed] or [own_queue(host)]
        except (msgspec.DecodeError, AttributeError, TypeError):
            return b"{}"
        return msgspec.json.encode(content)

    def _token(self, rest: str) -> str:
        now = int(time.time())
        claims = {"jti": uuid.uuid4().hex, "aud": "api", "nbf": now, "iat": now, "exp": now + _TOKEN_SECONDS}
        return jwt.encode(claims | {"method": rest}, self._key, algorithm="HS512", headers={"kid": "not-used"})

    def _session(self, whom: str) -> aiohttp.ClientSession:
        if whom not in self._sessions:
            connector: aiohttp.BaseConnector
            if whom == "registrar":
                connector = aiohttp.UnixConnector(str(self._registrar), force_close=True)
            else:
                connector = aiohttp.TCPConnector(limit=0)
            self._sessions[whom] = aiohttp.ClientSession(connector=connector, timeout=_SECONDS, auto_decompress=False)
        return self._sessions[whom]

    async def _pass(
        self,
        session: aiohttp.ClientSession,
        request: web.BaseRequest,
        url: URL,
        body: bytes,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        own = {name.lower() for name in headers}
        passed = {k: v for k, v in request.headers.items() if k.lower() not in _HOP | own}
        passed["Accept-Encoding"] = "identity"
        try:
            async with session.request(
                request.method, url, data=body or None, headers={**passed, **headers}, allow_redirects=False
            ) as answer:
                content = await answer.read()
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
                return web.Response(status=answer.status, body=content, headers=kept)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return _refused(503, f"it does not answer: {type(error).__name__}: {error}")


async def _body(request: web.BaseRequest) -> bytes:
    found = await request.content.read(_BODY + 1) if request.can_read_body else b""
    while request.can_read_body and len(found) <= _BODY and (more := await request.content.read(_BODY + 1)):
        found += more
    if len(found) > _BODY:
        raise web.HTTPRequestEntityTooLarge(_BODY, len(found))
    return found


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"message": message, "detail": message}, status=status)
