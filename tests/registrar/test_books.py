"""The index of outcomes and the ends of the logs: what was edited behind the registrar's back is not written over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.registrar.support import Service, try_id
from tests.support.project import lines_of, publish, training_failure

from bulkhead.registry import journal
from bulkhead.registry.store import Registry
from bulkhead.unix_http import Refusal
from registrar.outcome_index import NotTheLog, OutcomeIndex

if TYPE_CHECKING:
    from pathlib import Path


def recorded(service: Service, number: int) -> None:
    """One more outcome."""
    service.tries(*["success"] * (number - 1), "running")
    said = service.ask("/conclude", {"container": service.trained(number, f"model {number}".encode())})
    assert said["verdict"] == "recorded"
    service.tables.keep_heads(service.index.follow())


def test_the_index_follows_what_others_append(service: Service) -> None:
    recorded(service, 1)
    publish(Registry(service.registry.folder), "dev")  # by hand
    recorded(service, 2)
    assert [line["seq"] for line in lines_of(service.registry.training_journal)] == [1, 2, 3]
    assert service.books.outcome(try_id(1)) is not None
    assert service.books.outcome(try_id(2)) is not None
    assert service.books.outcome(try_id(3)) is None


def test_a_new_index_of_an_old_log_knows_every_outcome_and_failure(service: Service, tmp_path: Path) -> None:
    recorded(service, 1)
    service.tries("success", "failed", "running")
    service.fail(2)
    fresh = OutcomeIndex(service.registry.folder, tmp_path / "fresh.sqlite")
    fresh.rebuild(service.tables.heads())
    found = fresh.outcome(try_id(1))
    assert found is not None
    assert found.first_try == try_id(1)
    assert (fresh.has_failure(try_id(2)), fresh.has_failure(try_id(1))) == (True, False)
    fresh.close()


@pytest.mark.parametrize("edit", ["cut", "set back", "edited", "replaced", "gone", "emptied"])
def test_a_log_that_is_not_the_one_that_was_seen_is_not_written_to(service: Service, tmp_path: Path, edit: str) -> None:
    recorded(service, 1)
    log = service.registry.training_journal
    older = log.read_bytes()
    recorded(service, 2)
    recorded(service, 3)
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    match edit:
        case "cut":
            log.write_bytes(b"".join(lines[:-1]))
        case "set back":
            log.write_bytes(older)
        case "edited":
            log.write_bytes(whole.replace(b'"run_id":"manual__1"', b'"run_id":"manual__2"'))
        case "replaced":
            log.unlink()
            log.write_bytes(whole.replace(b"dev", b"prd"))
        case "gone":
            log.unlink()
        case "emptied":
            log.write_bytes(b"")
    spoiled = log.read_bytes() if log.exists() else None
    service.tries("success", "success", "success", "running")
    container = service.trained(4)
    for attempt in ("at once", "after a restart"):
        if attempt == "after a restart":
            service.index.close()
            service.books._index = service.index = OutcomeIndex(log.parent, tmp_path / "again.sqlite")
            service.books._is_open = False
        with pytest.raises(Refusal, match="is not the log that was seen last") as caught:
            service.ask("/conclude", {"container": container})
        assert caught.value.status == 503
        assert service.ask("/health", b"", "GET")["state"] == "waiting"
        assert (log.read_bytes() if log.exists() else None) == spoiled
    # A person restores it: the work was not lost.
    log.write_bytes(whole)
    service.books._looked = 0.0
    assert service.ask("/conclude", {"container": container})["verdict"] == "recorded"


def test_a_log_that_is_ahead_of_its_head_is_what_a_crash_leaves(service: Service, tmp_path: Path) -> None:
    recorded(service, 1)
    head = service.tables.heads()
    service.registry.record_failure("training", training_failure())
    fresh = OutcomeIndex(service.registry.folder, tmp_path / "fresh.sqlite")
    fresh.rebuild(head)
    assert fresh.follow()["training"].seq == 2
    fresh.close()


def test_torn_and_foreign_lines_do_not_stop_it(service: Service) -> None:
    recorded(service, 1)
    with service.registry.training_journal.open("ab") as file:
        file.write(b"foreign\n\xff\xfe\n" + b"x" * (17 << 20) + b"\n" + b'{"torn": ')
    recorded(service, 2)
    assert service.books.outcome(try_id(2)) is not None


def test_of_two_outcomes_in_an_edited_log_the_first_counts(service: Service, tmp_path: Path) -> None:
    recorded(service, 1)
    (first,) = journal.read(service.registry.training_journal)
    log = service.registry.training_journal
    log.write_bytes(log.read_bytes() + log.read_bytes().replace(b'"try_number":1', b'"try_number":7'))
    fresh = OutcomeIndex(log.parent, tmp_path / "fresh.sqlite")
    fresh.rebuild({})
    assert fresh.outcome(try_id(1)) == first
    fresh.close()


def test_a_hash_that_two_ids_share_finds_no_outcome_of_another(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(service, 1)
    monkeypatch.setattr("registrar.outcome_index._key", lambda *_: 1)
    service.index.rebuild({})
    assert service.index.outcome(try_id(9)) is None
    assert service.index.outcome(try_id(1)) is not None


def test_an_index_tells_a_cut_log_by_itself(service: Service) -> None:
    recorded(service, 1)
    recorded(service, 2)
    log = service.registry.training_journal
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(NotTheLog):
        service.index.follow()
