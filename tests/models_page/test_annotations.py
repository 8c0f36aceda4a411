"""Short names, notes and tags in the page's API: who may write, what is refused, and in whose name it is recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.support.project import CHURN, inferred, lines_of, publish

from bulkhead.identity import Identity
from bulkhead.registrar_protocol import PAGE_SOCKET_VARIABLE, AnnotateRequest
from bulkhead.registry import annotating, decisions
from bulkhead.registry.annotating import NoTag, Unfit
from bulkhead.registry.decisions import DecisionContext
from bulkhead.unix_http import Refusal, Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

NAME = quote("churn #2", safe="")
MODEL = f"/api/v1/models/{NAME}"


@pytest.fixture
def churn(empty_registry: Registry) -> list[ModelRecord]:
    publish(empty_registry, "prd", "plain")
    return [publish(empty_registry, "prd", f"churn {number}", **CHURN) for number in range(2)]


@pytest.fixture(autouse=True)
def registrar(empty_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As the registrar's own routes, whose tests are in tests/registrar."""
    import msgspec

    def answer(request: Request) -> Response:
        asked = msgspec.json.decode(request.body, type=AnnotateRequest)
        who = Identity()
        try:
            if asked.kind == "note":
                made: Any = {
                    "note": annotating.note(empty_registry, asked.model_filename, asked.by, asked.text or "", who)
                }
            else:
                key = asked.key or ""
                made = {"tag": annotating.tag(empty_registry, asked.model_filename, asked.by, key, asked.value, who)}
        except NoTag as error:
            raise Refusal(404, str(error)) from None
        except Unfit as error:
            raise Refusal(422, str(error)) from None
        return Response(200, msgspec.json.encode(made))

    server = Server(tmp_path / "page.sock", answer)
    server.start()
    monkeypatch.setenv(PAGE_SOCKET_VARIABLE, str(tmp_path / "page.sock"))
    yield
    server.stop()


@pytest.fixture
def trainer(somebody: Somebody) -> Somebody:
    """May train churn in prd, and nothing else."""
    somebody.triggers = {"prd_churn_train_model_dag"}
    return somebody


@pytest.mark.usefixtures("trainer")
def test_notes_and_tags_are_written_read_and_removed(
    visit: Visit, empty_registry: Registry, churn: list[ModelRecord]
) -> None:
    with visit(empty_registry) as client:
        noted = client.post(f"{MODEL}/notes", json={"text": "<b>look</b>\nhere"})
        assert noted.status_code == 201
        assert noted.json()["by"] == "somebody"
        assert client.put(f"{MODEL}/tags/owner", json={"value": "ada"}).json()["value"] == "ada"
        assert client.put(f"{MODEL}/tags/owner", json={"value": "bob"}).status_code == 200
        assert client.put(f"{MODEL}/tags/gone", json={"value": "x"}).status_code == 200
        assert client.delete(f"{MODEL}/tags/gone").status_code == 204
        told = client.get(MODEL).json()
        other = client.get(f"/api/v1/models/{churn[0].model_filename}").json()
    assert [(one["by"], one["text"]) for one in told["notes"]] == [("somebody", "<b>look</b>\nhere")]
    assert [(one["key"], one["value"], one["by"]) for one in told["tags"]] == [("owner", "bob", "somebody")]
    assert (other["notes"], other["tags"]) == ([], [])
    written = lines_of(empty_registry.training_journal)[3:]
    assert {(line["by"], line["model_filename"]) for line in written} == {("somebody", churn[1].model_filename)}


@pytest.mark.parametrize("name", ["churn #2", "churn#2", "hash", "file"])
def test_a_model_is_found_by_each_of_its_names(
    visit: Visit, empty_registry: Registry, churn: list[ModelRecord], name: str
) -> None:
    given = {"hash": churn[1].model_hash[:9], "file": churn[1].model_filename}.get(name, name)
    inferred(empty_registry, churn[1], 1, model_name="churn")
    with visit(empty_registry) as client:
        told = client.get(f"/api/v1/models/{quote(given, safe='')}").json()
        used = client.get("/api/v1/inferences", params={"model": given}).json()
        page = client.get(f"/models/{quote(given, safe='')}")
    assert (told["model_filename"], told["short_name"]) == (churn[1].model_filename, "churn #2")
    assert [placing["short_name"] for placing in told["placings"]] == ["churn #2"]
    assert told["inferences"] == used["total_entries"] == 1
    assert page.status_code == 200
    assert churn[1].model_filename in page.text


