"""verify: the files in models/ against their records."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.project import NEXT
from tests.support.registry_project import DECIDED, RegistryProject, rechain

from bulkhead import untrusted
from bulkhead.registry import decisions, record_lines
from bulkhead.registry.decisions import revoke
from bulkhead.registry.records import ModelRecord

ELSEWHERE = "model_20260101T000000000000Z_abc.joblib"


def test_a_missing_model_is_found_and_who_serves_it(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    clean_project.file_of(model).unlink()
    found = clean_project.the("missing_model")
    assert found.path == f"models/{model.model_filename}"
    assert "(served in prd)" in found.sentence
    assert NEXT.search(found.sentence)
    assert found.mended_by == "person"


def test_a_missing_model_that_was_used_is_told_with_its_uses(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    clean_project.infer(model)
    clean_project.infer(model)
    clean_project.file_of(model).unlink()
    assert clean_project.damage() == ["missing_model", "model_file_gone"]
    assert clean_project.the("model_file_gone").sentence.startswith("2 inferences, the first in line 3 ")


@given(data=st.data())
def test_one_byte_of_a_model_changed_added_or_lost_is_found(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clean_project = RegistryProject(Path(folder) / "p")
        path = clean_project.file_of(clean_project.publish())
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["change", "add", "lose"])):
            case "change":
                content[at] ^= data.draw(st.integers(1, 255))
            case "add":
                content[at:at] = b"x"
            case _:
                del content[at]
        clean_project.alter(path, bytes(content))
        assert clean_project.damage() == ["altered_model"]
        assert clean_project.the("altered_model").mended_by == "repair"


def test_a_model_file_that_cannot_be_read_is_a_finding_and_the_rest_is_checked(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, under which tests run, every file can be read; so the refusal is put in its place."""
    model, other = clean_project.publish(), clean_project.publish()
    clean_project.alter(clean_project.file_of(other))
    real = untrusted.hash_of

    def refuse(root: Path, relative: str, **options: Any) -> str:
        if relative == model.model_filename:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), relative)
        return real(root, relative, **options)

    monkeypatch.setattr(untrusted, "hash_of", refuse)
    assert clean_project.damage() == ["altered_model", "unreadable_file"]


