"""What the page's socket does: notes and tags, recorded once and signed, and nothing else."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.registrar.support import DAG, RING, RUN, Service, try_id
from tests.support.project import lines_of, publish

from bulkhead.maintenance.verify import verify
from bulkhead.queries import annotating
from bulkhead.queries.annotating import NotAnnotated
from bulkhead.registrar_protocol import PAGE_SOCKET_VARIABLE
from bulkhead.unix_http import Refusal, Request, Server
from registrar.annotations import PageRoutes
from registrar.database import Away

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def name(service: Service) -> str:
    return publish(service.registry, "dev").model_filename


@pytest.fixture
def page(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's socket, and its client here."""
    server = Server(tmp_path / "page.sock", PageRoutes(service.books))
    server.start()
    monkeypatch.setenv(PAGE_SOCKET_VARIABLE, str(tmp_path / "page.sock"))
    yield
    server.stop()


def ask(service: Service, body: object, path: str = "/annotate", method: str = "POST") -> Any:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    answer = PageRoutes(service.books)(Request(method, path, {}, content))
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


@pytest.mark.usefixtures("page")
def test_a_note_and_a_tag_are_recorded_signed_and_in_the_persons_name(service: Service, name: str) -> None:
    noted = annotating.note(name, "eve", "seen")
    tagged = annotating.tag(name, "eve", "reviewed", "yes")
    assert (noted.by, noted.text, tagged.key, tagged.value) == ("eve", "seen", "reviewed", "yes")
    annotating.note(name, "eve", "seen")
    annotating.tag(name, "eve", "reviewed", None)
    *_, note, tag, removed = lines_of(service.registry.training_journal)
    assert [one["by"] for one in (note, tag, removed)] == ["eve"] * 3
    assert (tag["value"], removed["value"]) == ("yes", None)
    assert all(one["hmac"] for one in (note, tag, removed))
    found = verify(service.registry, service.folder / "shared", ring=RING, heads=service.tables.heads())
    assert [one.kind for one in found if one.is_damage] == []
    service.books.follow()
    assert service.heads.trouble is None


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize(
    ("status", "why", "changes"),
    [
        (404, "no record of a model file", {"filename": "model_x.joblib"}),
        (404, "no record of a model file", {"filename": "model #1"}),
        (422, "the note is empty", {"text": " "}),
        (422, "2001 characters", {"text": "x" * 2001}),
        (422, "U+0000", {"text": "a\0"}),
        (422, "who says it is empty", {"by": ""}),
    ],
)
def test_what_cannot_be_noted_is_refused_with_a_status(
    service: Service, name: str, status: int, why: str, changes: dict[str, str]
) -> None:
    before = service.registry.training_journal.read_bytes()
    with pytest.raises(NotAnnotated) as told:
        annotating.note(**{"filename": name, "by": "eve", "text": "seen", **changes})
    assert told.value.status == status
    assert why in str(told.value)
    assert service.registry.training_journal.read_bytes() == before


@pytest.mark.usefixtures("page")
def test_what_cannot_be_tagged_is_refused_with_a_status(name: str) -> None:
    for status, key, value in ((422, "a b", "v"), (422, "k", ""), (422, "k", "x" * 201), (404, "k", None)):
        with pytest.raises(NotAnnotated) as told:
            annotating.tag(name, "eve", key, value)
        assert told.value.status == status, key


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"kind":"revoke","model_filename":"m","by":"b"}', b"\xff" * 9])
def test_what_is_no_request_is_refused(service: Service, body: bytes) -> None:
    with pytest.raises(Refusal) as told:
        ask(service, body)
    assert told.value.status == 400


@pytest.mark.parametrize("path", ["/conclude", "/fail", "/look", "/chain", "/unapproved", "/annotate/", "/"])
def test_the_page_has_no_other_route(service: Service, path: str) -> None:
    service.tries("running")
    request = {"try_id": try_id(1), "dag_id": DAG, "run_id": RUN, "task_id": "train_model"}
    with pytest.raises(Refusal) as told:
        ask(service, request, path)
    assert told.value.status == 404


def test_the_registrars_own_socket_has_no_annotations(service: Service, name: str) -> None:
    with pytest.raises(Refusal) as told:
        service.ask("/annotate", {"kind": "note", "model_filename": name, "by": "eve", "text": "seen"})
    assert told.value.status == 404


@pytest.mark.usefixtures("page")
def test_while_the_registrar_may_not_record_it_is_away(service: Service, name: str) -> None:
    service.tables.away = Away("Postgres does not answer")
    with pytest.raises(NotAnnotated, match="Postgres does not answer") as told:
        annotating.note(name, "eve", "seen")
    assert told.value.status == 503
    service.tables.away = None
    annotating.note(name, "eve", "seen")


def test_where_nobody_listens_a_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAGE_SOCKET_VARIABLE, str(tmp_path / "nobody.sock"))
    with pytest.raises(NotAnnotated, match="the registrar does not answer") as told:
        annotating.note("m", "eve", "seen")
    assert told.value.status == 503
    assert "so nothing is recorded. Read 'just logs registrar', then try again." in str(told.value)


@pytest.mark.usefixtures("page")
def test_many_at_once_are_each_recorded_once(service: Service, name: str) -> None:
    threads = [threading.Thread(target=annotating.note, args=(name, f"p{n}", f"note {n}")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    texts = [line["text"] for line in lines_of(service.registry.training_journal) if "note_time" in line]
    assert sorted(texts) == sorted(f"note {n}" for n in range(12))
