"""``registry promote``, ``rollback`` and ``revoke``: who decides, what is said, what takes it back."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest
from tests.support.project import inferred, lines_of, publish, records_of

from bulkhead.cli.deciding import CHECKS, serving_check
from bulkhead.errors import NotVerified
from bulkhead.files import sha256
from bulkhead.registry.records import Revocation, Rollback
from bulkhead.unix_http import Response, Server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Command

    from bulkhead.registry.store import Registry


def check(_registry: object, _record: object) -> dict[str, str]:
    """A check that every model passes."""
    return {"numpy": "2.5"}


def install_checks(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let an image have an installed package for each of ``names``, with a check in it, and no other."""
    found = [EntryPoint(name, f"{__name__}:check", CHECKS) for name in names]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: found)


@pytest.fixture
def served_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image with a check of whether a model can be served."""
    install_checks(monkeypatch, "one_check")


@pytest.fixture
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that can load no model."""
    install_checks(monkeypatch)


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_BY", "ada")


def told(out: str) -> dict[str, str]:
    """What was printed, by name."""
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in out.splitlines())


@pytest.mark.usefixtures("served_check")
def test_promote_says_what_is_served_what_was_and_how_to_take_it_back(
    registry: Command, registry_with_two_models: Registry
) -> None:
    prd, dev = (registry_with_two_models.latest(env) for env in ("prd", "dev"))
    said = told(registry.done("promote", dev.model_filename, "--reason", "better"))
    assert said == {
        "prd serves": f"model #2 ({dev.model_filename}), promoted from dev by ada",
        "it served": f"model #1 ({prd.model_filename})",
        "checked with": "numpy 2.5",
        "to take back": "just registry rollback --environment prd --reason ...",
    }
    promotion = registry_with_two_models.latest("prd").promotion
    assert promotion is not None
    assert (promotion.by, promotion.reason, promotion.replaces) == ("ada", "better", prd.model_filename)
    back = shlex.split(said["to take back"].replace("...", "oops"))[2:]
    assert f"prd serves    model #1 ({prd.model_filename})" in registry.done(*back)


@pytest.mark.usefixtures("served_check")
def test_the_first_promotion_says_that_there_is_nothing_to_roll_back_to(registry: Command) -> None:
    name = publish(registry.registry, "dev").model_filename
    said = told(registry.done("promote", name, "--reason", "first", "--replacing", "none"))
    assert said["it served"] == "nothing"
    assert "nothing to roll back to" in said["to take back"]


@pytest.mark.usefixtures("served_check")
def test_promote_replacing_a_model_that_is_not_served_is_refused(
    registry: Command, registry_with_two_models: Registry
) -> None:
    prd, dev = (registry_with_two_models.latest(env).model_filename for env in ("prd", "dev"))
    before = registry_with_two_models.training_journal.read_bytes()
    assert f"prd serves {prd}, not none" in registry.refused("promote", dev, "--reason", "r", "--replacing", "none")
    assert f"prd serves {prd}, not {dev}" in registry.refused("promote", dev, "--reason", "r", "--replacing", dev)
    assert registry_with_two_models.training_journal.read_bytes() == before
    registry.done("promote", dev, "--reason", "r", "--replacing", f"models/{prd}")


@pytest.mark.usefixtures("no_check")
def test_promote_without_the_inference_image_says_where_it_runs(
    registry: Command, registry_with_two_models: Registry
) -> None:
    sentence = registry.refused("promote", registry_with_two_models.latest("dev").model_filename, "--reason", "r")
    assert sentence.endswith("which takes the inference image: run 'just registry promote ...', which does that first.")


def test_promote_takes_the_library_versions_of_a_check_that_was_made_elsewhere(
    registry: Command, registry_with_two_models: Registry
) -> None:
    """'just registry' runs the check in a sealed container of the inference image, and tells what it has found."""
    name = registry_with_two_models.latest("dev").model_filename
    assert registry("promote", name, "--reason", "r", "--by", "me", "--checked", '{"python": "3.13.1"}').code == 0
    promotion = registry_with_two_models.latest("prd").promotion
    assert promotion is not None
    assert promotion.libraries == {"python": "3.13.1"}


def test_a_check_made_elsewhere_of_another_file_is_refused(
    registry: Command, registry_with_two_models: Registry
) -> None:
    record = registry_with_two_models.latest("dev")
    path = registry_with_two_models.folder / record.model_filename
    path.chmod(0o644)
    path.write_bytes(b"another")
    assert "is not the file that was published" in registry.refused(
        "promote", record.model_filename, "--reason", "r", "--checked", "{}"
    )


@pytest.mark.parametrize("text", ["", "[]", "3.13", '{"python": 3}'])
def test_a_check_that_is_no_object_of_versions_is_wrong_usage(
    text: str, registry: Command, registry_with_two_models: Registry
) -> None:
    name = registry_with_two_models.latest("dev").model_filename
    assert registry("promote", name, "--reason", "r", "--by", "me", "--checked", text).code == 2


