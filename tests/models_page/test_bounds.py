"""What may not stop the page: an index that is not ready, a record that is deep, a name that means several."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.support.project import CHURN, publish

from bulkhead.index import Index
from bulkhead.queries import last_runs
from bulkhead.registry import journal
from models_page.readers import NotReady, Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pytest
    from starlette.testclient import TestClient

    from bulkhead.paths import JournalName
    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


def test_sorting_by_inferences_stops_nobody_while_they_are_still_read(
    visit: Visit, registry_with_two_models: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Readers.reading

    def not_yet(self: Readers, journals: Sequence[JournalName] = ("training",)) -> AbstractContextManager[object]:
        if "inference" in journals:
            raise NotReady(self.look())
        return reading(self, journals)

    with visit(registry_with_two_models) as client:
        monkeypatch.setattr(Readers, "reading", not_yet)
        answered = threading.Event()

        def ask() -> None:
            assert client.get("/?sort=-inferences").status_code == 200
            assert client.get("/").status_code == 200
            answered.set()

        threading.Thread(target=ask, daemon=True).start()
        assert answered.wait(20)


def test_a_record_that_is_deep_is_cut_and_no_error(visit: Visit, registry_with_two_models: Registry) -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    record = {"model_hash": "h", "model_filename": "deep.joblib", "training_timestamp": "t", "environment": "dev"}
    with registry_with_two_models.training_journal.open("a") as file:
        file.write(json.dumps({**record, "parameters": {"deep": deep}, "plots": {"deep": deep}}) + "\n")
    with visit(registry_with_two_models) as client:
        for path in ("/", "/api/v1/models", "/models/deep.joblib", "/api/v1/models/deep.joblib"):
            assert client.get(path).status_code == 200, path


def test_a_name_that_means_several_is_told_and_not_taken_for_none(visit: Visit, empty_registry: Registry) -> None:
    publish(empty_registry, "dev", "m")
    publish(empty_registry, "dev", "c", **CHURN)
    with visit(empty_registry) as client:
        for path in (f"/inferences?model={quote('#1')}", f"/models/{quote('#1')}", f"/promote/prd/{quote('#1')}"):
            answer = client.get(path)
            assert answer.status_code == 409, path
            assert "churn #1" in answer.text
        assert client.get(f"/api/v1/inferences?model={quote('#1')}").status_code == 409


def test_failures_are_asked_for_no_outcome_and_no_model(visit: Visit, empty_registry: Registry) -> None:
    with visit(empty_registry) as client:
        for asked in ("outcome=success", "model=model_x.joblib"):
            answer = client.get(f"/api/v1/failures?{asked}")
            assert answer.status_code == 422
            assert answer.json()["detail"][0]["loc"] == ["query", asked.partition("=")[0]]


def test_last_runs_are_looked_for_in_the_end_of_a_journal_alone(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(empty_registry, "dev", "first")
    for number in range(5):
        publish(empty_registry, "prd", f"m{number}")
    read: list[int] = []
    lines = journal.lines_newest_first

    def counted(*given: Any) -> Iterator[tuple[int, bytes]]:
        for offset, line in lines(*given):
            read.append(offset)
            yield offset, line

    monkeypatch.setattr(journal, "lines_newest_first", counted)
    monkeypatch.setattr(last_runs, "_BYTES", 1)
    found = last_runs.last_runs(empty_registry, [("dev", "model"), ("prd", "model")])
    assert [one.environment for one in found] == ["prd"]
    assert len(read) == 1
    monkeypatch.undo()
    assert first.model_filename in {one.what for one in last_runs.last_runs(empty_registry, [("dev", "model")])}


def test_an_index_of_before_is_made_anew(registry_with_two_models: Registry) -> None:
    """Its tables are others; the file's name has their version, so that none is taken for another."""
    index = Index(registry_with_two_models.folder)
    index.wait()
    with index.reading() as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(inference_tally)")]
    assert "drifted" in columns
    index.close()
