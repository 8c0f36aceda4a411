"""What verify says of numbers, notes and tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bulkhead.identity import Identity
from bulkhead.registry import annotating
from bulkhead.registry.notes import Note

if TYPE_CHECKING:
    from tests.support.registry_project import RegistryProject


def renumbered(project: RegistryProject, **changes: Any) -> None:
    """Change the last line of log.txt as a hand would."""
    *before, last = project.registry.training_journal.read_bytes().splitlines()
    project.registry.training_journal.write_bytes(
        b"\n".join([*before, json.dumps(json.loads(last) | changes).encode(), b""])
    )


def test_notes_and_tags_are_clean(clean_project: RegistryProject) -> None:
    name = clean_project.registry.latest("prd").model_filename
    annotating.note(clean_project.registry, name, "ada", "two\nlines", Identity())
    annotating.tag(clean_project.registry, name, "ada", "owner", "ada", Identity())
    annotating.tag(clean_project.registry, name, "ada", "owner", None, Identity())
    assert clean_project.damage() == []


def test_a_note_of_no_model_is_found(clean_project: RegistryProject) -> None:
    clean_project.append(Note(note_time="t", model_filename="model_x.joblib", by="ada", text="t"))
    assert "unfounded_note" in clean_project.damage()


def test_two_files_of_one_name_and_number_are_found(clean_project: RegistryProject) -> None:
    clean_project.publish("dev")
    assert clean_project.damage() == []
    renumbered(clean_project, version=1)
    assert "version_twice" in clean_project.damage()


@pytest.mark.parametrize("nonsense", [0, -3, 10**15])
def test_a_number_that_is_none_is_found(clean_project: RegistryProject, nonsense: int) -> None:
    clean_project.publish("dev")
    renumbered(clean_project, version=nonsense)
    assert "contradictory_record" in clean_project.damage()


def test_records_of_before_have_no_numbers_and_are_clean(clean_project: RegistryProject) -> None:
    """Publications and a promotion without a number, then one with it."""
    log = clean_project.registry.training_journal
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    for line in lines:
        for key in ("version", "seq", "prev", "key", "hmac"):
            line.pop(key, None)
    log.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    assert clean_project.damage() == []
    assert clean_project.publish("dev").version == 4
    assert clean_project.damage() == []
