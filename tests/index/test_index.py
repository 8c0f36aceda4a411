"""The index: what it tells is what the logs say, whatever happens to them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.generated import TIME, called, environment, failure, inference, name, write
from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS, training_failure

from bulkhead.index import Index, attempts, record_reader, store
from bulkhead.index.attempts import AttemptFilter
from bulkhead.index.filling import Filler, moment
from bulkhead.registry import journal, record_lines
from bulkhead.registry.profiles import Drift
from bulkhead.registry.records import (
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Quarantine,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.store import Registry


source = st.sampled_from([None, "t.csv", "folder", "x" * 2000])
drift = st.sampled_from([None, Drift(rows=9, sampled=9, columns={"a": 0.1})]) | st.just(
    Drift(rows=9, sampled=9, columns={"a": 0.9}, drifted=["a"], limit=0.2)
)
attempt = st.one_of(
    st.builds(
        inference, st.integers(0, 9), environment, model_used=name, model_name=called, source=source, drift=drift
    ),
    st.builds(
        failure, st.integers(0, 9), st.none() | environment, st.sampled_from(["killed", "refused"]), called, source
    ),
)
wish = st.builds(
    AttemptFilter,
    environment=st.none() | environment,
    name=st.none() | st.sampled_from(["model", "churn", "unheard of"]),
    model=st.none() | name,
    outcome=st.sampled_from([None, "success", "drifted", "failed"]),
    cause=st.sampled_from([None, "killed", "refused", "unheard of"]),
    run_id=st.none() | st.integers(0, 9).map("run{}".format),
    source=st.none() | source,
    since=st.none() | st.integers(0, 9).map(lambda second: moment(TIME.format(second), 0)),
    until=st.none() | st.integers(0, 9).map(lambda second: moment(TIME.format(second), 0)),
)


def is_wanted(record: InferenceRecord | InferenceFailure, wanted: AttemptFilter) -> bool:
    failed = isinstance(record, InferenceFailure)
    has_drifted = isinstance(record, InferenceRecord) and record.drift is not None and bool(record.drift.drifted)
    outcomes = ["failed"] if failed else ["success", "drifted"] if has_drifted else ["success"]
    time = moment(record.error_time if isinstance(record, InferenceFailure) else record.inference_time, 0)
    return (
        wanted.environment in (None, record.environment)
        and wanted.name in (None, record.name)
        and wanted.model in (None, getattr(record, "model_used", None))
        and wanted.outcome in (None, *outcomes)
        and wanted.cause in (None, getattr(record, "cause", None))
        and wanted.run_id in (None, record.run_id)
        and wanted.source in (None, record.source)
        and (wanted.since is None or time >= wanted.since)
        and (wanted.until is None or time < wanted.until)
    )


@given(
    written=st.lists(attempt, min_size=5, max_size=30),
    wishes=st.lists(wish, min_size=5, max_size=5),
    oldest_first=st.booleans(),
)
def test_the_pages_of_a_filter_are_together_what_it_wants_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, written: list[Any], wishes: list[AttemptFilter], *, oldest_first: bool
) -> None:
    folder = tmp_path_factory.mktemp("models")
    write(folder / "log_inference.txt", written)
    index = Index(folder, folder)
    index.wait()
    with index.reading() as db:
        for wanted in wishes:
            found: list[attempts.IndexedAttempt] = []
            while page := attempts.page(
                db, ["inference"], wanted, 3, found[-1].position if found else None, oldest_first=oldest_first
            ):
                found += page
            expected = [record for record in written if is_wanted(record, wanted)]
            read = record_reader.read(
                folder, "inference", [one.offset for one in found], InferenceRecord, InferenceFailure
            )
            assert sorted(map(record_lines.encode, read)) == sorted(map(record_lines.encode, expected))
            assert [one.time for one in found] == sorted((one.time for one in found), reverse=not oldest_first)
            assert attempts.amount(db, ["inference"], wanted) == len(expected)


def amount(index: Index) -> int:
    index.wait()
    with index.reading() as db:
        return attempts.amount(db, ["inference"], AttemptFilter())


def test_a_new_record_is_seen_at_the_next_look(registry_with_two_models: Registry) -> None:
    index = Index(registry_with_two_models.folder, registry_with_two_models.folder)
    assert amount(index) == 0
    for more in range(1, 4):
        registry_with_two_models.record_inference(inference(more))
        index.refresh()
        with index.reading() as db:
            assert attempts.amount(db, ["inference"], AttemptFilter()) == more


@pytest.mark.parametrize("how", ["replaced", "cut", "edited", "removed"])
def test_a_log_that_was_changed_by_hand_is_read_anew(registry_with_two_models: Registry, how: str) -> None:
    path = registry_with_two_models.inference_journal
    write(path, [inference(second) for second in range(5)])
    index = Index(registry_with_two_models.folder, registry_with_two_models.folder)
    assert amount(index) == 5
    content = path.read_bytes()
    changed = b"".join(record_lines.encode(inference(second, "prd")) for second in range(3))
    if how == "replaced":
        other = path.with_suffix(".new")
        other.write_bytes(changed + content)
        other.replace(path)
        expected = 8
    elif how == "cut":
        os.truncate(path, content.index(b"\n") + 1)
        expected = 1
    elif how == "edited":
        path.write_bytes(content.replace(b'"dev"', b'"prd"'))
        expected = 5
    else:
        path.unlink()
        expected = 0
    assert amount(index) == expected
    with index.reading() as db:
        of_prd = attempts.amount(db, ["inference"], AttemptFilter(environment="prd"))
    assert of_prd == {"replaced": 3, "cut": 0, "edited": 5, "removed": 0}[how]


def test_torn_and_foreign_lines_are_counted_and_those_in_quarantine_are_not(registry_with_a_model: Registry) -> None:
    path = registry_with_a_model.inference_journal
    path.write_bytes(b'{"inference_time": "20\n' + b"\n" + b"[1]\n" + record_lines.encode(inference()) + b'{"torn')
    index = Index(registry_with_a_model.folder, registry_with_a_model.folder)
    status = index.wait()
    assert status.inferences.unreadable == 2  # the last may still become a record
    assert amount(index) == 1
    registry_with_a_model.record_inference(inference(1))
    assert index.wait().inferences.unreadable == 3
    assert amount(index) == 2
    quarantine = Quarantine(
        quarantine_time=TIME.format(9), path="models/log_inference.txt", offset=0, size_bytes=22, sha256="s",
        moved_to="models/quarantine/x", by="b", reason="r",
    )  # fmt: skip
    journal.append(registry_with_a_model.training_journal, quarantine)
    assert index.wait().inferences.unreadable == 2


def test_of_very_many_unreadable_lines_the_newest_are_kept_and_all_are_counted(empty_registry: Registry) -> None:
    empty_registry.training_journal.write_bytes(b"[]\n" * 1500)
    index = Index(empty_registry.folder, empty_registry.folder)
    assert index.wait().trainings.unreadable == 1500
    with empty_registry.training_journal.open("ab") as file:
        file.write(b"[]\n" * 7)
    assert index.wait().trainings.unreadable == 1507
    with index.reading() as db:
        rows = [row for (row,) in db.execute("SELECT offset FROM unreadable ORDER BY offset")]
    assert rows == [3 * number for number in range(507, 1507)]


def test_a_last_line_without_its_end_is_a_record_once(empty_registry: Registry) -> None:
    empty_registry.inference_journal.write_bytes(record_lines.encode(inference()).rstrip(b"\n"))
    index = Index(empty_registry.folder, empty_registry.folder)
    assert amount(index) == 1
    empty_registry.record_inference(inference(1))
    assert amount(index) == 2


def test_legacy_records_are_indexed(empty_registry: Registry) -> None:
    empty_registry.training_journal.write_bytes(LEGACY_TRAININGS)
    empty_registry.inference_journal.write_bytes(LEGACY_INFERENCES)
    index = Index(empty_registry.folder, empty_registry.folder)
    assert amount(index) == 2
    with index.reading() as db:
        assert attempts.causes(db, ["training", "inference"]) == ["unknown"]


def test_a_registry_that_is_not_there_is_empty(tmp_path: Path) -> None:
    index = Index(tmp_path / "nowhere", tmp_path)
    status = index.wait()
    assert status.trainings.missing
    assert status.inferences.missing
    with index.reading() as db:
        assert attempts.amount(db, ["training", "inference"], AttemptFilter()) == 0


def test_a_log_that_cannot_be_read_is_said_and_what_was_read_stays(registry_with_a_model: Registry) -> None:
    registry_with_a_model.record_failure("training", training_failure())
    index = Index(registry_with_a_model.folder, registry_with_a_model.folder)
    index.wait()
    registry_with_a_model.inference_journal.mkdir()  # root may read any file, and no folder
    status = index.refresh()
    assert status.trouble is not None
    assert "models/log_inference.txt" in status.trouble
    assert status.trouble.endswith("What is shown is what was read before.")
    with index.reading() as db:
        assert attempts.amount(db, ["training"], AttemptFilter()) == 1


def test_a_broken_index_is_made_anew(registry_with_two_models: Registry) -> None:
    folder = registry_with_two_models.folder
    write(registry_with_two_models.inference_journal, [inference(1), inference(2)])
    Index(folder, folder).wait()
    (path,) = folder.glob("index-*.sqlite")
    path.write_bytes(b"no database" * 1000)
    index = Index(folder, folder)
    index.wait()
    with index.reading() as db:
        assert attempts.amount(db, ["inference"], AttemptFilter()) == 2


def test_processes_that_fill_it_at_once_leave_each_record_once(empty_registry: Registry) -> None:
    folder = empty_registry.folder
    write(empty_registry.inference_journal, [inference(i % 60, predictions=[0.5] * 100) for i in range(5000)])
    command = [sys.executable, "-m", "bulkhead.index", str(folder), str(folder)]
    fillers = [subprocess.Popen(command) for _ in range(4)]
    index = Index(folder, folder)
    assert amount(index) == 5000
    assert [filler.wait() for filler in fillers] == [0, 0, 0, 0]
    assert amount(index) == 5000


@pytest.mark.parametrize("flushes", [1, 2, 5])
def test_a_filling_that_was_cut_off_is_gone_on_with(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch, flushes: int
) -> None:
    folder = empty_registry.folder
    write(empty_registry.inference_journal, [inference(i % 60) for i in range(500)])
    flush, left = Filler.flush, [flushes]

    def flush_and_die(self: Filler) -> None:
        flush(self)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "_BATCH_BYTES", 20_000)
    monkeypatch.setattr(Filler, "flush", flush_and_die)
    filled = store.Store(folder, folder)
    with pytest.raises(KeyboardInterrupt), filled.writing(wait=True) as db:
        filled.fill(db)
    monkeypatch.setattr(Filler, "flush", flush)
    assert amount(Index(folder, folder)) == 500


def test_a_record_that_is_elsewhere_than_the_index_says_is_noticed(registry_with_two_models: Registry) -> None:
    with pytest.raises(record_reader.IndexOutdated):
        record_reader.read(registry_with_two_models.folder, "training", [1], ModelRecord)
    write(registry_with_two_models.inference_journal, [inference(1), inference(2)])
    index = Index(registry_with_two_models.folder, registry_with_two_models.folder)
    index.wait()
    index.distrust()
    index.wait()
    with index.reading() as db:
        assert attempts.amount(db, ["inference"], AttemptFilter()) == 2


def test_a_time_that_is_none_is_filed_under_the_one_before(empty_registry: Registry) -> None:
    hostile = ["", "yesterday", "9999-12-31T23:59:59-23:59", "<script>"]
    write(empty_registry.inference_journal, [inference(5), *(inference(inference_time=time) for time in hostile)])
    index = Index(empty_registry.folder, empty_registry.folder)
    index.wait()
    with index.reading() as db:
        found = attempts.page(db, ["inference"], AttemptFilter(), 10)
    assert {one.time for one in found} == {moment(TIME.format(5), 0)}
    assert len(found) == 5


def test_an_index_that_cannot_be_kept_is_said(registry_with_a_model: Registry, tmp_path: Path) -> None:
    index = Index(registry_with_a_model.folder, tmp_path)
    index._store.lock.mkdir()
    trouble = index.refresh().trouble
    assert trouble is not None
    assert "The index cannot be kept" in trouble


def test_a_folder_that_somebody_else_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = store.own_folder()
    assert own == store.own_folder()
    assert own.stat().st_mode & 0o077 == 0
    own.chmod(0o777)  # as good as anybody's
    assert store.own_folder() not in (own, store.own_folder())
