"""What the application says to requests that it does not understand: pages in HTML, the API in JSON."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest
from tests.support.project import CHURN, inferred, publish

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


COLLECTIONS = ("environments", "models", "metrics", "inferences", "failures", "verify", "index")
ACCEPTED = ("text/html", "application/json", "*/*")


def test_a_page_that_there_is_not_is_a_page_that_leads_back(visit: Visit, registry_with_two_models: Registry) -> None:
    paths = ("nonsense", "models/none.joblib", "inferences/7", "promote/prd/none", "help/none.md", "apis", "static/x")
    with visit(registry_with_two_models) as client:
        for path, accept in product(paths, ACCEPTED):
            answer = client.get(f"/{path}", headers={"Accept": accept})
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "<!doctype html>" in answer.text
            assert '<a href="/">All models</a>' in answer.text
            assert 'href="/static/page.css"' in answer.text
            assert answer.text.count("<h1>") == 1


@pytest.mark.parametrize(("path", "to"), [("/models", "/"), ("/models/?environment=dev", "/?environment=dev")])
def test_the_list_of_models_is_there_too_where_the_models_are(
    visit: Visit, registry_with_two_models: Registry, path: str, to: str
) -> None:
    with visit(registry_with_two_models) as client:
        answer = client.get(path)
        assert (answer.status_code, answer.url.path, str(answer.url.query, "ascii")) == (200, "/", to[2:])


def test_a_route_of_the_api_that_there_is_not_is_json(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        for path, accept in product(("nowhere", "models/none.joblib", "inferences/7", "models/none/notes"), ACCEPTED):
            answer = client.get(f"/api/v1/{path}", headers={"Accept": accept})
            assert answer.status_code in (404, 405), path
            assert isinstance(answer.json()["detail"], str)


def test_the_api_refuses_what_it_does_not_know_by_its_name(visit: Visit, registry_with_two_models: Registry) -> None:
    registry = registry_with_two_models
    inferred(registry, registry.latest("prd"))
    model = f"models/{registry.latest('prd').model_filename}"
    paths = ["models", "inferences", "failures", "metrics", "environments", "verify", "index", "hosts", "inputs", model]
    with visit(registry) as client:
        for path, unknown in product([*paths, "inferences/0"], ["nonsense", "sorted", "run", "Sort"]):
            answer = client.get(f"/api/v1/{path}", params={unknown: "x"})
            assert answer.status_code == 422, path
            assert answer.json()["detail"][0]["loc"] == ["query", unknown]
            assert client.get(f"/api/v1/{path}").status_code != 422


def test_what_changes_something_is_not_done_in_another_way_than_was_asked(
    visit: Visit, registry_with_two_models: Registry
) -> None:
    model = f"models/{registry_with_two_models.latest('prd').model_filename}"
    with visit(registry_with_two_models) as client:
        for method, path, body in (
            ("POST", f"{model}/notes", {"text": "t"}),
            ("PUT", f"{model}/tags/k", {"value": "v"}),
            ("DELETE", f"{model}/tags/k", None),
            ("POST", "inputs/a.csv", None),
        ):
            answer = client.request(method, f"/api/v1/{path}?dry_run=true", json=body)
            assert answer.status_code == 422, path
            assert answer.json()["detail"][0]["loc"] == ["query", "dry_run"]


def test_a_page_passes_over_what_it_does_not_know(visit: Visit, registry_with_two_models: Registry) -> None:
    """Airflow's frame and old bookmarks have parameters of their own."""
    with visit(registry_with_two_models) as client:
        for path in ("/", "/inferences", "/failures", "/health", "/verify", "/docs", "/inputs", "/hosts"):
            assert client.get(path, params={"nonsense": "x"}).status_code == client.get(path).status_code, path


