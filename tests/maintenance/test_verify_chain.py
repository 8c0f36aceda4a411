"""verify: whatever is done to the lines of a log is named, with its line."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS
from tests.support.registry_project import DECIDED, RegistryProject, head_of

from bulkhead import clock
from bulkhead.maintenance.verify import verify
from bulkhead.registry import chain, decisions, record_lines, records
from bulkhead.registry.chain import Key, KeyRing
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registrar_protocol import SeenHead

KINDS = {
    "edited_line",
    "missing_lines",
    "inserted_line",
    "moved_line",
    "unchained_line",
    "bad_signature",
    "cut_log",
}
RING = KeyRing(current=Key(b"\x01" * 32))


@pytest.fixture
def signed_project(tmp_path: Path) -> RegistryProject:
    """Eight records in log.txt, three in log_inference.txt, all signed: the fifth is a rollback, the sixth revokes."""
    made = RegistryProject(tmp_path / "project", RING)
    made.publish("prd")
    made.publish("dev")
    made.publish("prd")
    last = made.publish("prd")
    decisions.roll_back(made.registry, "prd", DECIDED)
    decisions.revoke(made.registry, last.model_filename, DECIDED)
    for _ in range(2):
        made.infer(made.publish("dev"))
    made.infer(made.registry.latest("dev"))
    return made


@pytest.fixture
def legacy_project(tmp_path: Path) -> RegistryProject:
    """What the program before this one has left, without a chain."""
    made = RegistryProject(tmp_path / "legacy", RING)
    made.registry.training_journal.write_bytes(LEGACY_TRAININGS)
    made.registry.inference_journal.write_bytes(LEGACY_INFERENCES)
    for name in ("model_2024-01-31:23-59-59_3f2a.pkl", "model_2024-02-02:10-00-00_77aa.pkl"):
        (made.models / name).write_bytes(b"\x80\x04N.")
    return made


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def found_in(
    project: RegistryProject, *, ring: KeyRing | None = RING, heads: dict[JournalName, SeenHead] | None = None
) -> list[tuple[str, int | None]]:
    """The findings about the chains, and their lines."""
    found = verify(project.registry, project.shared, ring=ring, heads=heads or {})
    return sorted((one.kind, one.line) for one in found if one.kind in KINDS)


def edited(line: bytes) -> bytes:
    """Another time in the record, the chain's own keys as they are."""
    return line.replace(b'timestamp":"2', b'timestamp":"3', 1).replace(b'time":"2', b'time":"3', 1)


def heads(project: RegistryProject) -> dict[JournalName, SeenHead]:
    return {
        "training": head_of(project.registry.training_journal),
        "inference": head_of(project.registry.inference_journal),
    }


def test_a_signed_registry_is_clean_and_says_nothing(signed_project: RegistryProject) -> None:
    found = list(verify(signed_project.registry, signed_project.shared, ring=RING, heads=heads(signed_project)))
    assert {one.kind for one in found} <= {"predictions_not_compared"}


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("ring", [RING, None])
def test_an_edited_line_is_named(number: int, ring: KeyRing | None, signed_project: RegistryProject) -> None:
    """The last one by its signature, or by the head that the registrar keeps."""
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    lines = lines_of(path)
    assert edited(lines[number - 1]) != lines[number - 1]
    lines[number - 1] = edited(lines[number - 1])
    path.write_bytes(b"".join(lines))
    assert found_in(signed_project, ring=ring, heads=seen) == [("edited_line", number)]
    if number == 8:
        assert found_in(signed_project, ring=RING) == [("bad_signature", 8)]


def test_a_line_that_was_edited_and_chained_again_without_the_key_is_named(signed_project: RegistryProject) -> None:
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    lines = lines_of(path)
    lines[2] = edited(lines[2])
    for at in range(3, len(lines)):
        link = chain.parse(lines[at].rstrip(b"\n"))
        assert link is not None
        before = hashlib.sha256(lines[at - 1].rstrip(b"\n")).hexdigest()
        lines[at] = lines[at].replace(link.prev.encode(), before.encode())
    path.write_bytes(b"".join(lines))
    assert found_in(signed_project, heads=seen) == [
        *[("bad_signature", number) for number in range(3, 8)],
        ("edited_line", 8),
    ]


@pytest.mark.parametrize("number", range(1, 8))
def test_a_deleted_line_is_named_where_it_stood(number: int, signed_project: RegistryProject) -> None:
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    lines = lines_of(path)
    del lines[number - 1]
    path.write_bytes(b"".join(lines))
    assert found_in(signed_project, heads=seen) == [("missing_lines", number)]


def test_a_rollback_and_a_revocation_that_were_deleted_together_are_named(signed_project: RegistryProject) -> None:
    path = signed_project.registry.training_journal
    lines = lines_of(path)
    del lines[4:6]
    path.write_bytes(b"".join(lines))
    assert found_in(signed_project) == [("missing_lines", 5)]
    (one,) = [one for one in signed_project.verify() if one.kind == "missing_lines"]
    assert "the 2 records 5 to 6 are missing" in one.sentence


