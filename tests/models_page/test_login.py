"""Nobody is let in without a login, to no route; and what answers tell the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


def routes(client: TestClient) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers, and some that it does not."""
    for route in client.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Mount):
            assert route.path == "/static"
            yield from (("GET", f"/static/{name}") for name in ("page.css", "page.js", "icon.svg", "nothing"))
        else:
            assert isinstance(route, APIRoute | Route), route
            for method in route.methods or ():
                yield method, route.path.replace("{filename:path}", "model_x.joblib").replace("{filename}", "model_x")
    yield from (("GET", path) for path in ("/nowhere", "/api/v1/nowhere", "/openapi.json", "/redoc", "/docs"))


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


def test_no_route_answers_who_may_not_read_the_pipelines(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    with visit(registry_with_two_models) as client:
        somebody.may_read = False
        for method, path in routes(client):
            assert client.request(method, path).status_code == 403, (method, path)


def test_every_answer_forbids_what_is_not_of_this_origin(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        for method, path in routes(client):
            headers = client.request(method, path, follow_redirects=False).headers
            policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
            assert policy.pop("default-src") == "'none'"
            assert policy.pop("base-uri") == "'none'"
            assert set(policy.values()) == {"'self'"}
            assert headers["x-content-type-options"] == "nosniff"


def test_no_page_names_another_origin_or_holds_a_script_or_a_style(
    visit: Visit, registry_with_two_models: Registry
) -> None:
    with visit(registry_with_two_models) as client:
        for method, path in routes(client):
            text = client.request(method, path).text
            if "<!doctype html>" in text:
                assert "http://" not in text.replace("http://www.w3.org/", "")
                assert "https://" not in text
                assert text.count("<script") == text.count("/static/page.js") <= 1
                assert "<style" not in text
                assert " style=" not in text


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://elsewhere"}]
)
def test_another_site_cannot_start_a_verify(visit: Visit, empty_registry: Registry, headers: dict[str, str]) -> None:
    with visit(empty_registry) as client:
        assert client.post("/verify", headers=headers).status_code == 403
        assert client.get("/api/v1/verify").json()["running"] is None


def test_the_api_changes_nothing(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        methods = {method for method, path in routes(client) if path.startswith("/api/")}
        posted = {path for method, path in routes(client) if method not in ("GET", "HEAD")}
    assert methods == {"GET"}
    assert posted == {"/verify"}
