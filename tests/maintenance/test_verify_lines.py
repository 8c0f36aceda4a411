"""verify: what is wrong with the lines of the logs, and what is not."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS, NEXT, training_failure
from tests.support.registry_project import RegistryProject

from bulkhead import clock
from bulkhead.maintenance.verify import amount, journal_lines, verify
from bulkhead.registry import journal
from bulkhead.registry.records import InferenceFailure, Quarantine, Unreadable

if TYPE_CHECKING:
    from bulkhead.maintenance.verify import Finding

JOURNALS = ["log.txt", "log_inference.txt"]


def test_a_registry_that_was_only_written_by_this_program_is_clean(clean_project: RegistryProject) -> None:
    clean_project.registry.record_failure("training", training_failure())
    clean_project.registry.record_failure("inference", InferenceFailure(error_time="2026-01-01", error_message="no"))
    assert clean_project.verify() == []


def test_an_empty_registry_is_clean(tmp_path: Path) -> None:
    clean_project = RegistryProject(tmp_path / "empty")
    for name in (".gitkeep", "gate.toml"):
        (clean_project.models / name).touch()
    (clean_project.models / "quarantine").mkdir()
    assert clean_project.verify() == []


def test_what_legacy_records_leave_is_no_damage_but_for_what_is_missing(tmp_path: Path) -> None:
    clean_project = RegistryProject(tmp_path / "original")
    clean_project.registry.training_journal.write_bytes(LEGACY_TRAININGS)
    clean_project.registry.inference_journal.write_bytes(LEGACY_INFERENCES)
    for name in ("model_2024-01-31:23-59-59_3f2a.pkl", "model_2024-02-02:10-00-00_77aa.pkl"):
        (clean_project.models / name).write_bytes(b"\x80\x04N.")
    assert clean_project.damage() == []
    assert clean_project.notes() == ["unverifiable_model", "unverifiable_model"]
    (clean_project.models / name).unlink()
    assert clean_project.damage() == ["missing_model"]


@pytest.mark.parametrize("name", JOURNALS)
def test_a_torn_line_is_found_with_its_place(name: str, clean_project: RegistryProject) -> None:
    path = clean_project.models / name
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    found = clean_project.the("torn_line")
    assert (found.path, found.offset, found.line) == (f"models/{name}", len(whole), whole.count(b"\n") + 1)
    assert found.is_damage
    assert found.mended_by == "repair"
    assert f"models/{name}, line {found.line}, byte {found.offset}: " in found.sentence


@pytest.mark.parametrize("name", JOURNALS)
def test_a_torn_line_that_the_next_writer_has_ended_is_found(name: str, clean_project: RegistryProject) -> None:
    path = clean_project.models / name
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    journal.append(
        path, training_failure() if name == "log.txt" else InferenceFailure(error_time="t", error_message="m")
    )
    assert clean_project.the("torn_line").offset == len(whole)
    assert clean_project.damage() == ["torn_line"]


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"{}", b"[]", b"\x00" * 9, b'{"a": 1e999}', b"no record", b"[" * 100_000]
)
def test_a_foreign_line_is_found_in_its_place(line: bytes, name: str, clean_project: RegistryProject) -> None:
    path = clean_project.models / name
    whole = path.read_bytes()
    path.write_bytes(line + b"\n" + whole)
    (found,) = clean_project.verify()
    assert (found.mended_by, found.offset, found.line) == ("repair", 0, 1)
    assert NEXT.search(found.sentence)


def test_a_record_in_the_other_pipelines_log_is_foreign_there(clean_project: RegistryProject) -> None:
    first, last = journal.read(clean_project.registry.inference_journal)
    assert not isinstance(first, Unreadable)
    clean_project.append(first)
    assert "a InferenceRecord does not belong in this journal" in clean_project.the("foreign_line").sentence
    journal.append(
        clean_project.registry.inference_journal,
        next(r for r in journal.read(clean_project.registry.training_journal) if not isinstance(r, Unreadable)),
    )
    assert clean_project.damage() == ["foreign_line", "foreign_line"]
    assert last != first


def test_blank_lines_are_nothing(clean_project: RegistryProject) -> None:
    for name in JOURNALS:
        path = clean_project.models / name
        path.write_bytes(b"\n \t\n" + path.read_bytes().replace(b"\n", b"\n\n") + b"  \n")
    assert clean_project.verify() == []


def test_a_last_line_without_its_end_is_a_record_all_the_same(clean_project: RegistryProject) -> None:
    for name in JOURNALS:
        path = clean_project.models / name
        path.write_bytes(path.read_bytes().rstrip())
    assert clean_project.verify() == []


@pytest.mark.parametrize("name", JOURNALS)
def test_a_writer_in_the_middle_of_its_line_is_waited_for(
    name: str, clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_lines, "PATIENCE_SECONDS", 30)
    path = clean_project.models / name
    whole = path.read_bytes()
    journal.append(
        path, training_failure() if name == "log.txt" else InferenceFailure(error_time="t", error_message="m")
    )
    line = path.read_bytes()[len(whole) :]
    os.truncate(path, len(whole) + 30)
    found: list[list[Finding]] = []
    checker = threading.Thread(target=lambda: found.append(clean_project.verify()))
    checker.start()
    checker.join(0.3)
    assert checker.is_alive()
    with path.open("ab") as file:
        file.write(line[30:])
    checker.join(30)
    assert found == [[]]


def test_a_line_that_a_quarantine_names_is_no_finding_and_another_in_its_place_is(
    clean_project: RegistryProject,
) -> None:
    path = clean_project.registry.training_journal
    path.write_bytes(b"foreign\n" + path.read_bytes())
    (record,) = clean_project.repair()
    assert clean_project.verify() == []
    path.write_bytes(path.read_bytes().replace(b"foreign\n", b"goreign\n", 1))
    assert clean_project.damage() == ["foreign_line", "unfounded_quarantine"]
    assert record.offset == 0


def test_a_quarantine_of_a_line_that_never_was_is_found(clean_project: RegistryProject) -> None:
    clean_project.append(
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
    assert clean_project.damage() == ["unfounded_quarantine"]
    assert clean_project.notes() == ["lost_quarantine"]


@given(data=st.data())
def test_whatever_is_done_to_a_log_verify_ends_and_finds_every_line_that_readers_pass_over(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clean_project = RegistryProject(Path(folder) / "p")
        clean_project.infer(clean_project.publish())
        name = data.draw(st.sampled_from(JOURNALS))
        path = clean_project.models / name
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content)))
            end = data.draw(st.integers(at, min(len(content), at + 50)))
            content[at:end] = data.draw(st.binary(max_size=50))
        path.write_bytes(content)
        passed_over = {r.offset for r in journal.read(path) if isinstance(r, Unreadable)}
        lines = {
            f.offset
            for f in clean_project.verify()
            if f.kind in ("torn_line", "foreign_line") and f.path == f"models/{name}"
        }
        assert passed_over <= lines
        assert {found.severity for found in clean_project.verify()} <= {"damage", "note"}


@given(
    numbers=st.lists(
        st.sampled_from(["1e999", "1e5", "-1.5E-3", "12", '"é"', '"\\ud800"', "[[]]", "nul", "-"]), max_size=3
    )
)
def test_an_inference_is_read_as_every_reader_reads_it(numbers: list[str]) -> None:
    """verify looks through the predictions without making numbers of them; it must come to the same."""
    with tempfile.TemporaryDirectory() as folder:
        clean_project = RegistryProject(Path(folder) / "p")
        clean_project.infer(clean_project.publish())
        path = clean_project.registry.inference_journal
        path.write_bytes(path.read_bytes().replace(b"[1.0,2.5]", f"[{','.join(numbers)}]".encode()))
        (record,) = journal.read(path)
        assert bool(clean_project.damage()) == isinstance(record, Unreadable)


def test_progress_is_told_of_about_as_many_bytes_as_there_are(clean_project: RegistryProject) -> None:
    told: list[int] = []
    list(verify(clean_project.registry, clean_project.shared, progress=told.append))
    assert sum(told) == amount(clean_project.registry)
