"""The pages in a Chromium without a stack: a registry that real steps have filled, and who answers beside it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.testclient import TestClient
from tests.browser.support import Anybody, Visit, launched
from tests.support.stepped import fill

from bulkhead.files import sha256
from bulkhead.hosts_protocol import HostReport, HostStatus
from bulkhead.identity import Identity
from bulkhead.registrar_protocol import SOCKET_VARIABLE, SeenHead
from bulkhead.registry import annotating, chain, journal
from bulkhead.unix_http import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ViewportSize
    from tests.browser.support import Open
    from tests.support.stepped import SteppedProject

REPORT = HostReport(
    time=0, began=0, commit="c0ffee" * 7, engine="E", engine_version="26.1", cpus=4, memory=16 << 30, slots=4
)
HOSTS = [
    HostStatus(name="main", queues=["default"], report=REPORT, seconds_silent=1.2, running=2),
    HostStatus(name="gpu1", queues=["gpu"], report=REPORT, seconds_silent=99, problems=["its clock <is> wrong."]),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> SteppedProject:
    made = fill(tmp_path_factory.mktemp("project"))
    # After all that hands have written, so that the log ends in a line of the chain.
    annotating.note(made.registry, made.regressions[-1].model_filename, "ada", "as it is", Identity())
    return made


@pytest.fixture(scope="module")
def registrar(stepped: SteppedProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A socket where somebody knows of two hosts, has seen both logs, and is well."""
    path = tmp_path_factory.mktemp("registrar") / "r.sock"
    logs = {"training": stepped.registry.training_journal, "inference": stepped.registry.inference_journal}
    heads = {name: seen_head(path_of) for name, path_of in logs.items()}
    answers: dict[str, Any] = {"/hosts": HOSTS, "/health": {}, "/chain": heads}

    def answer(request: Request) -> Response:
        return Response(200, msgspec.json.encode(answers[request.path]))

    server = Server(path, answer)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SOCKET_VARIABLE, str(path))
        yield
    server.stop()


def seen_head(path: Path) -> SeenHead:
    """The last line of the journal at ``path`` that is part of its chain."""
    line = next(line for _, line in journal.lines_newest_first(path) if chain.parse(line) is not None)
    link = chain.parse(line)
    assert link is not None
    return SeenHead(seq=link.seq, hash=sha256(line), seen_at="2026-11-30T00:00:00.000000+00:00")


@pytest.fixture(scope="module")
def client(
    stepped: SteppedProject, registrar: None, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[TestClient]:
    from bulkhead.index import Index
    from models_page.app import create_app
    from models_page.arrivals import Arrivals

    del registrar
    folder = tmp_path_factory.mktemp("temporary")
    shared = stepped.project.folder / "shared"
    (shared / "runs").mkdir(exist_ok=True)
    shutil.copytree(stepped.project.inputs, shared / "inputs", dirs_exist_ok=True)
    app = create_app(
        stepped.registry.folder,
        shared,
        Anybody(),
        folder,
        docs=pytestconfig.rootpath,
        arrivals=Arrivals(tmp_path_factory.mktemp("arriving")),
    )
    with TestClient(app, base_url="http://airflow.test", root_path="/bulkhead") as made:
        Index(stepped.registry.folder, folder).wait()
        yield made


@pytest.fixture
def opened(browser: Browser, client: TestClient) -> Iterator[Open]:
    """Opens a page of the browser; options are those of its context."""
    contexts = []

    def open_page(width: int = 1440, theme: str = "light", **options: Any) -> Visit:
        window: ViewportSize = {"width": width, "height": 950}
        context = browser.new_context(viewport=window, color_scheme=theme, **options)  # type: ignore[arg-type]
        contexts.append(context)
        return Visit(context.new_page(), client)

    yield open_page
    for context in contexts:
        context.close()
