"""Link and gateway: bytes from one host to the other, both ways, and what becomes of them where an end dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest
from aiohttp import web

from bulkhead.host_secret import JoinCode, secret_of
from bulkhead.hosts_protocol import HostStatus
from bulkhead.unix_http import Client, Request, Response, Server
from bulkhead.unix_http.aio import AsyncClient
from hosts.gateway import Gateway, Known
from hosts.link import Link
from hosts.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

KEY = "the key that signs" * 4


async def until(what: Callable[[], Any]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110  # what is waited for knows of no event
            await asyncio.sleep(0.01)


class Site:
    """Both ends on this machine: a first host, one more, and what stands behind either. Nothing is encrypted here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = [HostStatus(name="gpu1", queues=["default", "gpu"], generation="1")]
        self.asked_registrar: list[tuple[str, str, bytes]] = []
        self.asked_api: list[tuple[str, str, dict[str, str], bytes]] = []
        self.registrar = Server(folder / "registrar.sock", self._answer_registrar)
        self.launcher = Server(folder / "launcher.sock", self._answer_launcher, most=256)
        self.pieces: Callable[[], Iterator[bytes]] = lambda: iter(())
        self.gone = 0
        (folder / "sockets").mkdir()
        (folder / "inner").mkdir()
        self.known = Known(folder / "registrar.sock", "a key")

    @property
    def launchers_socket(self) -> Path:
        """That of the other host's launcher, on the first one."""
        return self.folder / "sockets" / "gpu1.sock"

    @property
    def registrars_socket(self) -> Path:
        """That of the registrar, on the other host."""
        return self.folder / "offered.sock"

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[str]:
        """Gives the address of Airflow's API server as the other host sees it."""
        self.registrar.start()
        self.launcher.start()
        runner = web.ServerRunner(web.Server(self._answer_api))
        await runner.setup()
        api = web.TCPSite(runner, "127.0.0.1", 0)
        await api.start()
        assert api._server is not None
        port = api._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's
        proxy = Proxy(
            f"http://127.0.0.1:{port}",
            KEY,
            self.folder / "registrar.sock",
            self.known.queues_of,
            {"BULKHEAD_UID": "1234"},
        )
        gateway = Gateway(self.known, proxy, self.folder / "sockets", self.folder / "inner", secured=False)
        serving = asyncio.create_task(gateway.serve("127.0.0.1", 0))
        await until(lambda: gateway.port)
        self.gateway_port = gateway.port
        code = JoinCode("gpu1", "0" * 64, "127.0.0.1", gateway.port)
        self.link = Link(code, self.folder / "launcher.sock", self.registrars_socket, port=0, secured=False)
        linking = asyncio.create_task(self.link.serve())
        try:
            await until(lambda: self.link.address[1] and self.launchers_socket.exists() and self.known._hosts)
            yield f"http://127.0.0.1:{self.link.address[1]}"
        finally:
            linking.cancel()
            serving.cancel()
            await asyncio.gather(linking, serving, return_exceptions=True)
            await proxy.close()
            await runner.cleanup()
            self.registrar.stop()
            self.launcher.stop()

    def _answer_registrar(self, request: Request) -> Response:
        if request.path == "/hosts":
            return Response(200, msgspec.json.encode(self.hosts))
        self.asked_registrar.append((request.method, request.path, request.body))
        return Response.of({"asked": request.path})

    def _answer_launcher(self, request: Request) -> Response:
        if request.path.endswith("/logs"):
            request.on_gone(self._note_gone)
            return Response(200, self.pieces(), "text/plain")
        return Response.of({"path": request.path, "body": request.body.decode()})

    def _note_gone(self) -> None:
        self.gone += 1

    async def _answer_api(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        self.asked_api.append((request.method, str(request.rel_url), dict(request.headers), body))
        return web.json_response({"answered": request.path})


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="link-"))  # a socket's path must be short
    yield Site(folder)
    shutil.rmtree(folder)


async def asked(url: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, json=body, headers={"Authorization": "its own"}) as answer,
    ):
        return answer.status, await answer.json()


def test_the_first_host_asks_the_launcher_of_another(site: Site) -> None:
    async def run() -> None:
        async with site.up():
            client = Client(site.launchers_socket, 10)
            status, body = await asyncio.to_thread(client.request, "POST", "/containers/create?name=x", {"a": 1})
            assert (status, json.loads(body)) == (200, {"path": "/containers/create", "body": '{"a": 1}'})

    asyncio.run(run())


def test_a_hundred_requests_at_once_are_answered(site: Site) -> None:
    async def run() -> None:
        async with site.up():
            client = AsyncClient(site.launchers_socket, 20)
            answers = await asyncio.gather(*(client.get(f"/containers/{number}/json") for number in range(100)))
            assert [json.loads(body)["path"] for _, body in answers] == [f"/containers/{n}/json" for n in range(100)]

    asyncio.run(run())


def test_an_answer_in_pieces_comes_as_they_come_and_a_caller_that_goes_is_noticed(site: Site) -> None:
    import threading

    more = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first\n"
        more.wait(20)
        yield b"x" * 200_000

    site.pieces = pieces

    async def run() -> None:
        async with site.up():
            client = AsyncClient(site.launchers_socket, 10)
            async with client.stream("/containers/a/logs?follow=1") as answer:
                found = answer.pieces()
                assert await anext(found) == b"first\n"
                more.set()
                size = 0
                async for piece in found:
                    size += len(piece)
                assert size == 200_000
            more.clear()
            async with client.stream("/containers/a/logs?follow=1") as answer:
                assert await anext(answer.pieces()) == b"first\n"
            for _ in range(100):
                if site.gone:
                    break
                await asyncio.sleep(0.1)
            assert site.gone
            more.set()

    asyncio.run(run())