@pytest.mark.usefixtures("churn")
def test_a_name_of_several_models_is_a_conflict_and_one_of_none_is_not_found(
    visit: Visit, empty_registry: Registry, somebody: Somebody
) -> None:
    somebody.triggers = {"prd_churn_train_model_dag", "prd_train_model_dag"}
    with visit(empty_registry) as client:
        ambiguous = client.get(f"/api/v1/models/{quote('#1')}")
        assert ambiguous.status_code == 409
        assert "is the short name of 2 models" in ambiguous.json()["detail"]
        assert client.post(f"/api/v1/models/{quote('#1', safe='')}/notes", json={"text": "x"}).status_code == 409
        assert client.get(f"/models/{quote('#1')}").status_code == 409
        for name in ("churn #9", "model_x.joblib", "churn #0"):
            found = client.post(f"/api/v1/models/{quote(name, safe='')}/notes", json={"text": "x"})
            assert found.status_code == 404
            assert "was not found" in found.json()["detail"]


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "notes", {"text": "x"}),
    ("PUT", "tags/k", {"value": "v"}),
    ("DELETE", "tags/k", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize(
    ("headers", "triggers", "status"),
    [
        ({}, {"dev_churn_train_model_dag", "prd_train_model_dag", "promote_model_dag"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, {"prd_churn_train_model_dag"}, 403),
        ({"Origin": "http://elsewhere"}, {"prd_churn_train_model_dag"}, 403),
    ],
    ids=["not permitted", "another site", "another origin"],
)
@pytest.mark.usefixtures("churn")
def test_who_may_not_train_the_model_and_another_site_write_nothing(  # noqa: PLR0913, PLR0917  # what is asked, and who asks
    visit: Visit, empty_registry: Registry, somebody: Somebody,
    method: str, path: str, body: Any, headers: dict[str, str], triggers: set[str], status: int,
) -> None:  # fmt: skip
    somebody.triggers = triggers
    before = empty_registry.training_journal.read_bytes()
    with visit(empty_registry) as client:
        answer = client.request(method, f"{MODEL}/{path}", json=body, headers=headers)
    assert answer.status_code == status
    assert empty_registry.training_journal.read_bytes() == before


def test_of_a_promoted_model_the_environment_that_published_it_says_who_may(
    visit: Visit, empty_registry: Registry, somebody: Somebody
) -> None:
    model = publish(empty_registry, "dev", **CHURN)
    decisions.promote(empty_registry, model.model_filename, DecisionContext("ada", "r"), lambda *_: {})
    with visit(empty_registry) as client:
        for triggers, status in (({"prd_churn_train_model_dag"}, 403), ({"dev_churn_train_model_dag"}, 201)):
            somebody.triggers = triggers
            answer = client.post(f"/api/v1/models/{quote('churn #1', safe='')}/notes", json={"text": "x"})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "notes", {"text": ""}, 422),
        ("POST", "notes", {"text": "x" * 2001}, 422),
        ("POST", "notes", {"text": "bell \x07"}, 422),
        ("POST", "notes", {"text": 5}, 422),
        ("POST", "notes", {"text": "x", "by": "admin"}, 422),
        ("POST", "notes", {}, 422),
        ("POST", "notes", ["text"], 422),
        ("POST", "notes", {"text": "x" * 40_000}, 413),
        ("PUT", "tags/a%20b", {"value": "v"}, 422),
        ("PUT", "tags/k", {"value": None}, 422),
        ("PUT", "tags/k", {"value": ""}, 422),
        ("PUT", "tags/k", {"value": "two\nlines"}, 422),
        ("PUT", f"tags/{'k' * 400}", {"value": "v"}, 422),
        ("DELETE", "tags/k", None, 404),
    ],
)
@pytest.mark.usefixtures("trainer", "churn")
def test_what_is_no_note_or_tag_is_refused_with_a_sentence(  # what is asked, and what comes of it
    visit: Visit, empty_registry: Registry, method: str, path: str, body: Any, status: int
) -> None:
    before = empty_registry.training_journal.read_bytes()
    with visit(empty_registry) as client:
        answer = client.request(method, f"{MODEL}/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert empty_registry.training_journal.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"text": "\\ud800"}', b"\xff\xfe", b"text=x"])
@pytest.mark.usefixtures("trainer", "churn")
def test_a_body_that_is_no_json_is_refused(visit: Visit, empty_registry: Registry, content: bytes) -> None:
    with visit(empty_registry) as client:
        answer = client.post(f"{MODEL}/notes", content=content, headers={"Content-Type": "application/json"})
        form = client.post(f"{MODEL}/notes", data={"text": "x"})
    assert (answer.status_code, form.status_code) == (422, 422)


@pytest.mark.usefixtures("trainer", "churn")
def test_while_the_registrar_is_away_nothing_is_lost_silently(
    visit: Visit, empty_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PAGE_SOCKET_VARIABLE, str(tmp_path / "nobody.sock"))
    with visit(empty_registry) as client:
        answer = client.post(f"{MODEL}/notes", json={"text": "x"})
    assert answer.status_code == 503
    assert "so nothing is recorded" in answer.json()["detail"]


def test_the_model_of_a_revoked_version_is_told(visit: Visit, empty_registry: Registry) -> None:
    bad, again = (publish(empty_registry, "prd", "same") for _ in range(2))
    decisions.revoke(empty_registry, bad.model_filename, DecisionContext("ada", "leaked"))
    with visit(empty_registry) as client:
        twins = [client.get(f"/api/v1/models/{one.model_filename}").json()["revoked_twin"] for one in (bad, again)]
    assert twins == [None, bad.model_filename]
    assert json.dumps(twins)
