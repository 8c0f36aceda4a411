"""``registry list``: what is published, served, failed and inferred, in tables and as JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import inferred, publish, records_of, training_failure

from bulkhead import formatting
from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.profiles import Drift
from bulkhead.registry.records import InferenceFailure, Quarantine, Removal

if TYPE_CHECKING:
    from tests.support.command import Command

    from bulkhead.registry.store import Registry

WHY = DecisionContext("ada", "because")


def rows_of(table: str) -> list[list[str]]:
    """The cells of each line below the header."""
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()[1:]]


def states(registry: Command, *flags: str) -> list[tuple[str, str]]:
    """The model file and its STATE, line by line."""
    rows = [row[1:] if row[0] == "*" else row for row in rows_of(registry.done("list", *flags))]
    return [(row[2], row[3]) for row in rows]


def test_the_list_has_a_line_for_each_model_and_marks_those_that_are_served(registry: Command) -> None:
    old, dev, new = (publish(registry.registry, env) for env in ("prd", "dev", "prd"))
    registry.registry.record_failure("training", training_failure())
    ended = registry("list")
    header, *_ = ended.out.splitlines()
    assert header.split() == ["MODEL", "ENVIRONMENT", "FILE", "STATE", "TRAINED", "ROWS", "METRICS", "SOURCE"]
    told = ["3", "r2 0.5, rmse 1.25", "shared/inputs/t.csv"]
    assert rows_of(ended.out) == [
        ["model #1", "prd", old.model_filename, "previous", formatting.time(old.training_timestamp), *told],
        ["*", "model #2", "dev", dev.model_filename, "served", formatting.time(dev.training_timestamp), *told],
        ["*", "model #3", "prd", new.model_filename, "served", formatting.time(new.training_timestamp), *told],
    ]
    assert (ended.code, ended.err) == (0, "")


def test_the_served_model_is_marked_where_it_is_not_the_newest(registry: Command) -> None:
    first, second, third = (publish(registry.registry, "prd", model=i).model_filename for i in range(3))
    decisions.roll_back(registry.registry, "prd", WHY)
    assert states(registry) == [(first, "previous"), (second, "served"), (third, "rolled back")]
    assert [row[0] for row in rows_of(registry.done("list"))] == ["model #1", "*", "model #3"]
    assert states(registry, "--served") == [(second, "served")]


def test_the_state_tells_what_became_of_each_model(registry: Command) -> None:
    models = [publish(registry.registry, "dev", model=i).model_filename for i in range(6)]
    decisions.revoke(registry.registry, models[0], WHY)
    common = {"by": "ada", "reason": "old", "size_bytes": 1}
    for record in (
        Removal(removal_time="t", paths=[f"models/{models[1]}"], **common),  # type: ignore[arg-type]
        Quarantine(quarantine_time="t", path=f"models/{models[2]}", sha256="0", moved_to="q", **common),  # type: ignore[arg-type]
    ):
        with registry.registry.training_journal.open("ab") as log:
            log.write(msgspec.json.encode(record) + b"\n")
    (registry.registry.folder / models[3]).unlink()
    decisions.promote(registry.registry, models[4], WHY, lambda *_: {})
    assert states(registry) == [
        (models[0], "revoked"),
        (models[1], "earlier, removed"),
        (models[2], "earlier, quarantined"),
        (models[3], "earlier, missing"),
        (models[4], "previous"),
        (models[5], "served"),
        (models[4], "served, promoted from dev"),
    ]


def test_the_list_as_json_is_the_records_with_their_state(
    registry: Command, registry_with_two_models: Registry
) -> None:
    shown = [msgspec.json.decode(line) for line in registry.done("list", "--json").splitlines()]
    assert [(one.pop("served"), one.pop("state"), one.pop("tags")) for one in shown] == [(True, ["served"], {})] * 2
    assert [one.pop("short_name") for one in shown] == ["model #1", "model #2"]
    assert shown == [msgspec.to_builtins(record) for record in records_of(registry_with_two_models.training_journal)]


@pytest.mark.usefixtures("registry_with_two_models")
def test_the_list_of_one_environment_has_only_its_models(registry: Command) -> None:
    (line,) = registry.done("list", "--environment", "dev", "--json").splitlines()
    assert msgspec.json.decode(line)["environment"] == "dev"


def test_an_empty_registry_says_how_to_get_a_model(registry: Command) -> None:
    ended = registry("list")
    assert (ended.code, ended.out) == (0, "")
    assert ended.said == ["No models yet. Trigger a train_model DAG, or run: just demo"]
    assert registry.done("list", "--json") == ""


@pytest.mark.usefixtures("registry_with_a_model")
def test_an_environment_without_models_says_where_the_others_are(registry: Command) -> None:
    assert registry("list", "--environment", "dev").said == [
        "No models of the environment dev. All that there are: just registry list"
    ]


def test_a_table_has_the_newest_fifty_and_says_how_to_get_all(registry: Command) -> None:
    names = [publish(registry.registry, "prd", model=i).model_filename for i in range(52)]
    ended = registry("list")
    assert [name for name, _ in states(registry)] == names[2:]
    assert ended.said == ["The newest 50 of 52; --limit 0 lists all."]
    assert [name for name, _ in states(registry, "--limit", "0")] == names
    assert [name for name, _ in states(registry, "--limit", "2")] == names[-2:]
    assert len(registry.done("list", "--json").splitlines()) == 52


def test_a_broken_log_is_listed_and_its_broken_lines_are_counted(
    registry: Command, registry_with_a_torn_record: Registry
) -> None:
    with registry_with_a_torn_record.training_journal.open("ab") as log:
        log.write(b"\n\xff\n{}\n")
    ended = registry("list")
    assert (ended.code, len(ended.out.splitlines())) == (0, 2)
    assert ended.said == ["log.txt: passed over 3 unreadable lines"]


@pytest.mark.usefixtures("registry_of_legacy_records")
def test_a_registry_of_legacy_records_is_listed_and_its_models_are_told_to_be_unverifiable(
    registry: Command,
) -> None:
    assert rows_of(registry.done("list")) == [
        ["*", f"model #{number}", env, f"model_{time}_{digest}.pkl", state, formatting.time(time), "-", "-", "-"]
        for number, env, time, digest, state in (
            (1, "prd", "2024-01-31:23-59-59", "3f2a", "served, unverifiable"),
            (2, "dev", "2024-02-02:10-00-00", "77aa", "served, missing, unverifiable"),
        )
    ]
    assert "no model" in registry.done("list", "--failures")
    assert rows_of(registry.done("list", "--inferences"))[0][:4] == ["2024-02-03:10-00-00", "prd", "model", "2"]


@pytest.mark.parametrize("r2", [None, "good", [1], {"a": 1}, True, 10**400], ids=lambda r2: repr(r2)[:9])
def test_a_record_with_a_metric_that_is_no_number_is_listed_all_the_same(
    r2: object, registry: Command, registry_with_a_model: Registry
) -> None:
    """A record can be edited by hand, or be of another program."""
    publish(registry_with_a_model, metrics={"r2": r2})
    assert len(rows_of(registry.done("list"))) == 2


def test_failures_of_both_pipelines_are_listed_by_time_with_cause_and_sentence(registry: Command) -> None:
    publish(registry.registry)
    inferred(registry.registry, registry.registry.latest("prd"))
    failed = {"environment": "dev", "step": "model_inference", "cause": "refused", "run_id": "r"}
    for hour in (1, 3):
        registry.registry.record_failure("training", training_failure(f"2026-01-01T0{hour}:00:00.000000+00:00"))
    registry.registry.record_failure(
        "inference",
        InferenceFailure(error_time="2026-01-01T02:00:00.000000+00:00", error_message="no model", **failed),  # type: ignore[arg-type]
    )
    assert rows_of(registry.done("list", "--failures")) == [
        ["2026-01-01 01:00:00", "prd", "model", "train_model", "crashed", "manual__1", "it failed"],
        ["2026-01-01 02:00:00", "dev", "model", "model_inference", "refused", "r", "no model"],
        ["2026-01-01 03:00:00", "prd", "model", "train_model", "crashed", "manual__1", "it failed"],
    ]
    assert [row[0][11:13] for row in rows_of(registry.done("list", "--failures", "--limit", "2"))] == ["02", "03"]
    assert [row[1] for row in rows_of(registry.done("list", "--failures", "--environment", "dev"))] == ["dev"]
    shown = [msgspec.json.decode(line) for line in registry.done("list", "--failures", "--json").splitlines()]
    assert [one.get("detail") or one["error_message"] for one in shown] == ["it failed", "no model", "it failed"]


def test_inferences_are_listed_newest_last_under_names_that_trace_takes(
    registry: Command, registry_with_a_model: Registry
) -> None:
    model = registry_with_a_model.latest("prd")
    records = [inferred(registry_with_a_model, model, number) for number in range(3)]
    ended = registry("list", "--inferences", "--limit", "2")
    assert [row[0] for row in rows_of(ended.out)] == [record.inference_time[:26] for record in records[1:]]
    assert ended.said == ["The newest 2, and there are more; --limit 0 lists all."]
    (row, _) = rows_of(ended.out)
    assert row[1:] == ["prd", "model", "2", model.model_filename, "shared/inputs/new.csv", records[1].run_id]
    for name in (row[0], row[6]):
        assert str(records[1].predictions_path) in registry.done("trace", name)


def test_an_inference_that_drifted_says_in_what(registry: Command, registry_with_a_model: Registry) -> None:
    model = registry_with_a_model.latest("prd")
    inferred(registry_with_a_model, model, 0, drift=Drift(rows=2, sampled=2, columns={"age": 0.01}))
    assert "DRIFT" not in registry.done("list", "--inferences")
    drift = Drift(rows=2, sampled=2, columns={"age": 0.9, "bmi": 0.5}, drifted=["age", "bmi"], limit=0.25)
    inferred(registry_with_a_model, model, 1, drift=drift)
    for asked in (("list", "--inferences"), ("impact", model.model_filename)):
        said = registry.done(*asked)
        assert [line.endswith("age, bmi") for line in said.splitlines() if "shared/inputs/new.csv" in line] == [
            False,
            True,
        ]


@pytest.mark.parametrize("tag", ["", "=", "=x", "..", "a b"])
def test_a_tag_that_no_model_can_have_is_wrong_usage(
    registry: Command, registry_with_a_model: Registry, tag: str
) -> None:
    del registry_with_a_model
    ended = registry("list", "--tag", tag)
    assert (ended.code, "has no key that a tag can have" in ended.err) == (2, True)


def test_lists_of_two_things_at_once_are_wrong_usage(registry: Command) -> None:
    ended = registry("list", "--failures", "--inferences")
    assert ended.code == 2
    assert "one list at a time" in ended.err
