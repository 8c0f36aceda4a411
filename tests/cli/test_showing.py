"""``registry latest``, ``show`` and ``compare``, and how a model is named."""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import publish

from bulkhead.registry import decisions, record_lines
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from tests.support.command import Command

    from bulkhead.registry.store import Registry

WHY = DecisionContext("ada", "because")


def test_latest_prints_the_served_file_name_alone(registry: Command) -> None:
    first = publish(registry.registry, "prd", model="first")
    publish(registry.registry, "prd", model="second")
    decisions.roll_back(registry.registry, "prd", WHY)
    assert registry.done("latest", "--environment", "prd") == f"{first.model_filename}\n"
    as_json = msgspec.json.decode(registry.done("latest", "--environment", "prd", "--json"))
    assert as_json["sha256"] == first.sha256


def test_latest_of_an_environment_that_serves_nothing_is_refused(
    registry: Command, registry_with_a_model: Registry
) -> None:
    assert registry.refused("latest", "--environment", "dev").endswith("Run dev_train_model_dag first.")
    decisions.revoke(registry_with_a_model, registry_with_a_model.latest("prd").model_filename, WHY)
    assert "every model of the environment prd was revoked" in registry.refused("latest", "--environment", "prd")


def test_a_model_is_named_by_its_file_with_or_without_a_folder_or_by_the_beginning_of_its_hash(
    registry: Command, registry_with_a_model: Registry
) -> None:
    record = registry_with_a_model.latest("prd")
    name, digest = record.model_filename, record.model_hash
    for given in (name, f"models/{name}", f"./models/{name}", digest, digest[:6], digest[:9].upper()):
        assert registry.done("show", given).splitlines()[0] == f"model #1 ({name})"


@pytest.mark.parametrize("short", ["", "e", "model_", "zzzzzzz", "\x1b[2J", "x" * 5000])
def test_an_unknown_model_is_refused_by_a_sentence_that_lists_others(
    short: str, registry: Command, registry_with_two_models: Registry
) -> None:
    for command in (["show", short], ["compare", short, short], ["revoke", short, "--reason", "r"]):
        sentence = registry.refused(*command)
        assert registry_with_two_models.latest("prd").model_filename in sentence
        assert "'just registry list' shows all" in sentence
        assert sentence.isprintable()
        assert len(sentence) < 500


def test_a_hash_of_several_models_is_refused_by_a_sentence_that_lists_the_newest(registry: Command) -> None:
    models = [publish(registry.registry, "prd") for _ in range(5)]
    sentence = registry.refused("show", models[0].model_hash[:8])
    assert "begins the hash of 5 models" in sentence
    assert [model.model_filename in sentence for model in models] == [False, False, True, True, True]
    assert sentence.endswith("and 2 more. Name its short name or its file.")


def test_show_has_the_whole_record_and_what_was_decided(registry: Command) -> None:
    before = publish(registry.registry, "prd")
    shown = publish(
        registry.registry, "dev", model="m", metrics={"r2": 0.123456789}, coefficients={"a": 2.5}, intercept=-1.5
    )
    name = shown.model_filename
    decisions.promote(registry.registry, name, WHY, lambda *_: {})
    decisions.roll_back(registry.registry, "prd", DecisionContext("bob", "worse"))
    decisions.revoke(registry.registry, name, DecisionContext("eve", "leaked"))
    told = registry.done("show", name)
    for word in (shown.sha256, shown.model_hash, "0.123457", "manual__1", "f" * 64, "shared/inputs/t.csv", "int64"):
        assert str(word) in told
    assert re.search(r"intercept +-1.5\n +a +2.5\n", told)
    assert re.search(r"\n  dev  revoked\n  prd  revoked, promoted from dev\n", told)
    assert "Out of service: it was revoked by eve" in told
    decision = [line.strip().partition("  ")[2] for line in told.partition("\nhistory\n")[2].splitlines()]
    assert decision[:4] == [
        "published in dev (recorded by hand)",
        f"promoted from dev to prd, replacing {before.model_filename} by ada: because (recorded by hand)",
        "rolled back in prd by bob: worse (recorded by hand)",
        "revoked by eve: leaked (recorded by hand)",
    ]
    assert "served again in prd by bob: worse" in registry.done("show", before.model_filename)
    as_json = msgspec.json.decode(registry.done("show", name, "--json"))
    assert as_json["record"] == msgspec.to_builtins(shown)
    assert as_json["state"] == {"dev": ["revoked"], "prd": ["revoked", "promoted from dev"]}
    assert [next(key for key in entry if key.endswith("_time")) for entry in as_json["history"][2:]] == [
        "rollback_time",
        "revocation_time",
    ]


