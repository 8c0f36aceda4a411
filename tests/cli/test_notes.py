"""``registry note`` and ``registry tag``, the names that every command takes, and the question before a revocation."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.support.project import CHURN, inferred, lines_of, publish

if TYPE_CHECKING:
    from tests.support.command import Command

    from bulkhead.registry.records import ModelRecord


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_BY", "ada")


@pytest.fixture
def churn(registry: Command) -> list[ModelRecord]:
    """Two versions of ``churn`` that prd serves, and one of ``model`` before them."""
    publish(registry.registry, "prd", "plain")
    return [publish(registry.registry, "prd", f"churn {number}", **CHURN) for number in range(2)]


def test_a_note_is_told_by_show_with_who_and_when(registry: Command, churn: list[ModelRecord]) -> None:
    said = registry.done("note", "churn #2", "prices changed\nin May", "--by", "bob")
    assert f"churn #2 ({churn[1].model_filename})" in said
    told = registry.done("show", "churn #2")
    assert re.search(r"^  20\d\d-.*  noted by bob: prices changed in May \(recorded by hand\)$", told, re.MULTILINE)
    assert "prices changed" not in registry.done("show", "churn #1")
    history = json.loads(registry.done("show", "churn #2", "--json"))["history"]
    assert [entry.get("text") for entry in history] == [None, "prices changed\nin May"]


def test_tags_are_set_replaced_removed_listed_and_filtered_by(registry: Command, churn: list[ModelRecord]) -> None:
    registry.done("tag", "churn #1", "owner=ada")
    registry.done("tag", churn[1].model_hash[:8], "owner=bob")
    assert re.search(r"^tags +owner=bob, reviewed=a=b$", registry.done("tag", "churn #2", "reviewed=a=b"), re.MULTILINE)

    def files(*tags: str) -> list[str]:
        listed = registry.done("list", "--json", *(word for tag in tags for word in ("--tag", tag)))
        return [json.loads(line)["short_name"] for line in listed.splitlines()]

    assert files("owner") == ["churn #1", "churn #2"]
    assert files("owner=bob") == files("owner", "reviewed=a=b") == ["churn #2"]
    assert files("owner=bob", "owner=ada") == files("owner=") == files("nothing") == []
    assert "owner=bob, reviewed=a=b" in registry.done("list")
    assert "No models with the tag nothing" in registry("list", "--tag", "nothing").err
    registry.done("tag", "churn #2", "owner", "--remove")
    assert files("owner") == ["churn #1"]
    told = registry.done("show", "churn #2")
    for line in ("tag owner set to bob by ada", "tag owner removed by ada", "tag reviewed set to a=b by ada"):
        assert line in told
    assert json.loads(registry.done("show", "churn #2", "--json"))["tags"] == {"reviewed": "a=b"}


@pytest.mark.parametrize(
    ("argv", "code", "why"),
    [
        (["note", "churn #2", " "], 1, "the note is empty"),
        (["note", "churn #2", "x" * 2001], 1, "2001 characters"),
        (["note", "churn #3", "x"], 1, "has no model 'churn #3'"),
        (["note", "#1", "x"], 1, "is the short name of 2 models"),
        (["note", "churn #2"], 2, "Missing argument"),
        (["tag", "churn #2", "owner"], 2, "give a value: owner=VALUE"),
        (["tag", "churn #2", "owner=ada", "--remove"], 2, "say two things"),
        (["tag", "churn #2", "a b=c"], 1, "no key of a tag"),
        (["tag", "churn #2", "=c"], 1, "no key of a tag"),
        (["tag", "churn #2", "owner="], 1, "the tag's value is empty"),
        (["tag", "churn #2", "owner", "--remove"], 1, "has no tag owner"),
        (["list", "--inferences", "--tag", "owner"], 2, "--tag is of models"),
    ],
)
@pytest.mark.usefixtures("churn")
def test_what_is_no_note_and_no_tag_is_refused_and_nothing_is_recorded(
    registry: Command, argv: list[str], code: int, why: str
) -> None:
    before = registry.registry.training_journal.read_bytes()
    ended = registry(*argv)
    assert ended.code == code
    assert why in ended.err
    assert registry.registry.training_journal.read_bytes() == before


def test_every_command_that_takes_a_model_takes_its_short_name(registry: Command, churn: list[ModelRecord]) -> None:
    inferred(registry.registry, churn[1], 1, model_name="churn", predictions_path=None)
    dev = publish(registry.registry, "dev", "better", **CHURN)
    assert registry.done("show", "churn #3").startswith(f"churn #3 ({dev.model_filename})\n")
    assert registry.done("compare", "churn #1", "churn#2").startswith("A  churn #1 (")
    assert "Inferences: 1, 2 rows" in registry.done("impact", "churn #2")
    assert re.search(r"^  short name +churn #2$", registry("trace", "2026-02-01T00:00:01.000001").out, re.MULTILINE)
    done = ["--reason", "r", "--checked", "{}"]
    assert "prd serves    churn #3 (" in registry.done("promote", "churn #3", "--replacing", "churn #2", *done)
    back = ["rollback", "--environment", "prd", "--reason", "r"]
    assert "prd serves    churn #1 (" in registry.done(*back, "--name", "churn", "--to", "#1")
    registry.done("revoke", "churn #3", "--reason", "r", "--yes")
    assert lines_of(registry.registry.training_journal)[-1]["model_filename"] == dev.model_filename
    files = [line["model_filename"] for line in lines_of(registry.registry.training_journal)]
    assert not any("#" in name for name in files), "records name files"


class Terminal(io.StringIO):
    """A person's."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "revoked"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False)])
