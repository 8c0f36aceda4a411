"""verify: what is wrong with the lines of the logs, and what is not."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kept import Kept
from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS, NEXT, training_failure

from bulkhead import clock
from bulkhead.maintenance.verify import amount, verify
from bulkhead.registry import journal, records
from bulkhead.registry.records import InferenceFailure, Quarantine, Unreadable

if TYPE_CHECKING:
    from bulkhead.maintenance.verify import Finding

JOURNALS = ["log.txt", "log_inference.txt"]


def test_a_registry_that_was_only_written_by_this_program_is_clean(kept: Kept) -> None:
    kept.registry.record_failure("training", training_failure())
    kept.registry.record_failure("inference", InferenceFailure(error_time="2026-01-01", error_message="no"))
    assert kept.verify() == []


def test_an_empty_registry_is_clean(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "empty")
    for name in (".gitkeep", "gate.toml"):
        (kept.models / name).touch()
    (kept.models / "quarantine").mkdir()
    assert kept.verify() == []


def test_what_the_original_program_left_is_no_damage_but_for_what_is_missing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "original")
    kept.registry.trainings.write_bytes(LEGACY_TRAININGS)
    kept.registry.inferences.write_bytes(LEGACY_INFERENCES)
    for name in ("model_2024-01-31:23-59-59_3f2a.pkl", "model_2024-02-02:10-00-00_77aa.pkl"):
        (kept.models / name).write_bytes(b"\x80\x04N.")
    assert kept.damage() == []
    assert kept.notes() == ["unverifiable_model", "unverifiable_model"]
    (kept.models / name).unlink()
    assert kept.damage() == ["missing_model"]


@pytest.mark.parametrize("name", JOURNALS)
def test_a_torn_line_is_found_with_its_place(name: str, kept: Kept) -> None:
    path = kept.models / name
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    found = kept.the("torn_line")
    assert (found.path, found.offset, found.line) == (f"models/{name}", len(whole), whole.count(b"\n") + 1)
    assert found.is_damage
    assert found.mended_by == "repair"
    assert f"models/{name}, line {found.line}, byte {found.offset}: " in found.sentence


@pytest.mark.parametrize("name", JOURNALS)
def test_a_torn_line_that_the_next_writer_has_ended_is_found(name: str, kept: Kept) -> None:
    path = kept.models / name
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    journal.append(
        path, training_failure() if name == "log.txt" else InferenceFailure(error_time="t", error_message="m")
    )
    assert kept.the("torn_line").offset == len(whole)
    assert kept.damage() == ["torn_line"]


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"{}", b"[]", b"\x00" * 9, b'{"a": 1e999}', b"no record", b"[" * 100_000]
)
def test_a_foreign_line_is_found_in_its_place(line: bytes, name: str, kept: Kept) -> None:
    path = kept.models / name
    whole = path.read_bytes()
    path.write_bytes(line + b"\n" + whole)
    (found,) = kept.verify()
    assert (found.mended_by, found.offset, found.line) == ("repair", 0, 1)
    assert NEXT.search(found.sentence)


def test_a_record_in_the_other_pipelines_log_is_foreign_there(kept: Kept) -> None:
    first, last = journal.read(kept.registry.inferences)
    assert not isinstance(first, Unreadable)
    kept.append(first)
    assert "a InferenceRecord does not belong into this journal" in kept.the("foreign_line").sentence
    journal.append(
        kept.registry.inferences,
        next(r for r in journal.read(kept.registry.trainings) if not isinstance(r, Unreadable)),
    )
    assert kept.damage() == ["foreign_line", "foreign_line"]
    assert last != first


def test_blank_lines_are_nothing(kept: Kept) -> None:
    for name in JOURNALS:
        path = kept.models / name
        path.write_bytes(b"\n \t\n" + path.read_bytes().replace(b"\n", b"\n\n") + b"  \n")
    assert kept.verify() == []


def test_a_last_line_without_its_end_is_a_record_all_the_same(kept: Kept) -> None:
    for name in JOURNALS:
        path = kept.models / name
        path.write_bytes(path.read_bytes().rstrip())
    assert kept.verify() == []


@pytest.mark.parametrize("name", JOURNALS)
def test_a_writer_in_the_middle_of_its_line_is_waited_for(name: str, kept: Kept) -> None:
    path = kept.models / name
    line = records.encode(
        training_failure() if name == "log.txt" else InferenceFailure(error_time="t", error_message="m")
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, line[:30])
    found: list[list[Finding]] = []
    checker = threading.Thread(target=lambda: found.append(kept.verify()))
    checker.start()
    checker.join(0.3)
    assert checker.is_alive()
    os.write(descriptor, line[30:])
    os.close(descriptor)
    checker.join(30)
    assert found == [[]]


def test_a_line_that_a_quarantine_names_is_no_finding_and_another_in_its_place_is(kept: Kept) -> None:
    path = kept.registry.trainings
    path.write_bytes(b"foreign\n" + path.read_bytes())
    (record,) = kept.repair()
    assert kept.verify() == []
    path.write_bytes(path.read_bytes().replace(b"foreign\n", b"goreign\n", 1))
    assert kept.damage() == ["foreign_line", "unfounded_quarantine"]
    assert record.offset == 0


def test_a_quarantine_of_a_line_that_never_was_is_found(kept: Kept) -> None:
    kept.append(
        Quarantine(
            quarantine_time=clock.in_record(clock.now()),
            path="models/log.txt",
            offset=10**12,
            size_bytes=1,
            sha256="0" * 64,
            moved_to="models/quarantine/x",
            by="b",
            reason="r",
        )
    )
    assert kept.damage() == ["unfounded_quarantine"]
    assert kept.notes() == ["lost_quarantine"]


@given(data=st.data())
def test_whatever_is_done_to_a_log_verify_ends_and_finds_every_line_that_readers_pass_over(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder) / "p")
        kept.infer(kept.publish())
        name = data.draw(st.sampled_from(JOURNALS))
        path = kept.models / name
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content)))
            end = data.draw(st.integers(at, min(len(content), at + 50)))
            content[at:end] = data.draw(st.binary(max_size=50))
        path.write_bytes(content)
        passed_over = {r.offset for r in journal.read(path) if isinstance(r, Unreadable)}
        lines = {
            f.offset for f in kept.verify() if f.kind in ("torn_line", "foreign_line") and f.path == f"models/{name}"
        }
        assert passed_over <= lines
        assert {found.severity for found in kept.verify()} <= {"damage", "note"}


@given(
    numbers=st.lists(
        st.sampled_from(["1e999", "1e5", "-1.5E-3", "12", '"é"', '"\\ud800"', "[[]]", "nul", "-"]), max_size=3
    )
)
def test_an_inference_is_read_as_every_reader_reads_it(numbers: list[str]) -> None:
    """verify looks through the predictions without making numbers of them; it must come to the same."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder) / "p")
        kept.infer(kept.publish())
        path = kept.registry.inferences
        path.write_bytes(path.read_bytes().replace(b"[1.0,2.5]", f"[{','.join(numbers)}]".encode()))
        (record,) = journal.read(path)
        assert bool(kept.damage()) == isinstance(record, Unreadable)


def test_progress_is_told_of_about_as_many_bytes_as_there_are(kept: Kept) -> None:
    told: list[int] = []
    list(verify(kept.registry, kept.shared, progress=told.append))
    assert sum(told) == amount(kept.registry)
