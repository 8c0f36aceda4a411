"""Notes and tags: bounded, of a model that there is, each said once, and no reader trips over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.project import CHURN, lines_of, publish

from bulkhead.errors import NoModel, Refused
from bulkhead.identity import Identity
from bulkhead.registry import annotating, decisions, journal, notes
from bulkhead.registry.annotating import NoTag, Unfit
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry

WHO = Identity()


@pytest.fixture
def name(empty_registry: Registry) -> str:
    """A model's file, between others."""
    publish(empty_registry, "prd", "before")
    name = publish(empty_registry, "dev", "this", **CHURN).model_filename
    publish(empty_registry, "prd", "after")
    return name


def known(registry: Registry, name: str) -> ModelVersion:
    return RegistryState(journal.read(registry.training_journal)).models[name]


def test_a_note_is_a_record_of_who_and_when(empty_registry: Registry, name: str) -> None:
    made = annotating.note(empty_registry, name, " ada ", "  one line\r\nand another\n", WHO)
    line = lines_of(empty_registry.training_journal)[-1]
    assert (line["note_time"], line["model_filename"], line["by"], line["text"]) == (
        made.note_time, name, "ada", "one line\nand another",
    )  # fmt: skip
    assert list(line)[:4] == ["note_time", "model_filename", "by", "text"]
    assert {"seq", "prev"} <= set(line)
    assert [note.text for note in known(empty_registry, name).notes] == ["one line\nand another"]


def test_a_tag_has_one_value_and_can_be_taken_away(empty_registry: Registry, name: str) -> None:
    for value in ("ada", "bob", None):
        annotating.tag(empty_registry, name, "ada", "owner", value, WHO)
        tags = {key: tag.value for key, tag in known(empty_registry, name).tags.items()}
        assert tags == ({} if value is None else {"owner": value})
    assert [line.get("value", "-") for line in lines_of(empty_registry.training_journal)[-3:]] == ["ada", "bob", None]


def test_what_is_said_already_is_not_recorded_again(empty_registry: Registry, name: str) -> None:
    first = annotating.note(empty_registry, name, "ada", "seen", WHO)
    set_to = annotating.tag(empty_registry, name, "ada", "k", "v", WHO)
    before = empty_registry.training_journal.read_bytes()
    assert annotating.note(empty_registry, name, "ada", " seen ", WHO) == first
    assert annotating.tag(empty_registry, name, "bob", "k", "v", WHO) == set_to
    assert empty_registry.training_journal.read_bytes() == before
    annotating.note(empty_registry, name, "bob", "seen", WHO)
    annotating.note(empty_registry, name, "ada", "seen", WHO)
    assert [note.by for note in known(empty_registry, name).notes] == ["ada", "bob", "ada"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "empty"), (" \n\t ", "empty"), ("x" * 2001, "2001 characters, and 2000 are kept"), ("a\x00b", r"U\+0000"),
     ("\x1b[2J", r"U\+001B"), ("half \ud800", r"U\+D800"), ("bell\x07", r"U\+0007")],
)  # fmt: skip
def test_a_note_that_is_none_is_refused(empty_registry: Registry, name: str, text: str, why: str) -> None:
    before = empty_registry.training_journal.read_bytes()
    with pytest.raises(Unfit, match=why):
        annotating.note(empty_registry, name, "ada", text, WHO)
    assert empty_registry.training_journal.read_bytes() == before


@pytest.mark.parametrize("text", ["x" * 2000, "naïve ☃ 👩‍🚀", "<script>alert(1)</script>", "שלום", "'\"; DROP"])
def test_a_note_is_any_text(empty_registry: Registry, name: str, text: str) -> None:
    annotating.note(empty_registry, name, "ada", text, WHO)
    assert known(empty_registry, name).notes[0].text == text


@pytest.mark.parametrize("key", ["", "a b", "a=b", "x" * 61, "ä", "a\n", "a/b", "#"])
def test_a_key_that_is_none_is_refused(empty_registry: Registry, name: str, key: str) -> None:
    with pytest.raises(Unfit, match="is no key of a tag"):
        annotating.tag(empty_registry, name, "ada", key, "v", WHO)


@pytest.mark.parametrize("value", ["", "  ", "x" * 201, "two\nlines", "\x00"])
def test_a_value_that_is_none_is_refused(empty_registry: Registry, name: str, value: str) -> None:
    with pytest.raises(Unfit, match="the tag's value"):
        annotating.tag(empty_registry, name, "ada", "k", value, WHO)


def test_nobody_says_nothing_of_no_model(empty_registry: Registry, name: str) -> None:
    with pytest.raises(Unfit, match="who says it is empty"):
        annotating.note(empty_registry, name, " ", "text", WHO)
    for filename in ("model_x.joblib", name[:-1], "", "../log.txt", '"model_filename"'):
        with pytest.raises(NoModel, match="no record of a model file"):
            annotating.note(empty_registry, filename, "ada", "text", WHO)
    with pytest.raises(NoTag, match="this one has none"):
        annotating.tag(empty_registry, name, "ada", "owner", None, WHO)
    annotating.tag(empty_registry, name, "ada", "reviewed", "yes", WHO)
    with pytest.raises(NoTag, match="Name one of: reviewed"):
        annotating.tag(empty_registry, name, "ada", "owner", None, WHO)


def test_a_model_has_no_endless_notes_and_tags(
    empty_registry: Registry, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "MOST_NOTES", 2)
    monkeypatch.setattr(notes, "MOST_TAGS", 2)
    for number in range(2):
        annotating.note(empty_registry, name, "ada", str(number), WHO)
        annotating.tag(empty_registry, name, "ada", f"k{number}", "v", WHO)
    with pytest.raises(Refused, match="2 notes, and a model has no more"):
        annotating.note(empty_registry, name, "ada", "third", WHO)
    with pytest.raises(Refused, match="2 tags, and a model has no more"):
        annotating.tag(empty_registry, name, "ada", "k2", "v", WHO)
    annotating.tag(empty_registry, name, "ada", "k1", "another", WHO)
    annotating.tag(empty_registry, name, "ada", "k0", None, WHO)
    annotating.tag(empty_registry, name, "ada", "k2", "v", WHO)


def test_a_promoted_and_revoked_model_keeps_them_and_can_have_more(empty_registry: Registry, name: str) -> None:
    why = DecisionContext("ada", "why")
    annotating.note(empty_registry, name, "ada", "first", WHO)
    decisions.promote(empty_registry, name, why, lambda *_: {})
    annotating.tag(empty_registry, name, "ada", "k", "v", WHO)
    decisions.revoke(empty_registry, name, why)
    annotating.note(empty_registry, name, "ada", "second", WHO)
    model = known(empty_registry, name)
    assert [note.text for note in model.notes] == ["first", "second"]
    assert list(model.tags) == ["k"]
    assert [type(one).__name__ for one in model.decisions] == ["Revocation"]


def test_what_is_served_is_not_changed_by_them(empty_registry: Registry, name: str) -> None:
    served = {env: empty_registry.served(env, "churn") for env in ("dev", "prd")}
    annotating.note(empty_registry, name, "ada", "text", WHO)
    annotating.tag(empty_registry, name, "ada", "k", "v", WHO)
    assert {env: empty_registry.served(env, "churn") for env in ("dev", "prd")} == served
    assert empty_registry.find(name).model_filename == name
    assert publish(empty_registry, "dev", "next", **CHURN).version == 2
