"""What of others' words reaches the approver and the next task, and how much of it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from tests.dags.without_airflow import load
from tests.support.project import inferred, publish

from bulkhead.errors import Refused
from bulkhead.queries import promotion
from bulkhead.registry import approval
from bulkhead.registry.approval import question
from bulkhead.registry.lineage import Data
from bulkhead.registry.profiles import Drift
from bulkhead.registry.records import ModelRecord
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from pathlib import Path

escaping, approval_text, defaults, xcom = map(load, ("escaping", "approval_text", "defaults", "xcom"))

HOSTILE = [
    "[click](https://evil.example)",
    "![](https://evil.example/pixel.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "https://evil.example",
    "www.evil.example",
    "a | b | c",
    r"a \| b",
    "`x`",
    "``",
    "`",
    "```\ncode\n```",
    "` | [x](y) `",
    "first\nsecond",
    "\n\n| model | approved by security |\n|---|---|\n",
    "\r\n# Heading",
    "- item",
    "> quote",
    "**bold** _it_ ~~gone~~",
    "{{ params.secret }}",
    "{% raw %}",
    "\u202egnp.tob",
    "\x1b[2J",
    "\u2028| x |",
    "&lt;b&gt;",
    "[ref]: https://evil.example",
    "x" * 100_000,
]

NAME = "model_20261124T164715570537Z_0f10dfd6d375ec5060cfb5a5cfbda470.joblib"
CELL = re.compile(r"(`+) (.*) \1")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_one_code_span_in_one_cell(text: str) -> None:
    cell = escaping.quoted(text)
    found = CELL.fullmatch(cell)
    assert found is not None
    fence, inside = found.groups()
    # Nothing inside ends the span, the cell or the line.
    assert fence not in re.findall("`+", inside)
    assert not re.search(r"(?<!\\)\|", inside)
    assert cell.isprintable()
    assert len(cell) < 1200


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_nothing_is_a_dash(nothing: str | None) -> None:
    assert escaping.quoted(nothing) == "-"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_has_a_names_characters_alone(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.?-]{1,120}", approval.name(text))


def test_a_models_name_is_told_as_it_is() -> None:
    assert question(NAME, "prd", None) == f"Promote {NAME} to prd, where nothing is served?"
    assert question(NAME, "prd", "old.joblib") == f"Promote {NAME} to prd, in place of old.joblib?"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_of_a_numbered_model_is_no_markdown_in_the_question(text: str) -> None:
    model = structs.replace(a_model(text), version=12, model_name=text)
    asked = approval.asked(model, "prd", model)
    assert re.fullmatch(r"[A-Za-z0-9_.?-]+ #12 \([A-Za-z0-9_.?-]+\)", asked[8 : asked.index(" to prd")])
    assert asked.isprintable()


def a_model(said: str, environment: str = "dev", **metrics: Any) -> ModelRecord:
    """A model of which everything that is shown is ``said``."""
    data = Data(path=said, sha256="0" * 64, rows=1, source="s")
    return ModelRecord(
        model_hash="abc123",
        model_filename=said,
        training_timestamp=said,
        environment=environment,
        metrics=metrics or {"r2": said},
        data=data,
    )


def approval_of(  # noqa: PLR0913  # what is read
    models: Path,
    candidate: ModelRecord,
    served: ModelRecord | None,
    environment: str = "prd",
    asked: tuple[object, object] = ("who", "why"),
    *,
    four_eyes: bool = False,
    warning: str | None = None,
    drift: str | None = None,
) -> str:
    """What is asked of whoever approves that ``candidate`` replaces ``served``."""
    outlook = promotion.outlook(models, candidate, served, environment)
    text: str = approval_text.of_promotion(
        outlook, candidate, served, environment, asked, four_eyes=four_eyes, warning=warning, drift=drift
    )
    return text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_warning_is_told_first_and_means_nothing_in_it(text: str, tmp_path: Path) -> None:
    model = structs.replace(a_model("plain"), version=12, model_name="churn")
    asked, nothing, told, empty, *rest = approval_of(tmp_path, model, None, warning=text).split("\n")
    assert CELL.fullmatch(told.removeprefix("**Warning:** ")) or told == "**Warning:** -"
    assert (nothing, empty) == ("", "")
    assert [asked, nothing, *rest] == approval_of(tmp_path, model, None).split("\n")
    assert "| model | ` churn #12 ` |" in "\n".join(rest)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_changes_the_shape_of_the_approval(text: str, tmp_path: Path) -> None:
    def shape(said: str) -> list[int]:
        model = a_model(said, said)
        linked = structs.replace(model, model_filename=NAME)
        other = structs.replace(model, features=[said], target=f"{said} too", model_hash="other")
        shown = [
            approval_of(tmp_path, model, one, said, (said, said), four_eyes=True, warning=said)
            for one in (model, other, None)
        ]
        shown.append(approval_of(tmp_path, linked, other, said, (said, said)))
        for body in shown:
            assert "evil.example" not in re.sub(CELL, "", body)
            assert not re.search(r"[<>\u202e\x00-\x09\x0b-\x1f]", re.sub(CELL, "", body))
        return [len(re.findall(r"(?<!\\)\|", line)) for body in shown for line in body.split("\n")]

    assert shape(text) == shape("plain")


def test_a_legacy_model_and_no_model_are_shown_too(tmp_path: Path) -> None:
    legacy = ModelRecord(model_hash="3f2a", model_filename="m.pkl", training_timestamp="t", environment="dev")
    assert "| model | ` m.pkl ` | ` nothing ` |  |" in approval_of(tmp_path, legacy, None)


def test_the_approval_says_that_four_eyes_are_needed_only_where_they_are(tmp_path: Path) -> None:
    said = [approval_of(tmp_path, a_model("m"), None, four_eyes=on) for on in (True, False)]
    assert ["BULKHEAD_FOUR_EYES" in one for one in said] == [True, False]


@pytest.mark.parametrize(("text", "on"), [("", False), ("0", False), ("no", False), ("1", True), ("Yes", True)])
def test_four_eyes_are_on_or_off(text: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setenv("BULKHEAD_FOUR_EYES", text)
    assert defaults.four_eyes() is on


@pytest.mark.parametrize("text", ["2", "maybe", "ja"])
def test_four_eyes_that_are_neither_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_FOUR_EYES", text)
    with pytest.raises(Refused, match="BULKHEAD_FOUR_EYES"):
        defaults.four_eyes()


def test_both_models_who_asks_and_why_are_shown(tmp_path: Path) -> None:
    new, old = a_model("new.joblib", r2=0.9), a_model("old.joblib", "prd", r2=0.8)
    old = structs.replace(old, version=11)
    body = approval_of(tmp_path, new, old, asked=("ann", "it is better"))
    assert body.startswith("Asked for by ` ann `: ` it is better `\n")
    assert "| model | ` new.joblib ` | ` model #11 ` |  |" in body
    assert "| ` r2 ` | ` 0.9 ` | ` 0.8 ` | better (more is better) |" in body
    worse = approval_of(tmp_path, old, new, asked=("ann", "it is better"))
    assert "| ` r2 ` | ` 0.8 ` | ` 0.9 ` | worse (more is better) |" in worse


def test_the_approval_shows_whatever_metrics_the_two_declare_the_leading_one_first_and_what_differs(
    tmp_path: Path,
) -> None:
    given = {"model_name": "churn", "problem": "binary", "target": "left", "features": ["age"]}
    goals = {"roc_auc": "maximize", "log_loss": "minimize"}
    new = structs.replace(a_model("new.joblib", roc_auc=0.9, log_loss=0.2), **given, goals=goals)
    old = structs.replace(a_model("old.joblib", "prd", roc_auc=0.8, lift=3.0), **given, goals={"lift": "maximize"})
    body = approval_of(tmp_path, new, old)
    assert "signature" not in body
    shown = [line for line in body.splitlines() if "is better" in line]
    assert shown == [
        "| ` roc_auc ` | ` 0.9 ` | ` 0.8 ` | (more is better) |",
        "| ` log_loss ` | ` 0.2 ` | ` - ` | (less is better) |",
        "| ` lift ` | ` - ` | ` 3 ` | (more is better) |",
    ]
    (same,) = [line for line in body.splitlines() if line.startswith("The same: ")]
    assert {"columns", "problem", "target"} < set(re.split(r": |, |\. ", same))
    assert "| ` data ` | ` s ` |" not in body
    other = structs.replace(new, features=["age", "town"], target="gone")
    lines = approval_of(tmp_path, other, old).splitlines()
    assert lines[2].startswith("**Not of the served model's signature:** ` new '")
    assert "the target is gone, was left" in lines[2]
    assert "| ` target ` | ` gone ` | ` left ` | differs |" in lines
    assert "columns" not in lines[-1]


def test_the_approval_says_what_the_gate_says_and_leads_to_the_page(tmp_path: Path) -> None:
    model = structs.replace(a_model(NAME, r2=0.4))
    passes = approval_of(tmp_path, model, None)
    assert "The gate of ` prd ` lets it pass." in passes
    assert f"(/bulkhead/promote/prd/{NAME})" in passes
    assert "/bulkhead/" not in approval_of(tmp_path, a_model("../../elsewhere)"), None)
    (tmp_path / "gate.toml").write_text("[prd]\nmin_r2 = 0.5\n")
    refused = approval_of(tmp_path, model, None)
    assert "**The gate of ` prd ` does not let it pass:** ` " in refused
    assert "0.4" in refused.split("does not let it pass")[1].split("\n")[0]
    assert "lets it pass" not in refused


def test_approvers_are_named_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_APPROVERS", "ann, bob,,")
    assert defaults.approvers() == [{"id": "ann", "name": "ann"}, {"id": "bob", "name": "bob"}]
    monkeypatch.setenv("BULKHEAD_APPROVERS", "")
    assert defaults.approvers() == []


def test_an_approval_is_waited_for_as_long_as_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert defaults.approval_time() is None
    monkeypatch.setenv("BULKHEAD_APPROVAL_DAYS", "1.5")
    assert defaults.approval_time() == timedelta(days=1.5)
    monkeypatch.setenv("BULKHEAD_APPROVAL_DAYS", "soon")
    with pytest.raises(Refused, match="BULKHEAD_APPROVAL_DAYS is 'soon', which is no number of days above 0"):
        defaults.approval_time()


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("0", False), ("", False)])
def test_four_eyes_are_asked_for_by_a_one(monkeypatch: pytest.MonkeyPatch, value: str, *, wanted: bool) -> None:
    monkeypatch.setenv("BULKHEAD_FOUR_EYES", value)
    assert defaults.four_eyes() is wanted


def test_a_small_result_goes_to_xcom_as_it_is() -> None:
    result = {"identity": {"task_id": "x"}, "facts": {"rows": 3}}
    assert xcom.bounded(result) == result


@pytest.mark.parametrize(
    "facts",
    [{"large": "x" * 1_000_000}, {str(number): "x" * 20 for number in range(50_000)}, {"x" * 1_000_000: 1}],
    ids=["one large", "many small", "a long name"],
)
def test_a_large_result_is_cut_to_what_xcom_takes(facts: dict[str, object]) -> None:
    result: dict[str, Any] = {"identity": {"task_id": "x"}, "facts": {"rows": 3, **facts}, "outputs": {}}
    bounded = xcom.bounded(result)
    assert len(json.dumps(bounded).encode()) <= xcom.LIMIT
    assert bounded["identity"] == {"task_id": "x"}
    assert bounded["left_out"]
    assert set(bounded["facts"]) < set(result["facts"])


def test_a_large_value_that_is_no_object_is_left_out_as_a_whole() -> None:
    bounded = xcom.bounded({"environment": "y" * 100_000, "facts": {"rows": 3}})
    assert bounded == {"facts": {"rows": 3}, "left_out": ["environment"]}


def test_the_approval_says_how_far_the_newest_inference_was_from_training(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    model = publish(registry, "dev")
    assert promotion.drift_in_words(registry, model.model_filename) is None
    inferred(registry, model, 1, drift=Drift(rows=20, sampled=20, columns={"age": 0.1}))
    assert promotion.drift_in_words(registry, model.model_filename) == "no drift, 20 rows"
    inferred(registry, model, 2, drift=Drift(rows=9, sampled=9, columns={"age": 0.5}, drifted=["age"], limit=0.25))
    told = promotion.drift_in_words(registry, model.model_filename)
    assert told is not None
    assert "age 0.5" in told
    assert told in approval_of(tmp_path, model, None, drift=told)