@pytest.mark.parametrize("number", range(1, 9))
def test_an_inserted_copy_of_a_line_is_named(number: int, signed_project: RegistryProject) -> None:
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    for copied in range(1, 9):
        lines = lines_of(path)
        before = b"".join(lines)
        lines.insert(number, lines[copied - 1])
        path.write_bytes(b"".join(lines))
        found = found_in(signed_project, heads=seen)
        assert ("inserted_line" in {kind for kind, _ in found}) or (
            {kind for kind, _ in found} & {"missing_lines", "moved_line"}
        ), (copied, found)
        assert {line for _, line in found} & {number, number + 1, number + 2}, (copied, found)
        path.write_bytes(before)


@pytest.mark.parametrize("number", range(1, 9))
def test_an_inserted_record_without_a_chain_is_named(number: int, signed_project: RegistryProject) -> None:
    path = signed_project.registry.training_journal
    lines = lines_of(path)
    lines.insert(number, b'{"error_timestamp":"2026-01-01T00:00:00.000000+00:00","detail":"x"}\n')
    path.write_bytes(b"".join(lines))
    kind = "unchained_line" if number == 8 else "inserted_line"
    assert found_in(signed_project) == [(kind, number + 1)]


def test_a_record_that_was_appended_past_the_chain_is_named_though_the_next_writer_went_on(
    signed_project: RegistryProject,
) -> None:
    path = signed_project.registry.training_journal
    with path.open("ab") as file:
        file.write(b'{"error_timestamp":"2026-01-01T00:00:00.000000+00:00","detail":"x"}\n')
    signed_project.publish("dev")
    assert found_in(signed_project) == [("unchained_line", 9)]


@pytest.mark.parametrize("number", range(1, 8))
def test_swapped_lines_are_named(number: int, signed_project: RegistryProject) -> None:
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    lines = lines_of(path)
    lines[number - 1 : number + 1] = lines[number - 1 : number + 1][::-1]
    path.write_bytes(b"".join(lines))
    assert found_in(signed_project, heads=seen) == [("moved_line", number + 1)]


@pytest.mark.parametrize("left", range(8))
def test_a_log_that_was_cut_at_a_line_is_named_against_the_head(left: int, signed_project: RegistryProject) -> None:
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    path.write_bytes(b"".join(lines_of(path)[:left]))
    assert found_in(signed_project, heads=seen) == [("cut_log", left or None)]
    (one,) = [
        one for one in verify(signed_project.registry, signed_project.shared, heads=seen) if one.kind == "cut_log"
    ]
    assert "It was last seen right on 2026-11-27 12:00:00 UTC, at record 8." in one.sentence
    assert "just registry accept --reason ..." in one.sentence


def test_a_folder_that_was_set_back_to_an_older_copy_is_named_for_both_logs(signed_project: RegistryProject) -> None:
    older = signed_project.folder / "older"
    shutil.copytree(signed_project.models, older)
    signed_project.infer(signed_project.publish("dev"))
    seen = heads(signed_project)
    shutil.rmtree(signed_project.models)
    older.rename(signed_project.models)
    assert found_in(signed_project, heads=seen) == [("cut_log", 3), ("cut_log", 8)]


def test_a_log_that_went_on_from_an_older_copy_is_named(signed_project: RegistryProject) -> None:
    path, seen = signed_project.registry.training_journal, heads(signed_project)
    path.write_bytes(b"".join(lines_of(path)[:6]))
    for _ in range(3):
        Registry(signed_project.models, RING).record_failure("training", training_failure_of_now())
    assert found_in(signed_project, heads=seen) == [("edited_line", 8)]


def test_without_the_registrar_a_note_says_what_cannot_be_told(signed_project: RegistryProject) -> None:
    found = list(verify(signed_project.registry, signed_project.shared, ring=RING))
    (note,) = [one for one in found if one.kind == "head_unknown"]
    assert not note.is_damage


def test_predictions_that_were_edited_in_a_line_by_hand_are_named(tmp_path: Path) -> None:
    project = RegistryProject(tmp_path / "by_hand")
    for _ in range(2):
        project.infer(project.publish("dev"))
    path = project.registry.inference_journal
    path.write_bytes(path.read_bytes().replace(b"[1.0,2.5]", b"[1.0,9.5]", 1))
    assert ("edited_line", 1) in found_in(project)


def test_records_by_hand_are_one_note(tmp_path: Path) -> None:
    project = RegistryProject(tmp_path / "by_hand")
    for _ in range(5):
        project.publish("dev")
    assert project.damage() == []
    (note,) = [one for one in verify(project.registry, project.shared) if one.kind == "by_hand"]
    assert "5 records were made by hand" in note.sentence


def test_a_key_that_is_not_here_is_one_note(signed_project: RegistryProject) -> None:
    found = list(
        verify(signed_project.registry, signed_project.shared, ring=KeyRing(current=Key(b"\x02" * 32)), heads={})
    )
    assert [one.kind for one in found if one.is_damage] == []
    assert [one.kind for one in found if one.kind == "unknown_key"] == ["unknown_key"] * 2