def test_a_model_whose_record_gives_another_size_is_told_as_a_wrong_record(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    line = record_lines.encode(model).rstrip(b"}\n")
    path = clean_project.registry.training_journal
    changed = record_lines.encode(msgspec.structs.replace(model, size_bytes=7)).rstrip(b"}\n")
    path.write_bytes(path.read_bytes().replace(line, changed))
    rechain(path)
    assert clean_project.damage() == ["contradictory_record"]


@pytest.mark.parametrize("name", [ELSEWHERE, "model_x.pkl", "model_2024-01-31:23-59-59_3f2a.pkl"])
def test_a_model_file_without_a_record_is_an_orphan(name: str, clean_project: RegistryProject) -> None:
    (clean_project.models / name).write_bytes(b"x")
    found = clean_project.the("orphan_model")
    assert (found.path, found.mended_by) == (f"models/{name}", "repair")
    assert NEXT.search(found.sentence)


@pytest.mark.parametrize(
    "name", ["notes.txt", ".DS_Store", "log.txt~", "a\nb", "model_\x1b[2J.joblib", "é" * 100, "\udcff"]
)
def test_a_foreign_file_is_found_and_left_to_a_person(name: str, clean_project: RegistryProject) -> None:
    (clean_project.models / name).write_bytes(b"x")
    found = clean_project.the("foreign_file")
    assert found.mended_by == "person"
    assert (found.path + found.sentence).isprintable()
    msgspec.json.encode(found)
    assert clean_project.repair() == []
    assert (clean_project.models / name).exists()


def test_a_folder_or_link_called_like_a_model_is_foreign_and_not_followed(clean_project: RegistryProject) -> None:
    (clean_project.models / ELSEWHERE).mkdir()
    (clean_project.models / ELSEWHERE.replace("abc", "def")).symlink_to("/etc/passwd")
    assert clean_project.damage() == ["foreign_file", "foreign_file"]


def test_a_link_in_place_of_a_published_model_is_found_even_to_the_same_bytes(clean_project: RegistryProject) -> None:
    path = clean_project.file_of(clean_project.publish())
    path.rename(clean_project.folder / "moved")
    path.symlink_to(clean_project.folder / "moved")
    assert clean_project.damage() == ["foreign_file"]


def test_what_a_killed_writer_left_is_a_note_once_it_is_old(clean_project: RegistryProject) -> None:
    path = clean_project.models / ".model_abc.joblib.x1y2.tmp"
    path.write_bytes(b"half")
    assert clean_project.verify() == []
    os.utime(path, (time.time() - 7200,) * 2)
    assert (clean_project.damage(), clean_project.notes()) == ([], ["leftover"])


def test_a_removed_model_is_no_damage_unless_it_is_served_or_still_there(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    clean_project.publish()
    clean_project.file_of(model).rename(clean_project.folder / "gone")
    clean_project.removed(f"models/{model.model_filename}")
    assert clean_project.damage() == []
    (clean_project.folder / "gone").rename(clean_project.file_of(model))
    assert clean_project.damage() == ["removal_unfinished"]
    assert clean_project.the("removal_unfinished").mended_by == "gc"


def test_a_served_model_that_was_removed_is_damage(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    clean_project.file_of(model).unlink()
    clean_project.removed(f"models/{model.model_filename}")
    assert clean_project.damage() == ["served_model_gone"]
    assert "prd serves it, and its file was removed by b" in clean_project.the("served_model_gone").sentence


def test_a_quarantined_model_that_is_served_no_more_is_clean(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    clean_project.alter(clean_project.file_of(model))
    clean_project.repair()
    assert clean_project.damage() == ["served_model_gone"]
    decisions.roll_back(clean_project.registry, "prd", DECIDED)
    assert clean_project.damage() == []


def test_a_quarantined_model_that_is_put_back_is_a_note_and_an_altered_one_again_damage(
    clean_project: RegistryProject,
) -> None:
    model = clean_project.publish()
    clean_project.publish()
    path = clean_project.file_of(model)
    good = path.read_bytes()
    clean_project.alter(path)
    clean_project.repair()
    path.write_bytes(good)
    assert (clean_project.damage(), clean_project.notes()) == ([], ["restored_model"])
    path.write_bytes(b"other")
    assert clean_project.damage() == ["altered_model"]
    clean_project.repair()
    assert clean_project.damage() == []


def test_a_revoked_models_file_is_still_checked(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    revoke(clean_project.registry, model.model_filename, DECIDED)
    assert clean_project.damage() == []
    clean_project.alter(clean_project.file_of(model))
    assert clean_project.damage() == ["altered_model"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "", ".", "..", "a\nb", "\x00", "log.txt", "x" * 5000, "é\u202e"]
)
@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_record_with_a_hostile_name_is_found_and_no_file_elsewhere_is_touched(
    name: str, sha256: str | None, clean_project: RegistryProject
) -> None:
    clean_project.append(
        ModelRecord(
            model_hash="h",
            model_filename=name,
            training_timestamp="t",
            environment="test\x1b",
            sha256=sha256,
            size_bytes=1,
        )
    )
    logs = clean_project.registry.training_journal.read_bytes()
    kinds = clean_project.damage()
    assert ("foreign_file" if name == "log.txt" else "missing_model") in kinds
    assert all(found.sentence.isprintable() and len(found.sentence) < 2500 for found in clean_project.verify())
    assert clean_project.repair() == []
    assert clean_project.registry.training_journal.read_bytes() == logs


def test_what_was_put_into_quarantine_and_is_gone_is_a_note(clean_project: RegistryProject) -> None:
    (clean_project.models / ELSEWHERE).write_bytes(b"x")
    clean_project.repair()
    assert clean_project.verify() == []
    (aside,) = (clean_project.models / "quarantine").iterdir()
    aside.unlink()
    assert (clean_project.damage(), clean_project.notes()) == ([], ["lost_quarantine"])
