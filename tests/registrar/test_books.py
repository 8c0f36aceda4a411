"""The index of outcomes and the ends of the logs: what was edited behind the registrar's back is not written over."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from tests.registrar.support import Service, try_id
from tests.support.project import lines_of, publish, training_failure

from bulkhead.files import sha256
from bulkhead.registry import chain, journal, record_lines
from bulkhead.registry.chain import Head
from bulkhead.registry.store import Registry
from bulkhead.unix_http import Refusal
from registrar import heads
from registrar.books import Books
from registrar.database import Away
from registrar.outcome_index import NotTheLog, OutcomeIndex


def _raise(error: Exception) -> NoReturn:
    raise error


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


def test_lines_that_could_not_be_indexed_are_read_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or one that fails while the log is read: what was not kept must not be passed over."""
    recorded(service, 1)
    service.tries("success", "running")
    container = service.trained(2)
    with monkeypatch.context() as patch:
        patch.setattr(OutcomeIndex, "_insert", lambda _, rows: rows and _raise(sqlite3.OperationalError("full")))
        with pytest.raises(Refusal) as caught:
            service.ask("/conclude", {"container": container})
        assert caught.value.status == 503
    assert service.ask("/conclude", {"container": container})["verdict"] == "adopted"
    assert len(lines_of(service.registry.training_journal)) == 2


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_last_line_without_its_end_is_a_line(service: Service, tmp_path: Path, is_seen: bool) -> None:  # noqa: FBT001
    recorded(service, 1)
    recorded(service, 2)
    log = service.registry.training_journal
    if not is_seen:  # killed before its end was kept
        first = log.read_bytes().splitlines()[0]
        service.tables.keep_heads({"training": Head("training", 1, sha256(first))})
    log.write_bytes(log.read_bytes().removesuffix(b"\n"))
    fresh = OutcomeIndex(service.registry.folder, tmp_path / "fresh.sqlite")
    books = Books(service.registry, fresh, service.tables, service.heads)  # type: ignore[arg-type]  # in memory
    assert books.outcome(try_id(2)) is not None
    assert books.trouble is None
    assert log.read_bytes().endswith(b"\n")
    assert len(lines_of(log)) == 2
    fresh.close()


def test_a_line_is_not_seen_before_it_is_on_disk(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a try is told of an outcome that is taken back where the sync fails."""
    service.tries("running")
    container = service.trained()
    syncing, go_on = threading.Event(), threading.Event()
    sync = os.fsync

    def failing(descriptor: int) -> None:
        if threading.current_thread() is not writer:
            sync(descriptor)
            return
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "log.txt":
            syncing.set()
            assert go_on.wait(20)
            raise OSError(5, "Input/output error")
        sync(descriptor)

    writer = threading.Thread(target=lambda: service.attempt("/conclude", {"container": container}))
    monkeypatch.setattr(os, "fsync", failing)
    writer.start()
    assert syncing.wait(20)
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(service.books.outcome, try_id(1))
        time.sleep(0.2)
        go_on.set()
        assert seen.result(20) is None
    writer.join(20)
    monkeypatch.undo()
    assert service.ask("/conclude", {"container": container})["verdict"] == "recorded"
    assert len(lines_of(service.registry.training_journal)) == 1


def test_what_does_not_continue_the_chain_is_not_taken_over(service: Service) -> None:
    recorded(service, 1)
    service.books.follow()
    log = service.registry.training_journal
    content = record_lines.encode(training_failure(run_id="forged")).rstrip(b"\n")
    with log.open("ab") as file:
        file.write(chain.link(content, 2, "f" * 64, None) + b"\n")
    with pytest.raises(Away, match="is not the log that was seen last"):
        service.books.follow()


def test_what_is_no_part_of_the_chain_is_nobodys_outcome(service: Service) -> None:
    recorded(service, 1)
    (line,) = service.registry.training_journal.read_bytes().splitlines()
    forged = line[: line.index(b',"seq":')].replace(try_id(1).encode(), try_id(2).encode()) + b"}"
    with service.registry.training_journal.open("ab") as file:
        file.write(forged + b"\n")
    assert service.books.outcome(try_id(2)) is None


def test_the_thread_that_keeps_the_ends_outlives_any_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = threading.Event()
    answers = [RuntimeError("can't start new thread"), None]

    def keep(*_: object, **__: object) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        kept.set()

    monkeypatch.setattr(service.tables, "keep_heads", keep)
    monkeypatch.setattr(heads, "_AGAIN_SECONDS", 0.2)
    service.heads.start()
    service.heads.note({"training": Head("training", 1, "a" * 64)})
    deadline = time.monotonic() + 10
    while service.heads.trouble is None and not kept.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert kept.wait(10)
    service.heads.stop()
    assert service.heads.trouble is None


@pytest.mark.parametrize("blank", [b" \n", b"\r\n", b"\t", b"\n\n"])
def test_blank_lines_of_an_editor_do_not_stop_it(service: Service, blank: bytes) -> None:
    recorded(service, 1)
    with service.registry.training_journal.open("ab") as file:
        file.write(blank)
    for _ in range(3):
        service.books.follow()
    recorded(service, 2)
    service.books.follow()
    assert service.books.outcome(try_id(1)) is not None
    assert service.books.outcome(try_id(2)) is not None
    assert service.books.trouble is None
