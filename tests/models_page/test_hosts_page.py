"""The hosts on the page, as the registrar lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bulkhead.hosts_protocol import HostReport, HostStatus
from bulkhead.registrar_protocol import SOCKET_VARIABLE
from bulkhead.unix_http import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

REPORT = HostReport(
    time=0, began=0, commit="abcdef0123456789", engine="E", engine_version="26.1", cpus=4, memory=16 << 30, slots=4
)


class Registrar:
    def __init__(self, path: Path) -> None:
        self.hosts: list[HostStatus] = []
        self.server = Server(path, self._answer)
        self.server.start()

    def _answer(self, request: Request) -> Response:
        assert (request.method, request.path) == ("GET", "/hosts")
        return Response(200, msgspec.json.encode(self.hosts))


@pytest.fixture
def registrar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registrar]:
    made = Registrar(tmp_path / "r.sock")
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "r.sock"))
    yield made
    made.server.stop()


def test_one_host_is_said_to_be_one(visit: Visit, empty_registry: Registry, registrar: Registrar) -> None:
    del registrar
    with visit(empty_registry) as client:
        assert "on this machine alone" in client.get("/hosts").text
        assert client.get("/api/v1/hosts").json() == {"hosts": []}


def test_each_host_is_shown_with_what_is_wrong(visit: Visit, empty_registry: Registry, registrar: Registrar) -> None:
    registrar.hosts = [
        HostStatus(name="main", queues=["default"], report=REPORT, seconds_silent=1.2, running=2),
        HostStatus(name="gpu1", queues=["gpu"], report=REPORT, seconds_silent=2, problems=["its clock <is> wrong."]),
        HostStatus(name="gpu2", queues=["gpu"], is_lost=True),
    ]
    with visit(empty_registry) as client:
        page = client.get("/hosts").text
        found = client.get("/api/v1/hosts").json()["hosts"]
    assert [one["state"] for one in found] == ["ready", "not ready", "lost"]
    assert found[0]["engine"] == "26.1"
    assert (found[1]["running"], found[2]["slots"]) == (None, None)
    assert "its clock &lt;is&gt; wrong." in page
    for words in ("gpu1", "26.1", "abcdef012345", "never", "not ready"):
        assert words in page


def test_a_registrar_that_is_away_is_said_to_be(
    visit: Visit, empty_registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "nobody.sock"))
    with visit(empty_registry) as client:
        page = client.get("/hosts")
        assert page.status_code == 503
        assert "the registrar does not answer" in page.text
        assert client.get("/api/v1/hosts").status_code == 503
