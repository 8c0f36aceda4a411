"""Models side by side on the command line: each has versions, metrics and decisions of its own."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import CHURN, inferred, publish, published_unserved, training_failure

from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext

if TYPE_CHECKING:
    from tests.support.command import Command

    from bulkhead.registry.records import ModelRecord

WHY = DecisionContext("ada", "because")


class TwoModels:
    """Two versions of ``model`` and two of ``churn`` in prd, by turns."""

    def __init__(self, registry: Command) -> None:
        self.registry = registry
        self.plain: list[ModelRecord] = []
        self.churn: list[ModelRecord] = []
        for number in range(2):
            self.plain.append(publish(registry.registry, "prd", f"plain {number}"))
            self.churn.append(publish(registry.registry, "prd", f"churn {number}", **CHURN))

    def latest(self, name: str) -> str:
        return self.registry.done("latest", "--environment", "prd", "--name", name).strip()


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_BY", "ada")


@pytest.fixture
def two(registry: Command) -> TwoModels:
    return TwoModels(registry)


def rows_of(table: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()[1:]]


def test_each_model_has_its_own_served_version_and_its_own_metrics_in_the_list(
    registry: Command, two: TwoModels
) -> None:
    rows = rows_of(registry.done("list"))
    assert [(row[0] == "*", row[-8]) for row in rows] == [
        (False, "model #1"), (False, "churn #1"), (True, "model #2"), (True, "churn #2"),
    ]  # fmt: skip
    assert rows[2][-2] == "r2 0.5, rmse 1.25"
    assert rows[3][-2] == "roc_auc 0.792, accuracy 0.81, log_loss 0.45"
    assert [row[3] for row in rows_of(registry.done("list", "--name", "churn", "--served"))] == [
        two.churn[1].model_filename
    ]
    assert registry("list", "--name", "demand").said == [
        "No models called demand. All that there are: just registry list"
    ]
    assert registry("list", "--name", "No Name").code == 2


def test_failures_and_inferences_are_listed_by_name(registry: Command, two: TwoModels) -> None:
    registry.registry.record_failure("training", training_failure())
    registry.registry.record_failure("training", training_failure(model_name="churn"))
    inferred(registry.registry, two.plain[1], 1)
    inferred(registry.registry, two.churn[1], 2, model_name="churn")
    for what in ("--failures", "--inferences"):
        assert [row[2] for row in rows_of(registry.done("list", what))] == ["model", "churn"]
        assert [row[2] for row in rows_of(registry.done("list", what, "--name", "churn"))] == ["churn"]


def test_latest_is_that_of_the_model_that_was_asked_for(registry: Command, two: TwoModels) -> None:
    assert two.latest("churn") == two.churn[1].model_filename
    assert registry.done("latest", "--environment", "prd").strip() == two.plain[1].model_filename
    assert "no model of demand" in registry.refused("latest", "--environment", "prd", "--name", "demand")


@pytest.mark.parametrize("how", ["name", "to"])
def test_a_rollback_of_one_model_leaves_the_other(registry: Command, two: TwoModels, how: str) -> None:
    first, second = two.churn
    asked = ["--name", "churn"] if how == "name" else ["--to", first.model_filename]
    said = registry.done("rollback", "--environment", "prd", "--reason", "worse", *asked)
    assert f"prd serves    churn #1 ({first.model_filename})" in said
    assert "train again: prd_churn_train_model_dag" in said
    assert second.model_filename in said
    assert (two.latest("churn"), two.latest("model")) == (first.model_filename, two.plain[1].model_filename)
    other = registry.refused(
        *("rollback", "--environment", "prd", "--name", "churn", "--to", two.plain[0].model_filename, "--reason", "r")
    )
    assert "is a version of the model model, not of churn" in other


def test_a_rollback_without_a_name_is_of_the_model_that_comes_with_the_project(
    registry: Command, two: TwoModels
) -> None:
    assert "churn" not in registry.done("rollback", "--environment", "prd", "--reason", "worse")
    assert (two.latest("churn"), two.latest("model")) == (two.churn[1].model_filename, two.plain[0].model_filename)


def test_a_promotion_replaces_the_version_of_its_own_model_and_says_of_which(registry: Command, two: TwoModels) -> None:
    new = publish(registry.registry, "dev", "churn 2", **CHURN)
    said = registry.done("promote", new.model_filename, "--reason", "better", "--checked", "{}")
    assert f"prd serves    churn #3 ({new.model_filename})" in said
    assert f"it served     churn #2 ({two.churn[1].model_filename})" in said
    assert (two.latest("churn"), two.latest("model")) == (new.model_filename, two.plain[1].model_filename)
    (back,) = re.findall(r"^to take back +(.*)$", said, re.MULTILINE)
    registry.done(*shlex.split(back)[2:])
    assert (two.latest("churn"), two.latest("model")) == (two.churn[1].model_filename, two.plain[1].model_filename)


def test_a_revocation_tells_what_is_served_of_that_model_alone(registry: Command, two: TwoModels) -> None:
    said = registry.done("revoke", two.churn[1].model_filename, "--reason", "leaked", "--yes")
    assert f"served it, and serves churn #1 ({two.churn[0].model_filename}) now" in said
    assert two.plain[1].model_filename not in said


def test_a_version_that_is_not_served_is_listed_so_and_can_be_promoted(registry: Command) -> None:
    served = publish(registry.registry, "dev", "a", **CHURN)
    past = published_unserved(registry.registry, "dev", "b", **CHURN)
    assert [row[-5] for row in rows_of(registry.done("list"))] == ["served", "not served"]
    assert "published in dev without being served" in registry.done("show", past.model_filename)
    assert registry.done("latest", "--environment", "dev", "--name", "churn").strip() == served.model_filename
    decisions.promote(registry.registry, past.model_filename, WHY, lambda *_: {})
    assert registry.done("latest", "--environment", "prd", "--name", "churn").strip() == past.model_filename


def test_show_tells_what_a_classifier_is_of(registry: Command, two: TwoModels) -> None:
    told = registry.done("show", two.churn[0].model_filename)
    for line in (
        r"name +churn", r"problem +binary", r"classes +stays, leaves", r"identifier +customer", r"missing +age",
        r"plan +3", r"roc_auc +maximize", r"log_loss +minimize", r"plan +0\.125",
    ):  # fmt: skip
        assert re.search(rf"^  {line}$", told, re.MULTILINE), line
    assert re.search(r"^  name +model$", registry.done("show", two.plain[0].model_filename), re.MULTILINE)


def test_compare_says_which_is_better_by_the_goal_of_both(registry: Command, two: TwoModels) -> None:
    changed = {"accuracy": 0.7, "roc_auc": 0.9, "log_loss": 0.5, "brier": 0.15, "test_rows": 100}
    third = publish(registry.registry, "prd", "churn 2", **(CHURN | {"metrics": changed}))
    rows = msgspec.json.decode(registry.done("compare", two.churn[0].model_filename, third.model_filename, "--json"))
    better = {row["name"]: row["better"] for row in rows["rows"] if row["section"] == "metrics"}
    assert better == {"accuracy": "A", "roc_auc": "B", "log_loss": "A", "brier": None, "test_rows": None}
    table = registry.done("compare", two.churn[0].model_filename, third.model_filename)
    assert re.search(r"^≠ +metrics +log_loss +0.45 +0.5 +\+0.05 +A$", table, re.MULTILINE)


def test_a_metric_that_only_one_of_two_models_has_is_better_in_neither(registry: Command, two: TwoModels) -> None:
    told = msgspec.json.decode(
        registry.done("compare", two.plain[0].model_filename, two.churn[0].model_filename, "--json")
    )
    assert {row["better"] for row in told["rows"]} == {None}


def test_a_trace_of_an_inference_for_another_model_is_broken(registry: Command, two: TwoModels) -> None:
    inferred(registry.registry, two.churn[1], 1, model_name="churn", predictions_path=None)
    told = registry("trace", "2026-02-01T00:00:01.000001")
    assert re.search(r"^  name +churn$", told.out, re.MULTILINE)
    assert re.search(r"^  classes +stays, leaves$", told.out, re.MULTILINE)
    assert (told.code, "Broken" in told.out) == (0, False)
    inferred(registry.registry, two.churn[1], 2, predictions_path=None)
    told = registry("trace", "2026-02-01T00:00:02.000001")
    assert told.code == 1
    assert f"for the model model, and {two.churn[1].model_filename} is a version of churn" in told.out


def test_impact_names_the_model(registry: Command, two: TwoModels) -> None:
    inferred(registry.registry, two.churn[1], 1, model_name="churn")
    told = registry.done("impact", two.churn[1].model_filename)
    assert f"Model: churn #2 ({two.churn[1].model_filename})" in told
    assert rows_of(told[told.index("TIME") :])[0][2] == "churn"