@pytest.mark.usefixtures("registry_of_legacy_records")
def test_a_model_of_a_legacy_record_is_shown_with_what_is_known(registry: Command) -> None:
    told = registry.done("show", "model_2024-01-31:23-59-59_3f2a.pkl")
    assert "  prd  served, unverifiable" in told
    assert "metrics" not in told


def cells(table: str) -> dict[tuple[str, str], list[str]]:
    """The cells of a comparison after SECTION and NAME, and its mark before them."""
    rows = [re.split(r" {2,}", line) for line in table.splitlines() if re.match(r"(≠|  ) ", line)]
    return {(row[1], row[2]): [row[0], *row[3:]] for row in rows if row[1] != "SECTION"}


def test_compare_puts_two_models_side_by_side_and_marks_what_differs(registry: Command) -> None:
    a = publish(registry.registry, "prd", model="a", coefficients={"x": 1.5, "y": 2.0}, git_commit="c" * 40)
    b = publish(
        *(registry.registry, "dev", "b"),
        metrics={"r2": 0.75, "rmse": 1.25},
        coefficients={"x": 1.0, "z": 3.0},
        git_commit="d" * 40,
    )
    told = registry.done("compare", a.model_filename, b.model_hash[:10])
    assert told.splitlines()[:2] == [f"A  model #1 ({a.model_filename})", f"B  model #2 ({b.model_filename})"]
    table = cells(told)
    assert table["metrics", "r2"] == ["≠", "0.5", "0.75", "+0.25", "B"]
    assert table["metrics", "rmse"] == ["", "1.25", "1.25"]
    assert table["coefficients", "x"] == ["≠", "1.5", "1", "-0.5"]
    assert table["coefficients", "y"] == ["≠", "2", "-"]
    assert table["coefficients", "z"] == ["≠", "-", "3"]
    assert table["parameters", "test_fraction"] == ["", "0.2", "0.2"]
    assert table["libraries", "python"] == ["", "3.13.0", "3.13.0"]
    assert table["data", "rows"] == ["", "3", "3"]
    assert table["transformation", "fingerprint"][0] == ""
    assert table["code", "git_commit"] == ["≠", "c" * 40, "d" * 40]
    assert {
        mark for mark, *_ in cells(registry.done("compare", a.model_hash, b.model_hash, "--differing")).values()
    } == {"≠"}
    as_json = msgspec.json.decode(registry.done("compare", a.model_hash, b.model_hash, "--json"))
    assert [as_json["a"]["model_hash"], as_json["b"]["model_hash"]] == [a.model_hash, b.model_hash]
    r2 = {"section": "metrics", "name": "r2", "left": 0.5, "right": 0.75, "same": False, "better": "B"}
    assert r2 in as_json["rows"]


def test_a_model_compared_with_itself_has_nothing_that_differs(
    registry: Command, registry_with_a_model: Registry
) -> None:
    name = registry_with_a_model.latest("prd").model_filename
    told = registry.done("compare", name, name)
    assert "≠" not in told
    assert told.splitlines()[-1].startswith("0 differ, ")


def test_ten_thousand_models_are_listed_shown_and_served_within_seconds(
    registry: Command, registry_with_a_model: Registry
) -> None:
    """Twenty times of what it takes on an idle machine: it must not grow with the square."""
    template = registry_with_a_model.latest("prd")
    lines = [
        record_lines.encode(
            msgspec.structs.replace(
                template,
                model_filename=f"model_{number:020d}Z_{digest}.joblib",
                model_hash=digest,
                environment="prd" if number % 2 else "dev",
            )
        )
        for number in range(10_000)
        for digest in [hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()]
    ]
    registry_with_a_model.training_journal.write_bytes(b"".join(lines))
    newest = record_lines.decode(lines[-1])
    assert isinstance(newest, ModelRecord)
    started = time.process_time()
    assert registry.done("latest", "--environment", "prd").strip() == newest.model_filename
    assert time.process_time() - started < 0.5
    assert len(registry.done("list", "--limit", "0").splitlines()) == 10_001
    assert newest.model_filename in registry.done("show", newest.model_hash[:12])
    assert time.process_time() - started < 20