@pytest.mark.parametrize("again", [1, 3])
def test_a_key_that_signs_after_it_was_replaced_is_one_note(signed_project: RegistryProject, again: int) -> None:
    new = KeyRing(Key(b"\x02" * 32), (Key(b"\x01" * 32),))
    Registry(signed_project.models, new).record_failure("training", training_failure_of_now())
    assert "old_key" not in [one.kind for one in verify(signed_project.registry, signed_project.shared, ring=new)]
    line = len(lines_of(signed_project.registry.training_journal)) + 1
    for _ in range(again):
        Registry(signed_project.models, RING).record_failure("training", training_failure_of_now())
    found = list(verify(signed_project.registry, signed_project.shared, ring=new, heads=heads(signed_project)))
    assert [one.kind for one in found if one.is_damage] == []
    (note,) = (one for one in found if one.kind == "old_key")
    assert ("1 record was" if again == 1 else "3 records were") in note.sentence
    assert f"line {line}:" in note.sentence


def test_an_anchor_that_an_earlier_version_has_made_over_a_torn_line_still_holds(
    legacy_project: RegistryProject,
) -> None:
    """It covered the bytes before it without the end that the torn line was then given."""
    log = legacy_project.registry.training_journal
    torn = LEGACY_TRAININGS.rstrip(b"\n")
    made = records.Anchor(
        anchor_time=clock.in_record(clock.now()),
        lines=torn.count(b"\n") + 1,
        size_bytes=len(torn),
        sha256=hashlib.sha256(torn).hexdigest(),
    )
    content = record_lines.encode(made).rstrip(b"\n")
    last = hashlib.sha256(torn.splitlines()[-1]).hexdigest()
    log.write_bytes(torn + b"\n" + chain.link(content, 1, last, RING.current) + b"\n")
    legacy_project.registry.record_failure("training", training_failure_of_now())
    assert found_in(legacy_project) == []
    log.write_bytes(log.read_bytes().replace(b"3f2a", b"3f2b", 1))
    assert found_in(legacy_project) == [("edited_line", torn.count(b"\n") + 2)]


def test_an_old_log_is_clean_before_and_after_its_anchor(legacy_project: RegistryProject) -> None:
    assert found_in(legacy_project) == []
    legacy_project.publish("dev")
    assert found_in(legacy_project) == []
    assert legacy_project.damage() == []


@pytest.mark.parametrize("what", ["edited", "deleted", "inserted"])
def test_what_was_done_to_an_old_log_after_its_anchor_is_named(what: str, legacy_project: RegistryProject) -> None:
    legacy_project.publish("dev")
    path = legacy_project.registry.training_journal
    lines = lines_of(path)
    anchor = next(at for at, line in enumerate(lines) if line.startswith(b'{"anchor_time"'))
    if what == "edited":
        lines[0] = lines[0].replace(b"2024", b"2025", 1)
    elif what == "deleted":
        del lines[0]
    else:
        lines.insert(0, lines[0])
    path.write_bytes(b"".join(lines))
    kinds = {"edited": "edited_line", "deleted": "missing_lines", "inserted": "inserted_line"}
    place = anchor + 1 + {"edited": 0, "deleted": -1, "inserted": 1}[what]
    assert found_in(legacy_project) == [(kinds[what], place)]


def test_a_torn_line_that_a_writer_has_ended_is_no_break_of_the_chain(signed_project: RegistryProject) -> None:
    path = signed_project.registry.training_journal
    path.write_bytes(path.read_bytes() + b'{"model_hash":"ab')
    signed_project.publish("dev")
    assert found_in(signed_project) == []
    assert "torn_line" in signed_project.damage()
    signed_project.repair()
    assert signed_project.damage() == []
    assert found_in(signed_project) == []


def test_a_line_that_is_longer_than_a_line_may_be_is_one_finding(signed_project: RegistryProject) -> None:
    path = signed_project.registry.training_journal
    with path.open("ab") as file:
        file.write(b"x" * (20 << 20) + b"\n")
    signed_project.publish("dev")
    assert found_in(signed_project) == []
    assert "longer than 16 MiB" in signed_project.the("foreign_line").sentence
    (record,) = signed_project.repair()
    assert record.size_bytes == 20 << 20
    assert signed_project.damage() == []


def test_two_outcomes_of_one_logical_task_are_damage(signed_project: RegistryProject) -> None:
    model = signed_project.publish("dev")
    for first_try in ("a", "b", "a"):
        decided = signed_project.promoted(model, first_try=first_try)
        signed_project.append(decided)
    found = signed_project.the("two_outcomes")
    assert found.line == 12
    assert "whose first is in line 10" in found.sentence


def test_two_inferences_of_one_logical_task_are_damage(signed_project: RegistryProject) -> None:
    model = signed_project.registry.latest("dev")
    signed_project.infer(model, first_try="a")
    signed_project.infer(model, first_try="b")
    assert signed_project.damage() == []
    signed_project.infer(model, first_try="a")
    found = signed_project.the("two_outcomes")
    assert (found.line, found.path) == (6, "models/log_inference.txt")


def training_failure_of_now() -> records.TrainingFailure:
    return records.TrainingFailure(error_timestamp=clock.in_record(clock.now()), detail="d", environment="dev")