def test_a_revocation_is_asked_for_and_says_what_depends_on_the_model(
    registry: Command, churn: list[ModelRecord], monkeypatch: pytest.MonkeyPatch, answer: str, *, revoked: bool
) -> None:
    inferred(registry.registry, churn[1], 1)
    inferred(registry.registry, churn[1], 2)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    ended = registry("revoke", "churn #2", "--reason", "leaked")
    assert f"churn #2 ({churn[1].model_filename}): prd serves it; 2 inferences used it, with 4 predictions" in ended.err
    assert "Revoke churn #2 for ever" in ended.err
    assert ended.code == (0 if revoked else 1)
    assert ("revocation_time" in lines_of(registry.registry.training_journal)[-1]) is revoked
    assert ("you said no" in ended.err) is not revoked


def test_an_interrupted_question_revokes_nothing(
    registry: Command, churn: list[ModelRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert registry("revoke", churn[1].model_filename, "--reason", "leaked").code != 0
    assert "revocation_time" not in lines_of(registry.registry.training_journal)[-1]


def test_without_a_terminal_a_revocation_takes_yes(registry: Command, churn: list[ModelRecord]) -> None:
    said = registry.refused("revoke", "churn #1", "--reason", "leaked")
    assert f"churn #1 ({churn[0].model_filename}) would be out of service for ever" in said
    assert "no environment serves it; 0 inferences used it" in said
    assert said.endswith("Give --yes.")
    registry.done("revoke", "churn #1", "--reason", "leaked", "--yes")
    assert "was revoked by ada" in registry.refused("revoke", "churn #1", "--reason", "again")


def test_promoting_what_was_revoked_in_another_version_warns(registry: Command) -> None:
    bad, again = (publish(registry.registry, "dev", "same") for _ in range(2))
    registry.done("revoke", "model #1", "--reason", "leaked", "--yes")
    said = registry.done("promote", "model #2", "--reason", "r", "--checked", "{}")
    assert re.search(rf"^warning +model #2 .* holds the same model as {bad.model_filename}, and", said, re.MULTILINE)
    assert f"The same model as model #1 ({bad.model_filename}): it was revoked" in registry.done("show", "model #2")
    assert "The same model as" not in registry.done("show", "model #1")
    assert registry.registry.latest("prd").model_filename == again.model_filename