WRONG = [
    ("models", "limit", "0"), ("models", "limit", "501"), ("models", "limit", "x"), ("models", "cursor", "-1"),
    ("models", "cursor", "1" * 19), ("models", "search", "x" * 301), ("inferences", "sort", "rows"),
    ("inferences", "outcome", "well"), ("inferences", "cursor", "1.journal.1"), ("failures", "cursor", "1.training"),
    ("inferences", "since", "tomorrow"), ("inferences", "since", "9999-12-31T23:59:59-14:00"),
    ("failures", "source", "x" * 1001), ("failures", "run_id", "x" * 1001),
]  # fmt: skip


def test_the_api_says_which_parameter_is_wrong(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        for path, field, value in WRONG:
            answer = client.get(f"/api/v1/{path}", params={field: value})
            assert answer.status_code == 422, (path, field, value)
            assert answer.json()["detail"][0]["loc"] == ["query", field]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/?cursor=abc", "cursor: is no place in this list."),
        ("/failures?cursor=1.training", "cursor: is no place in this list."),
        ("/inferences?sort=rows", "sort: is no order of this list."),
    ],
)
def test_a_page_says_in_words_what_is_no_filter(
    visit: Visit, registry_with_two_models: Registry, path: str, words: str
) -> None:
    with visit(registry_with_two_models) as client:
        answer = client.get(path)
    assert answer.status_code == 422
    assert "pattern" not in answer.text
    assert words in re.sub("</?bdi>", "", answer.text)
    assert "Clear the filter" in answer.text


def test_an_address_that_names_nothing_is_no_filter(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        text = client.get("/inferences/abc/predictions.csv").text
    assert "<h1>No such page</h1>" in text
    assert "ilter" not in text


def test_times_say_their_zone_and_points_their_model(visit: Visit, empty_registry: Registry) -> None:
    plain, churn = publish(empty_registry, "prd"), publish(empty_registry, "prd", "churn", **CHURN)
    inferred(empty_registry, plain, 3)
    with visit(empty_registry) as client:
        points = client.get("/api/v1/metrics").json()["points"]
        (inference,) = client.get("/api/v1/inferences").json()["inferences"]
    assert [(one["name"], one["short_name"], one["model_filename"]) for one in points] == [
        ("model", "model #1", plain.model_filename),
        ("churn", "churn #1", churn.model_filename),
    ]
    assert inference["at"] == "2026-02-01T00:00:03+00:00"
    assert all(one["at"].endswith("+00:00") for one in points)
    assert points[0]["at"][:19] == plain.training_timestamp[:19]


def test_every_route_of_the_api_is_described(visit: Visit, empty_registry: Registry) -> None:
    with visit(empty_registry) as client:
        described = client.get("/openapi.json").json()
        text = client.get("/docs").text
    model = "/api/v1/models/{model}"
    others = {model, f"{model}/notes", f"{model}/tags/{{key}}"} | {
        f"/api/v1/{path}"
        for path in ("inferences/{offset}", "inferences/{offset}/predictions", "hosts", "inputs", "inputs/{name}")
    }
    others.add("/inferences/{offset}/predictions.csv")
    assert set(described["paths"]) == {f"/api/v1/{name}" for name in COLLECTIONS} | others
    for path, methods in described["paths"].items():
        assert path in text
        for method, operation in methods.items():
            done = {"post": "201", "delete": "204"}.get(method, "200")
            assert {done, "401", "403"} <= set(operation["responses"])
            if path.endswith(".csv"):
                assert set(operation["responses"][done]["content"]) == {"text/csv"}
            elif method != "delete":
                assert "$ref" in operation["responses"][done]["content"]["application/json"]["schema"]


def test_the_metrics_are_answered_as_they_are_described(visit: Visit, registry_with_two_models: Registry) -> None:
    from models_page.responses import PointCollectionResponse

    with visit(registry_with_two_models) as client:
        content = client.get("/api/v1/metrics").content
    answer = PointCollectionResponse.model_validate_json(content, strict=True, extra="forbid")
    assert [(point.environment, point.r2, point.rmse) for point in answer.points] == [
        ("prd", 0.5, 1.25),
        ("dev", 0.5, 1.25),
    ]
    assert answer.total_entries == 2
