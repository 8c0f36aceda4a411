"""Nobody is let in without a login, to no route; and what answers tell the browser."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect
from tests.support.project import inferred, publish, training_failure

from models_page.login import dags_of_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


VENDORED = sorted((resources.files("models_page") / "static/vendor").iterdir(), key=str)
WORDS = {
    "model": "model_x.joblib", "environment": "prd", "offset": "0", "name": "new.csv", "path": "docs/x.md", "key": "k",
}  # fmt: skip
"""What stands in a path in place of its parameters."""


def routes(client: TestClient) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers, and some that it does not."""
    for route in client.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Mount):
            assert route.path in ("/static", "/static/vendor")
            yield from (("GET", f"{route.path}/{name}") for name in ("page.css", "page.js", "icon.svg", "nothing"))
        else:
            assert isinstance(route, APIRoute | Route), route
            for method in route.methods or ():
                yield method, re.sub(r"{(\w+)(:path)?}", lambda found: WORDS[found[1]], route.path)
    yield from (("GET", path) for path in ("/nowhere", "/api/v1/nowhere", "/openapi.json", "/redoc", "/docs"))
    yield from (("GET", f"/static/vendor/{path.name}") for path in VENDORED)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_no_route_answers_without_a_login(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody, accept: str
) -> None:
    with visit(registry_with_two_models) as client:
        somebody.logged_in = False
        asked = list(routes(client))
        assert len(asked) > 15
        for method, path in asked:
            answer = client.request(method, path, headers={"Accept": accept})
            assert answer.status_code == 401, (method, path)
            if method != "HEAD" and accept == "application/json":
                assert answer.json() == {"detail": "Not authenticated"}
            assert "model_" not in answer.text


@pytest.mark.parametrize("logged_in", [True, False])
def test_a_websocket_is_refused_and_no_error_of_ours(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody, *, logged_in: bool
) -> None:
    somebody.logged_in = logged_in
    with visit(registry_with_two_models) as client:
        for path in ("/", "/api/v1/models", "/nowhere"):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
                pass


def test_no_route_answers_who_may_not_read_the_pipelines(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    with visit(registry_with_two_models) as client:
        somebody.hidden = {"dev_train_model_dag"}
        for method, path in routes(client):
            assert client.request(method, path).status_code == 403, (method, path)


@pytest.mark.parametrize("dag_id", dags_of_records(()))
def test_who_may_not_read_a_dag_of_any_environment_reads_nothing(
    dag_id: str, visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    somebody.hidden = {dag_id}
    with visit(registry_with_two_models) as client:
        assert client.get("/").status_code == client.get("/api/v1/models").status_code == 403


@pytest.mark.parametrize("recorded", ["model", "inference", "failure"])
def test_records_of_an_environment_that_was_removed_are_shown_to_those_who_could_read_its_dags(
    recorded: str, visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    registry = registry_with_two_models
    if recorded == "model":
        publish(registry, "removed")
    elif recorded == "inference":
        inferred(registry, registry.latest("dev"), environment="removed")
    else:
        registry.record_failure("training", training_failure(environment="removed"))
    with visit(registry) as client:
        assert client.get("/").status_code == 200
        somebody.hidden = {"removed_train_model_dag"}
        for method, path in routes(client):
            assert client.request(method, path).status_code == 403, (method, path)


def test_an_environment_that_is_recorded_while_the_page_is_open_is_asked_for_too(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    somebody.hidden = {"removed_inference_pipe_dag"}
    with visit(registry_with_two_models) as client:
        assert client.get("/").status_code == 200
        publish(registry_with_two_models, "removed")
        assert client.get("/").status_code == 403


def test_legacy_records_without_an_environment_are_shown_to_every_reader(
    visit: Visit, registry_of_legacy_records: Registry, somebody: Somebody
) -> None:
    somebody.hidden = {"_train_model_dag", "_inference_pipe_dag"}
    with visit(registry_of_legacy_records) as client:
        assert client.get("/failures").status_code == 200


def test_every_answer_forbids_what_is_not_of_this_origin(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        for method, path in routes(client):
            headers = client.request(method, path, follow_redirects=False).headers
            policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
            assert policy.pop("default-src") == "'none'"
            assert policy.pop("base-uri") == "'none'"
            assert set(policy.values()) == {"'self'"}
            assert headers["x-content-type-options"] == "nosniff"


def test_the_browser_keeps_what_has_its_version_in_its_name_and_nothing_else(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    with visit(registry_with_two_models) as client:
        kept = set()
        for method, path in routes(client):
            answer = client.request(method, path, follow_redirects=False)
            said = answer.headers["cache-control"]
            assert said in ("private, no-store", "private, max-age=31536000, immutable"), (path, said)
            if "immutable" in said:
                kept.add(path)
                assert answer.status_code == 200
                assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert kept == {f"/static/vendor/{path.name}" for path in VENDORED}
        assert {f"/static/vendor/{name}" for name in re.findall(r"vendor/([^\"]+)", client.get("/").text)} <= kept
        somebody.logged_in = False
        for path in kept:
            refused = client.get(path)
            assert (refused.status_code, refused.headers["cache-control"]) == (401, "private, no-store")


def test_a_script_that_is_kept_has_its_version_in_its_name() -> None:
    for path in VENDORED:
        if path.name.endswith(".js"):
            (version,) = re.findall(r"-(\d+\.\d+\.\d+)\.min\.js$", path.name)
            assert version in path.read_text()[:200]


def test_no_page_names_another_origin_or_holds_a_script_or_a_style(
    visit: Visit, registry_with_two_models: Registry
) -> None:
    with visit(registry_with_two_models) as client:
        for method, path in routes(client):
            text = client.request(method, path).text
            if "<!doctype html>" in text:
                assert "http://" not in text.replace("http://www.w3.org/", "")
                assert "https://" not in text
                scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
                assert len(scripts) == text.count("<script") >= 1
                for attributes, content in scripts:
                    assert re.fullmatch(r'( defer)? src="/static/[a-z0-9./-]+\.js"', attributes), (path, attributes)
                    assert content == ""
                assert not re.search(r"<[^>]* on\w+=", text)
                assert "<style" not in text
                assert " style=" not in text


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://elsewhere"}]
)
def test_another_site_cannot_start_a_verify(visit: Visit, empty_registry: Registry, headers: dict[str, str]) -> None:
    with visit(empty_registry) as client:
        assert client.post("/verify", headers=headers).status_code == 403
        assert client.get("/api/v1/verify").json()["running"] is None


def test_the_api_changes_nothing_but_notes_and_tags_and_takes_tables(
    visit: Visit, registry_with_two_models: Registry
) -> None:
    with visit(registry_with_two_models) as client:
        writing = {(method, path) for method, path in routes(client) if method not in ("GET", "HEAD")}
    assert {(method, path.partition("/api/v1/models/")[2].partition("/")[2] or path) for method, path in writing} == {
        ("POST", "/verify"),
        ("POST", "/api/v1/inputs/new.csv"),
        ("POST", "notes"),
        ("PUT", "tags/k"),
        ("DELETE", "tags/k"),
    }
