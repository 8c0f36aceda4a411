"""verify: the files in models/ against their records."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kept import DECIDED, Kept
from tests.support.project import NEXT

from bulkhead import files
from bulkhead.registry import decisions, records
from bulkhead.registry.decisions import revoke
from bulkhead.registry.records import ModelRecord

ELSEWHERE = "model_20260101T000000000000Z_abc.joblib"


def test_a_missing_model_is_found_and_who_serves_it(kept: Kept) -> None:
    model = kept.publish()
    kept.file_of(model).unlink()
    found = kept.the("missing_model")
    assert found.path == f"models/{model.model_filename}"
    assert "(served in prd)" in found.sentence
    assert NEXT.search(found.sentence)
    assert found.mended_by == "person"


def test_a_missing_model_that_was_used_is_told_with_its_uses(kept: Kept) -> None:
    model = kept.publish()
    kept.infer(model)
    kept.infer(model)
    kept.file_of(model).unlink()
    assert kept.damage() == ["missing_model", "model_file_gone"]
    assert kept.the("model_file_gone").sentence.startswith("2 inferences, the first in line 3 ")


@given(data=st.data())
def test_one_byte_of_a_model_changed_added_or_lost_is_found(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder) / "p")
        path = kept.file_of(kept.publish())
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["change", "add", "lose"])):
            case "change":
                content[at] ^= data.draw(st.integers(1, 255))
            case "add":
                content[at:at] = b"x"
            case _:
                del content[at]
        kept.alter(path, bytes(content))
        assert kept.damage() == ["altered_model"]
        assert kept.the("altered_model").mended_by == "repair"


def test_a_model_file_that_cannot_be_read_is_a_finding_and_the_rest_is_checked(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, under which tests run, every file can be read; so the refusal is put in its place."""
    model, other = kept.publish(), kept.publish()
    kept.alter(kept.file_of(other))
    real = files.hash_of

    def refuse(path: Path) -> str | None:
        if path.name == model.model_filename:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr("bulkhead.maintenance.verify.model_files.hash_of", refuse)
    assert kept.damage() == ["altered_model", "unreadable_file"]


def test_a_model_whose_record_gives_another_size_is_told_as_a_wrong_record(kept: Kept) -> None:
    model = kept.publish()
    line = records.encode(model)
    path = kept.registry.trainings
    changed = records.encode(msgspec.structs.replace(model, size_bytes=7))
    path.write_bytes(path.read_bytes().replace(line, changed))
    assert kept.damage() == ["contradictory_record"]


@pytest.mark.parametrize("name", [ELSEWHERE, "model_x.pkl", "model_2024-01-31:23-59-59_3f2a.pkl"])
def test_a_model_file_without_a_record_is_an_orphan(name: str, kept: Kept) -> None:
    (kept.models / name).write_bytes(b"x")
    found = kept.the("orphan_model")
    assert (found.path, found.mended_by) == (f"models/{name}", "repair")
    assert NEXT.search(found.sentence)


@pytest.mark.parametrize(
    "name", ["notes.txt", ".DS_Store", "log.txt~", "a\nb", "model_\x1b[2J.joblib", "é" * 100, "\udcff"]
)
def test_a_foreign_file_is_found_and_left_to_a_person(name: str, kept: Kept) -> None:
    (kept.models / name).write_bytes(b"x")
    found = kept.the("foreign_file")
    assert found.mended_by == "person"
    assert (found.path + found.sentence).isprintable()
    msgspec.json.encode(found)
    assert kept.repair() == []
    assert (kept.models / name).exists()


def test_a_folder_or_link_called_like_a_model_is_foreign_and_not_followed(kept: Kept) -> None:
    (kept.models / ELSEWHERE).mkdir()
    (kept.models / ELSEWHERE.replace("abc", "def")).symlink_to("/etc/passwd")
    assert kept.damage() == ["foreign_file", "foreign_file"]


