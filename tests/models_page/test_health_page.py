"""The page that says whether all is well, and what to do where it is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import CHURN, inferred, publish, training_failure

from bulkhead.registrar_protocol import SOCKET_VARIABLE
from bulkhead.unix_http import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

LATER = "2099-01-01T00:00:00.000000+00:00"


@pytest.fixture
def registrar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is well, knows of no other host, and has seen no journal yet."""

    def answer(request: Request) -> Response:
        return Response(200, msgspec.json.encode({"/hosts": [], "/health": {}, "/chain": {}}[request.path]))

    server = Server(tmp_path / "r.sock", answer)
    server.start()
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "r.sock"))
    yield
    server.stop()


def words_of(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_what_is_served_and_how_each_pipeline_ended_last(
    visit: Visit, empty_registry: Registry, registrar: None, tmp_path: Path
) -> None:
    del registrar
    (tmp_path / "shared").mkdir()
    model = publish(empty_registry, "prd")
    publish(empty_registry, "prd", "c", **CHURN)
    inferred(empty_registry, model, 1)
    failed = training_failure(LATER, model_name="churn", cause="out_of_memory", detail="it <grew>")
    empty_registry.record_failure("training", failed)
    with visit(empty_registry) as client:
        answer = client.get("/health")
    said = words_of(answer.text)
    assert answer.status_code == 200
    assert "Yes. Nothing needs anybody." in said
    assert "prd model model #1" in said
    assert "prd churn churn #1" in said
    assert "prd churn training out_of_memory" in said
    assert "it &lt;grew&gt;" in answer.text
    assert "prd model inference success 2026-02-01 00:00:01 2 predictions by" in said
    assert 'href="/dags/prd_inference_pipe_dag/runs/' in answer.text
    assert "models/" in said
    assert "shared/" in said
    assert "registrar ready" in said


def test_a_registrar_that_is_away_and_a_served_file_that_is_gone_are_told(
    visit: Visit, empty_registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "nobody.sock"))
    model = publish(empty_registry, "prd")
    (empty_registry.folder / model.model_filename).unlink()
    with visit(empty_registry) as client:
        said = words_of(client.get("/health").text)
    assert "Nothing needs anybody" not in said
    assert "The registrar does not answer" in said
    assert f"prd serves {model.model_filename} of model, which cannot be used: missing." in said
    assert "registrar away" in said


def test_an_empty_registry_has_a_page_of_health_too(visit: Visit, empty_registry: Registry, registrar: None) -> None:
    del registrar
    with visit(empty_registry) as client:
        said = words_of(client.get("/health").text)
    assert "No environment has a model yet." in said
    assert "Nothing has run yet." in said