def test_promote_with_two_checks_installed_names_both(
    registry: Command, registry_with_two_models: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_checks(monkeypatch, "one_check", "two_check")
    sentence = registry.refused("promote", registry_with_two_models.latest("dev").model_filename, "--reason", "r")
    assert f"2 entry points: one_check ({__name__}:check), two_check ({__name__}:check)" in sentence


def test_the_inference_image_brings_the_check() -> None:
    from modeling.serving_check import check as brought

    assert serving_check() is brought


def test_promote_of_a_model_that_cannot_be_served_is_refused_with_the_check_s_reason(
    registry: Command, registry_with_two_models: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object) -> dict[str, str]:
        raise NotVerified("its file is another one. Train a new model.")

    monkeypatch.setattr("bulkhead.cli.deciding.serving_check", lambda: check)
    before = registry_with_two_models.training_journal.read_bytes()
    dev = registry_with_two_models.latest("dev").model_filename
    assert registry.refused("promote", dev, "--reason", "r") == (
        "registry: its file is another one. Train a new model."
    )
    assert registry_with_two_models.training_journal.read_bytes() == before


def test_rollback_says_what_is_served_and_what_was_withdrawn(registry: Command) -> None:
    first, second, third = (publish(registry.registry, "prd", model=i).model_filename for i in range(3))
    out = registry.done("rollback", "--environment", "prd", "--reason", "worse", "--to", first, "--by", "bob")
    assert [re.split(r" {2,}", line) for line in out.splitlines()] == [
        ["prd serves", f"model #1 ({first}), rolled back to by bob"],
        ["it served", f"model #3 ({third})"],
        ["withdrawn", f"model #2 ({second})"],
        ["to take back", "train again: prd_train_model_dag"],
    ]
    record = records_of(registry.registry.training_journal)[-1]
    assert isinstance(record, Rollback)
    assert (record.by, record.reason, record.withdrawn) == ("bob", "worse", [third, second])


@pytest.mark.usefixtures("served_check")
def test_a_rollback_of_a_promotion_is_taken_back_by_the_command_that_it_prints(
    registry: Command, registry_with_two_models: Registry
) -> None:
    dev = registry_with_two_models.latest("dev").model_filename
    registry.done("promote", dev, "--reason", "r")
    said = told(registry.done("rollback", "--environment", "prd", "--reason", "worse"))
    registry.done(*shlex.split(said["to take back"].replace("...", "again"))[2:])
    assert registry_with_two_models.latest("prd").model_filename == dev


def test_rollback_with_nothing_to_go_back_to_is_refused(registry: Command) -> None:
    assert "prd serves no model" in registry.refused("rollback", "--environment", "prd", "--reason", "r")
    publish(registry.registry)
    assert "no earlier good model" in registry.refused("rollback", "--environment", "prd", "--reason", "r")


def test_revoke_says_what_each_environment_serves_now_and_where_the_same_model_still_is(registry: Command) -> None:
    twin, prd = publish(registry.registry, "dev", model="same"), publish(registry.registry, "prd", model="other")
    bad = publish(registry.registry, "prd", model="same")
    said = told(registry.done("revoke", bad.model_filename, "--reason", "leaked", "--yes"))
    assert said == {
        "revoked": f"model #3 ({bad.model_filename}), by ada, for ever",
        "dev": f"serves model #1 ({twin.model_filename}), as before",
        "prd": f"served it, and serves model #2 ({prd.model_filename}) now",
        "the same model": f"model #1 ({twin.model_filename}) is not revoked: just registry revoke {twin.model_filename}"
        " --reason ...",
        "who used it": f"just registry impact {bad.model_filename}",
    }
    record = records_of(registry.registry.training_journal)[-1]
    assert isinstance(record, Revocation)
    assert (record.by, record.reason, record.model_hash) == ("ada", "leaked", bad.model_hash)
    inferred(registry.registry, bad)
    assert "Inferences: 1, 2 rows" in registry.done(*said["who used it"].split()[2:])
    command = shlex.split(said["the same model"].partition(": ")[2].replace("...", "too"))
    again = told(registry.done(*command[2:], "--yes"))
    assert again["dev"] == "served it, and serves nothing now"
    assert "the same model" not in again


def test_a_model_that_is_revoked_already_is_refused_by_whom_and_why(
    registry: Command, registry_with_a_model: Registry
) -> None:
    name = registry_with_a_model.latest("prd").model_filename
    registry.done("revoke", name, "--reason", "leaked", "--yes")
    assert re.search(
        r"it was revoked by ada on [-0-9 :]+: leaked", registry.refused("revoke", name, "--reason", "again")
    )


def revoked_by(registry: Command) -> str:
    name = publish(registry.registry, model=os.urandom(4)).model_filename
    registry.done("revoke", name, "--reason", "r", "--yes")
    return str(lines_of(registry.registry.training_journal)[-1]["by"])


def test_who_decides_is_the_variable_or_the_login_name_of_the_process_whatever_user_says(
    registry: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "the-image")
    assert revoked_by(registry) == "ada"
    monkeypatch.delenv("BULKHEAD_BY")
    assert revoked_by(registry) == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_name_must_give_one(
    registry: Command, registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BULKHEAD_BY")
    monkeypatch.setattr("os.getuid", lambda: 3_999_999_999)
    ended = registry("revoke", registry_with_a_model.latest("prd").model_filename, "--reason", "r")
    assert ended.code == 2
    assert "the user id 3999999999 has no name here. Say who decides: --by NAME, or BULKHEAD_BY." in ended.err


@pytest.mark.parametrize(
    "argv", [["--reason", ""], ["--reason", " \n"], ["--reason", "x" * 501], ["--by", " ", "--reason", "r"]]
)
def test_an_empty_or_endless_reason_or_name_is_refused_and_nothing_is_recorded(
    argv: list[str], registry: Command, registry_with_two_models: Registry
) -> None:
    publish(registry_with_two_models, "prd", model="newer")
    before = registry_with_two_models.training_journal.read_bytes()
    name = registry_with_two_models.latest("prd").model_filename
    for command in (["revoke", name], ["rollback", "--environment", "prd"]):
        assert "the record keeps it" in registry.refused(*command, *argv) or "are kept" in registry.refused(
            *command, *argv
        )
    assert registry_with_two_models.training_journal.read_bytes() == before


def test_a_record_of_a_decision_names_the_image_that_it_was_taken_in(
    registry: Command, registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKHEAD_IMAGE", "bulkhead/inference:x@sha256:1")
    monkeypatch.setenv("BULKHEAD_GIT_COMMIT", "c" * 40)
    registry.done("revoke", registry_with_a_model.latest("prd").model_filename, "--reason", "r", "--yes")
    record = lines_of(registry_with_a_model.training_journal)[-1]
    assert (record["image"], record["git_commit"], record["run_id"]) == (
        "bulkhead/inference:x@sha256:1",
        "c" * 40,
        None,
    )


def test_fifty_command_lines_at_once_that_revoke_one_model_have_one_winner(registry_with_a_model: Registry) -> None:
    name = registry_with_a_model.latest("prd").model_filename
    argv = [sys.executable, "-m", "bulkhead.cli", "--models", str(registry_with_a_model.folder)]
    running = [
        subprocess.Popen([*argv, "revoke", name, "--reason", "at once", "--yes"], stdout=-1, stderr=-1, text=True)
        for _ in range(50)
    ]
    ends: list[tuple[int, str, str]] = []
    for process in running:
        out, err = process.communicate(timeout=240)
        ends.append((process.returncode, out, err))
    assert sorted(code for code, _, _ in ends) == [0] + [1] * 49
    assert all(f"{name}: it was revoked by ada" in err and err.count("\n") == 1 for code, _, err in ends if code)
    assert sum("revocation_time" in line for line in lines_of(registry_with_a_model.training_journal)) == 1


def test_a_broken_log_is_told_of_once_and_decided_upon_all_the_same(
    registry: Command, registry_with_a_torn_record: Registry
) -> None:
    publish(registry_with_a_torn_record, model="newer")
    for argv in (
        ["rollback", "--environment", "prd", "--reason", "r"],
        ["revoke", registry_with_a_torn_record.latest("prd").model_filename, "--reason", "r", "--yes"],
    ):
        ended = registry(*argv)
        assert (ended.code, ended.said) == (0, ["log.txt: passed over 1 unreadable line"])


@pytest.mark.parametrize(
    "words",
    [("revoke", "--reason", "bad", "--yes"), ("promote", "--reason", "good"), ("rollback", "--environment", "dev")],
)
@pytest.mark.usefixtures("served_check")
def test_nothing_is_decided_on_a_log_that_is_not_the_one_that_was_seen(
    registry: Command,
    registry_with_two_models: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    real = registry_with_two_models
    name = publish(real, "dev").model_filename
    head = {"seq": 9, "hash": "a" * 64, "seen_at": "2026-11-29T10:00:00.000000+00:00"}
    server = Server(tmp_path / "s.sock", lambda _: Response.of({"training": head, "inference": None}))
    server.start()
    monkeypatch.setenv("BULKHEAD_REGISTRAR_SOCKET", str(tmp_path / "s.sock"))
    before = real.training_journal.read_bytes()
    verb, *options = words
    target = [] if verb == "rollback" else [name]
    reason = ["--reason", "r"] if verb == "rollback" else []
    try:
        said = registry.refused(verb, *target, *options, *reason)
        assert "models/log.txt is not the log that was seen last" in said
        assert real.training_journal.read_bytes() == before
        head["hash"] = sha256(before.splitlines()[0])  # the registrar is behind by a line, as it may be
        registry.done(verb, *target, *options, *reason)
    finally:
        server.stop()