def test_a_task_asks_the_registrar_as_its_host(site: Site) -> None:
    async def run() -> None:
        async with site.up():
            client = Client(site.registrars_socket, 10)
            status, _ = await asyncio.to_thread(client.request, "POST", "/conclude", {"container": "c"})
            assert status == 200
            for path in ("/whereabouts", "/hosts/gpu2/conclude", "/../hosts/gpu2/conclude", "/nonsense"):
                status, _ = await asyncio.to_thread(client.request, "POST", path, {})
                assert status == 403

    asyncio.run(run())
    assert site.asked_registrar == [("POST", "/hosts/gpu1/conclude", b'{"container": "c"}')]


def test_what_a_worker_asks_is_signed_by_the_gateway_for_its_own_host(site: Site) -> None:
    async def run() -> None:
        async with site.up() as api:
            assert (await asked(f"{api}/edge_worker/v1/worker/gpu1", "PATCH", {}))[0] == 200
            run_id = "manual__2026-01-01T00:00:00+00:00"
            path = f"/edge_worker/v1/jobs/state/dag/task/{run_id}/1/-1/running"
            assert (await asked(f"{api}{path}", "PATCH", {}))[0] == 200

    asyncio.run(run())
    for _, path, headers, _ in site.asked_api:
        claims = jwt.decode(headers["Authorization"], KEY, algorithms=["HS512"], audience="api")
        assert claims["method"] == path.removeprefix("/edge_worker/v1/")
    assert len(site.asked_api) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/edge_worker/v1/worker/gpu2"),
        ("POST", "/edge_worker/v1/jobs/fetch/gpu2"),
        ("PATCH", "/edge_worker/v1/worker/queues/gpu1"),
        ("GET", "/edge_worker/ui/worker"),
        ("GET", "/api/v2/dags"),
        ("POST", "/auth/token"),
        ("GET", "/execution/../api/v2/dags"),
        ("GET", "/execution/%2e%2e/api/v2/dags"),
        ("GET", "/"),
    ],
)
def test_what_is_no_workers_business_is_refused(site: Site, method: str, path: str) -> None:
    async def run() -> None:
        async with site.up() as api:
            host, port = api.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert b" 403 " in await reader.readline()
            writer.close()

    asyncio.run(run())
    assert site.asked_api == []


def test_a_worker_fetches_from_the_queues_that_its_host_was_given(site: Site) -> None:
    async def run() -> None:
        async with site.up() as api:
            for queues in (["default", "secret", "host:gpu2", "host:gpu1"], None, ["secret"]):
                body = {"queues": queues, "free_concurrency": 1}
                assert (await asked(f"{api}/edge_worker/v1/jobs/fetch/gpu1", "POST", body))[0] == 200

    asyncio.run(run())
    assert [json.loads(body)["queues"] for *_, body in site.asked_api] == [
        ["default", "host:gpu1"],
        ["host:gpu1"],
        ["host:gpu1"],
    ]


def test_a_tasks_own_token_goes_through(site: Site) -> None:
    async def run() -> None:
        async with site.up() as api:
            assert (await asked(f"{api}/execution/task-instances/x/run?a=1", "PATCH", {"a": 1}))[0] == 200

    asyncio.run(run())
    ((method, path, headers, body),) = site.asked_api
    assert (method, path, headers["Authorization"]) == ("PATCH", "/execution/task-instances/x/run?a=1", "its own")
    assert json.loads(body) == {"a": 1}


def test_a_host_is_told_the_first_ones_settings(site: Site) -> None:
    async def run() -> None:
        async with site.up() as api:
            assert await asked(f"{api}/settings") == (200, {"BULKHEAD_UID": "1234"})

    asyncio.run(run())


def test_a_host_that_is_removed_is_cut_at_once(site: Site) -> None:
    async def run() -> None:
        async with site.up():
            reader, writer = await asyncio.open_connection("127.0.0.1", site.gateway_port)
            writer.write(b"gpu1\nlauncher\n")
            await writer.drain()
            await asyncio.sleep(0.2)
            site.hosts = []
            async with asyncio.timeout(10):
                assert await reader.read(1) == b""
            writer.close()

    asyncio.run(run())


def test_nobody_waits_long_for_a_host_that_is_away(site: Site) -> None:
    async def run() -> None:
        async with site.up():
            for task in list(site.link._tasks):
                task.cancel()
            await asyncio.sleep(0.3)
            with pytest.raises(OSError):  # noqa: PT011  # whichever: nobody is there
                await asyncio.to_thread(Client(site.launchers_socket, 10).request, "GET", "/info")

    asyncio.run(run())


def test_a_secret_is_another_for_each_host_and_each_time() -> None:
    made = {
        secret_of("key", "a", "1"),
        secret_of("key", "b", "1"),
        secret_of("key", "a", "2"),
        secret_of("k", "a", "1"),
    }
    assert len(made) == 4
    assert all(len(one) == 64 for one in made)


@pytest.mark.parametrize("address", ["10.0.0.1", "main.example", "fd00::1"])
def test_a_code_is_read_as_it_was_written(address: str) -> None:
    code = JoinCode("gpu1", "ab" * 32, address, 8443)
    assert JoinCode.parse(f" {code}\n") == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpu1",
        "gpu1:ab@x:1",
        f"GPU:{'ab' * 32}@x:1",
        f"a:{'ab' * 32}@x:0",
        f"a:{'ab' * 32}@x:99999",
        f"a:{'ab' * 32}@:1",
    ],
)
def test_a_code_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no code of 'just host-add'"):
        JoinCode.parse(text)
