"""``registry verify``, ``repair`` and ``gc`` on the command line."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.registry_project import RegistryProject

from bulkhead import untrusted
from bulkhead.cli import main as cli
from bulkhead.registry import journal
from bulkhead.registry.records import Quarantine, Removal

if TYPE_CHECKING:
    from pathlib import Path

NOTES = 4
"""What every registry by hand has: two logs without a signature, no registrar, predictions that are no table."""
ORPHAN = "model_20260101T000000000000Z_abc.joblib"


def registry(clean_project: RegistryProject, *arguments: str) -> int:
    return cli.main(["--models", str(clean_project.models), "--shared", str(clean_project.shared), *arguments])


@pytest.fixture
def damaged(clean_project: RegistryProject) -> RegistryProject:
    """An orphan that repair puts aside, a foreign file that is left to a person, and a note."""
    (clean_project.models / ORPHAN).write_bytes(b"x")
    (clean_project.models / "notes\x1b[2J.txt").write_bytes(b"x")
    clean_project.append(Removal(removal_time="t", paths=["shared/runs/a/b"], size_bytes=1, by="b", reason="r"))
    return clean_project


def test_a_clean_registry_is_exit_0(clean_project: RegistryProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert registry(clean_project, "verify") == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[-1], err) == (f"clean, {NOTES} notes", "")


def test_a_note_alone_is_clean(clean_project: RegistryProject, capsys: pytest.CaptureFixture[str]) -> None:
    (clean_project.models / ORPHAN).write_bytes(b"x")
    clean_project.repair()
    (next((clean_project.models / "quarantine").iterdir())).unlink()
    assert registry(clean_project, "verify") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"clean, {NOTES + 1} notes"


def test_damage_is_exit_1_and_says_who_mends_what(damaged: RegistryProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert registry(damaged, "verify") == 1
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    told = [line.split()[1] for line in lines[:-3] if line.startswith("damage")]
    assert sorted(told) == ["foreign_file", "orphan_model"]
    assert lines[-3:] == [
        f"not clean: 2 findings, {NOTES} notes",
        "1 can be put aside: just registry repair",
        "1 must be decided by a person, who knows which record or file is true",
    ]
    assert all(line.isprintable() for line in lines)


def test_findings_as_json_are_one_a_line(damaged: RegistryProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert registry(damaged, "verify", "--json") == 1
    found = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    damage = [one for one in found if one["severity"] == "damage"]
    assert len(found) == len(damage) + NOTES
    assert sorted((one["kind"], one["severity"], one["mended_by"]) for one in damage) == [
        ("foreign_file", "damage", "person"),
        ("orphan_model", "damage", "repair"),
    ]
    assert all({"path", "offset", "line", "sentence"} <= set(one) for one in found)


def test_many_findings_of_one_kind_are_counted_for_people_and_all_there_for_programs(
    clean_project: RegistryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        (clean_project.models / f"{number}.txt").touch()
    assert registry(clean_project, "verify") == 1
    assert "... and 5 more of foreign_file; --json prints all of them." in capsys.readouterr().out
    assert registry(clean_project, "verify", "--json") == 1
    assert len(capsys.readouterr().out.splitlines()) == 25 + NOTES


def test_predictions_are_read_unless_it_is_to_be_quick(clean_project: RegistryProject) -> None:
    record = clean_project.infer(clean_project.publish())
    (clean_project.folder / str(record.predictions_path)).write_bytes(b"altered")
    assert registry(clean_project, "verify", "--quick") == 0
    assert registry(clean_project, "verify") == 1


def test_repair_is_a_dry_run_until_it_is_told_to_do_it(
    damaged: RegistryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in damaged.models.iterdir()}
    assert registry(damaged, "repair") == 0
    assert {path: path.read_bytes() for path in damaged.models.iterdir()} == before
    out = capsys.readouterr().out
    assert f"would quarantine  models/{ORPHAN}" in out
    assert "Run it with --yes to do it." in out
    assert registry(damaged, "repair", "--yes", "--by", "me", "--reason", "tidy") == 0
    out = capsys.readouterr().out
    assert f"quarantined  models/{ORPHAN} -> models/quarantine/{ORPHAN}." in out
    assert "1 must be decided by a person" in out
    *_, record = journal.read(damaged.registry.training_journal)
    assert isinstance(record, Quarantine)
    assert (record.by, record.reason) == ("me", "tidy")
    assert registry(damaged, "repair", "--yes") == 0
    assert capsys.readouterr().out.startswith("There is nothing to repair.\n")


def test_repair_as_json_is_the_finding_and_what_became_of_it(
    damaged: RegistryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry(damaged, "repair", "--json") == 0
    (line,) = map(msgspec.json.decode, capsys.readouterr().out.splitlines())
    assert (line["finding"]["kind"], line["quarantine"]) == ("orphan_model", None)
    assert registry(damaged, "repair", "--json", "--yes") == 0
    (line,) = map(msgspec.json.decode, capsys.readouterr().out.splitlines())
    assert line["quarantine"]["path"] == f"models/{ORPHAN}"


def test_what_cannot_be_mended_is_told_and_the_rest_is_done(
    damaged: RegistryProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged.registry.inference_journal.write_bytes(b"foreign\n" + damaged.registry.inference_journal.read_bytes())
    real = untrusted.hash_of

    def refuse(root: Path, relative: str, **options: Any) -> str:
        if relative == ORPHAN:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), relative)
        return real(root, relative, **options)

    monkeypatch.setattr(untrusted, "hash_of", refuse)
    assert registry(damaged, "repair", "--yes") == 1
    out, err = capsys.readouterr()
    assert err == f"models/{ORPHAN}: Permission denied. Fix its mode, its owner or the disk.\n"
    assert "quarantined  models/log_inference.txt byte 0 -> " in out


@pytest.fixture
def old(tmp_path: Path) -> RegistryProject:
    """Four models and four run folders, two months old and more."""
    clean_project = RegistryProject(tmp_path / "old")
    for day in range(4):
        model = clean_project.republished(clean_project.publish("dev"), 70 - day)
        clean_project.infer(model, inference_time="2026-01-01T00:00:00.000000+00:00")
    clean_project.age(60)
    return clean_project


def test_gc_is_a_dry_run_until_it_is_told_to_do_it(old: RegistryProject, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(old.folder.rglob("*"))
    assert registry(old, "gc", "--keep", "2", "--older-than", "4w") == 0
    assert sorted(old.folder.rglob("*")) == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["WHAT", "PATH", "SIZE", "AGE", "WHY"]
    assert [line.split()[0] for line in lines[1:-1]] == ["model", "model", "run", "run"]
    assert lines[1].split()[2:] == ["37", "B", "70", "d", "beyond", "the", "newest", "2", "of", "dev"]
    assert lines[-1].startswith("2 model files and 2 run folders, ")
    assert lines[-1].endswith("Nothing was removed. Run it with --yes to do it.")
    assert registry(old, "gc", "--keep", "2", "--older-than", "4w", "--yes", "--by", "me") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" removed.")
    *_, record = journal.read(old.registry.training_journal)
    assert isinstance(record, Removal)
    assert (record.by, record.reason) == ("me", "gc --keep 2 --older-than 28d")
    assert registry(old, "verify") == 0
    assert registry(old, "gc", "--keep", "2", "--older-than", "4w", "--yes") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing is old enough to be removed."


def test_gc_goes_on_past_what_it_cannot_remove_and_says_so(
    old: RegistryProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.rmdir
    kept: list[str] = []

    def refuse(name: str, **options: Any) -> None:
        if not kept or name in kept:
            kept.append(name)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        real(name, **options)

    monkeypatch.setattr(os, "rmdir", refuse)
    assert registry(old, "gc", "--keep", "2", "--yes") == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == ["model", "model", "run"]
    assert out.splitlines()[-1].startswith("2 model files and 1 run folder, ")
    path = f"shared/runs/dev_inference_pipe_dag/{kept[0]}"
    assert err.splitlines() == [
        f"{path}: left, for it cannot be removed: Permission denied.",
        "1 thing could not be removed. Give them to this user, then run gc again.",
    ]
    assert "unfinished_run_removal" in old.notes()
    monkeypatch.undo()
    assert registry(old, "gc", "--keep", "2", "--yes", "--by", "me") == 0
    assert "unfinished_run_removal" not in old.notes()


def test_gc_as_json_is_one_thing_a_line(old: RegistryProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert registry(old, "gc", "--keep", "3", "--json") == 0
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["kind"], line["removed"]) for line in lines] == [("model", False), ("run", False)]


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1.5d", "3y", "٣d", "99999d", "1d "])
def test_an_age_that_is_none_is_wrong_usage(
    age: str, clean_project: RegistryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry(clean_project, "gc", "--older-than", age) == 2
    assert "12h, 30d, 2w" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "repair", "gc"])
def test_without_the_runs_no_command_says_anything_of_the_registry(
    command: str, clean_project: RegistryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    """A project's shared/ that is not mounted must not make every prediction a missing one."""
    assert cli.main(["--models", str(clean_project.models), "--shared", str(clean_project.folder / "no"), command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--shared" in err


@pytest.mark.parametrize("command", ["verify", "repair", "gc"])
def test_each_command_has_an_example_in_its_help(
    command: str, clean_project: RegistryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry(clean_project, command, "--help") == 0
    assert f"just registry {command}" in capsys.readouterr().out


def test_a_user_without_a_name_is_asked_for_one(damaged: RegistryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user need not be in its /etc/passwd."""
    monkeypatch.setattr("os.getuid", lambda: 54321)
    monkeypatch.delenv("BULKHEAD_BY", raising=False)
    before = damaged.registry.training_journal.read_bytes()
    assert registry(damaged, "repair", "--yes") == 2
    assert damaged.registry.training_journal.read_bytes() == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_and_colours_and_a_pipe_has_neither(
    damaged: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, marked in ((Terminal, True), (io.StringIO, False)):
        out, err = kind(), kind()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            assert registry(damaged, "verify") == 1
        assert ("\x1b[31m" in out.getvalue()) == marked
        assert ("%" in err.getvalue()) == marked
        assert "\x1b[2J" not in out.getvalue()