def test_a_link_in_place_of_a_published_model_is_found_even_to_the_same_bytes(kept: Kept) -> None:
    path = kept.file_of(kept.publish())
    path.rename(kept.folder / "moved")
    path.symlink_to(kept.folder / "moved")
    assert kept.damage() == ["foreign_file"]


def test_what_a_killed_writer_left_is_a_note_once_it_is_old(kept: Kept) -> None:
    path = kept.models / ".model_abc.joblib.x1y2.tmp"
    path.write_bytes(b"half")
    assert kept.verify() == []
    os.utime(path, (time.time() - 7200,) * 2)
    assert (kept.damage(), kept.notes()) == ([], ["leftover"])


def test_a_removed_model_is_no_damage_unless_it_is_served_or_still_there(kept: Kept) -> None:
    model = kept.publish()
    kept.publish()
    kept.file_of(model).rename(kept.folder / "gone")
    kept.removed(f"models/{model.model_filename}")
    assert kept.damage() == []
    (kept.folder / "gone").rename(kept.file_of(model))
    assert kept.damage() == ["removal_unfinished"]
    assert kept.the("removal_unfinished").mended_by == "gc"


def test_a_served_model_that_was_removed_is_damage(kept: Kept) -> None:
    model = kept.publish()
    kept.file_of(model).unlink()
    kept.removed(f"models/{model.model_filename}")
    assert kept.damage() == ["served_model_gone"]
    assert "prd serves it, and its file was removed by b" in kept.the("served_model_gone").sentence


def test_a_quarantined_model_that_is_served_no_more_is_clean(kept: Kept) -> None:
    model = kept.publish()
    kept.alter(kept.file_of(model))
    kept.repair()
    assert kept.damage() == ["served_model_gone"]
    decisions.roll_back(kept.registry, "prd", DECIDED)
    assert kept.damage() == []


def test_a_quarantined_model_that_is_put_back_is_a_note_and_an_altered_one_again_damage(kept: Kept) -> None:
    model = kept.publish()
    kept.publish()
    path = kept.file_of(model)
    good = path.read_bytes()
    kept.alter(path)
    kept.repair()
    path.write_bytes(good)
    assert (kept.damage(), kept.notes()) == ([], ["restored_model"])
    path.write_bytes(b"other")
    assert kept.damage() == ["altered_model"]
    kept.repair()
    assert kept.damage() == []


def test_a_revoked_models_file_is_still_checked(kept: Kept) -> None:
    model = kept.publish()
    revoke(kept.registry, model.model_filename, DECIDED)
    assert kept.damage() == []
    kept.alter(kept.file_of(model))
    assert kept.damage() == ["altered_model"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "", ".", "..", "a\nb", "\x00", "log.txt", "x" * 5000, "é\u202e"]
)
@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_record_with_a_hostile_name_is_found_and_no_file_elsewhere_is_touched(
    name: str, sha256: str | None, kept: Kept
) -> None:
    kept.append(
        ModelRecord(
            model_hash="h",
            model_filename=name,
            training_timestamp="t",
            environment="test\x1b",
            sha256=sha256,
            size_bytes=1,
        )
    )
    logs = kept.registry.trainings.read_bytes()
    kinds = kept.damage()
    assert ("foreign_file" if name == "log.txt" else "missing_model") in kinds
    assert all(found.sentence.isprintable() and len(found.sentence) < 2500 for found in kept.verify())
    assert kept.repair() == []
    assert kept.registry.trainings.read_bytes() == logs


def test_what_was_put_into_quarantine_and_is_gone_is_a_note(kept: Kept) -> None:
    (kept.models / ELSEWHERE).write_bytes(b"x")
    kept.repair()
    assert kept.verify() == []
    (aside,) = (kept.models / "quarantine").iterdir()
    aside.unlink()
    assert (kept.damage(), kept.notes()) == ([], ["lost_quarantine"])
