"""What people read of a task's outcome or failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.project import lineage, training_failure

from bulkhead import markdown
from bulkhead.registry.profiles import Drift
from bulkhead.registry.records import InferenceRecord, ModelRecord, Promotion, Revocation, Rollback
from bulkhead.registry.store import Registry
from registrar import sentences

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import Success

FILE = "model_20261124T164715570537Z_0f10dfd6d375ec5060cfb5a5cfbda470.joblib"


def model(**changes: Any) -> ModelRecord:
    given = {
        **msgspec.structs.asdict(lineage()),
        "model_hash": "h",
        "model_filename": FILE,
        "training_timestamp": "2026-11-24T16:47:15+00:00",
        "environment": "prd",
        "model_name": "churn",
        "goals": {"roc_auc": "maximize"},
        "metrics": {"roc_auc": 0.7921234, "train_rows": 16000, "test_rows": 4000},
    }
    return ModelRecord(**{**given, **changes})


class Shelf:
    """A registry of one version."""

    def __init__(self, *records: Success) -> None:
        self.records = records

    def records_newest_first(self) -> Any:
        return iter(self.records)


def said(record: Success, *known: Success) -> str:
    return sentences.of_success(record, Shelf(*known))  # type: ignore[arg-type]  # all that is asked of a registry


def test_a_publication_says_its_version_metric_and_rows() -> None:
    assert said(model(version=12)) == "published churn #12, roc_auc 0.7921, 16,000/4,000 rows"


def test_a_version_without_a_number_goes_by_its_file() -> None:
    assert said(model()) == f"published {FILE} of churn, roc_auc 0.7921, 16,000/4,000 rows"


def test_a_model_that_is_not_served_says_so() -> None:
    assert said(model(version=12, serve=False, metrics=None, trained_on=None)) == "published churn #12, not served"


def test_a_metric_that_is_none_is_left_out() -> None:
    for odd in ("much", float("nan"), True, {"a": 1}):
        assert said(model(version=12, metrics={"roc_auc": odd}, trained_on=None)) == "published churn #12"


def inference(**changes: Any) -> InferenceRecord:
    given = {"inference_time": "t", "environment": "prd", "inference_data": "d", "model_used": FILE, "rows": 20}
    return InferenceRecord(**{**given, **changes})


def test_an_inference_says_how_many_predictions_by_which_version() -> None:
    assert said(inference(), model(version=12)) == "20 predictions by churn #12"
    assert said(inference(rows=1_000_000)) == f"1,000,000 predictions by {FILE}"


def test_an_inference_says_what_has_drifted() -> None:
    many = [f"c{number}" for number in range(8)]
    assert (
        said(inference(drift=Drift(rows=20, sampled=20, columns={}, drifted=["a"])), model(version=12))
        == "20 predictions by churn #12; drifted: a"
    )
    assert said(inference(drift=Drift(rows=20, sampled=20, columns={}, drifted=many))).endswith(
        "drifted: c0, c1, c2, c3, c4 and 3 more"
    )


def test_decisions_say_what_is_served_now() -> None:
    other = model(version=11, model_filename="other.joblib")
    promotion = Promotion(promotion_time="t", origin="dev", replaces="other.joblib", by="admin", reason="r")
    told = said(model(version=12, promotion=promotion), other)
    assert told == "promoted churn #12 to prd in place of churn #11, approved by admin"
    back = Rollback(
        rollback_time="t", environment="prd", model_filename="other.joblib", withdrawn=[FILE], by="b", reason="r"
    )
    assert said(back, model(version=12), other) == "rolled prd back to churn #11, withdrawing churn #12"
    revoked = Revocation(revocation_time="t", model_filename=FILE, model_hash="h", by="b", reason="r")
    assert said(revoked, model(version=12)) == "revoked churn #12: no environment serves it any more"


def test_a_registry_that_cannot_be_read_costs_the_number_alone(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/log.txt").mkdir()
    assert sentences.of_success(inference(), Registry(tmp_path / "models")) == f"20 predictions by {FILE}"


def test_a_failure_says_its_task_try_and_cause() -> None:
    failure = training_failure(try_number=2, map_index=3)
    assert sentences.of_failure(failure).startswith(f"train_model[3] try 2: {failure.cause}: ")


@pytest.mark.parametrize(
    "text", ["published churn #12, roc_auc 0.792, 16,000/4,000 rows", "train_model: refused: a.csv has no rows."]
)
def test_tame_text_is_as_it_is_in_a_note(text: str) -> None:
    assert markdown.harmless(text, 400) == text


@pytest.mark.parametrize(
    "text",
    [
        "![](https://evil.example/pixel.png)",
        "https://evil.example",
        "www.evil.example",
        "a@evil.example",
        "<img src=x>",
        "[x](y)",
        "`` ` ``",
        "`" * 900,
        "a | b",
        "**b**",
    ],
)
def test_any_other_text_is_code_of_bounded_length_in_a_note(text: str) -> None:
    made = markdown.harmless(text, 400)
    assert made.startswith("`")
    assert made.endswith("`")
    assert len(made) <= 1000
