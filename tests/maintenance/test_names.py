"""Models side by side: gc keeps what each needs, and verify finds records that mix them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.project import CHURN, published_unserved
from tests.support.registry_project import DECIDED, RegistryProject

from bulkhead import clock
from bulkhead.maintenance.gc import GarbageCollector, RetentionRule
from bulkhead.registry import decisions
from bulkhead.registry.records import Rollback

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import ModelRecord


@pytest.fixture
def project(tmp_path: Path) -> RegistryProject:
    return RegistryProject(tmp_path / "project")


def churn(project: RegistryProject, environment: str = "prd") -> ModelRecord:
    return project.publish(environment, **CHURN)


def test_gc_keeps_the_served_and_the_previous_version_of_each_model(project: RegistryProject) -> None:
    first = [project.republished(churn(project, "dev"), 95 - day) for day in range(4)]
    second = [project.republished(project.publish("dev"), 90 - day) for day in range(4)]
    old = GarbageCollector(project.registry, project.shared, RetentionRule(1, timedelta(days=30))).plan()
    assert [item.path for item in old] == [f"models/{one.model_filename}" for one in [*first[:2], *second[:2]]]
    assert [item.why for item in old] == [
        *["beyond the newest 1 of dev of churn"] * 2,
        *["beyond the newest 1 of dev"] * 2,
    ]


def test_what_is_decided_of_two_models_by_turns_contradicts_nothing(project: RegistryProject) -> None:
    for _ in range(2):
        project.infer(project.publish("prd"))
        project.infer(churn(project), model_name="churn")
    new = churn(project, "dev")
    decisions.promote(project.registry, new.model_filename, DECIDED, lambda *_: {})
    decisions.roll_back(project.registry, "prd", DECIDED)
    decisions.roll_back(project.registry, "prd", DECIDED, name="churn")
    decisions.revoke(project.registry, new.model_filename, DECIDED)
    assert project.verify() == []


def test_a_promotion_under_another_name_is_found(project: RegistryProject) -> None:
    project.append(project.promoted(churn(project, "dev"), model_name="model"))
    assert project.damage() == ["unfounded_promotion"]
    sentence = project.the("unfounded_promotion").sentence
    assert "as a version of 'model', and it was published as one of 'churn'" in sentence


def test_a_promotion_that_replaces_another_models_version_is_found(project: RegistryProject) -> None:
    served = project.publish("prd")
    project.append(project.promoted(churn(project, "dev"), replaces=served.model_filename))
    assert project.damage() == ["unfounded_promotion"]


@pytest.mark.parametrize("which", ["withdrawn", "served again"])
def test_a_rollback_that_mixes_models_is_found(project: RegistryProject, which: str) -> None:
    plain = [project.publish("prd") for _ in range(2)]
    other = churn(project)
    away = [plain[1].model_filename, other.model_filename] if which == "withdrawn" else [plain[1].model_filename]
    project.append(
        Rollback(
            rollback_time=clock.in_record(clock.now()),
            environment="prd",
            model_filename=(plain[0] if which == "withdrawn" else other).model_filename,
            withdrawn=away,
            by="b",
            reason="r",
        )
    )
    assert project.damage() == ["unfounded_rollback"]
    assert "is a version of another model than" in project.the("unfounded_rollback").sentence


@pytest.mark.parametrize("name", [None, "model", "demand"])
def test_an_inference_for_another_model_than_its_file_is_of_is_found(
    project: RegistryProject, name: str | None
) -> None:
    project.infer(churn(project), model_name=name)
    found = project.the("other_name")
    assert (found.line, found.mended_by, found.is_damage) == (1, "person", True)
    assert f"was for the model '{name or 'model'}'" in found.sentence
    assert "a version of 'churn'" in found.sentence


def test_a_served_version_whose_file_is_gone_is_found_whatever_another_model_serves(project: RegistryProject) -> None:
    gone = churn(project)
    project.publish("prd")
    project.removed(f"models/{gone.model_filename}")
    project.file_of(gone).unlink()
    assert project.damage() == ["served_model_gone"]


def test_a_version_that_was_published_unserved_and_promoted_later_contradicts_nothing(project: RegistryProject) -> None:
    served = project.publish("dev")
    past = published_unserved(project.registry, "dev", "past", run_id="past")
    project.infer(past)
    assert project.registry.latest("dev").model_filename == served.model_filename
    decisions.promote(project.registry, past.model_filename, DECIDED, lambda *_: {})
    assert project.registry.latest("prd").model_filename == past.model_filename
    assert project.verify() == []


def test_the_predictions_of_a_classifier_are_compared_with_its_record(project: RegistryProject) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from bulkhead.maintenance.verify import predictions_file

    path = project.shared / "runs/p.parquet"
    table = {"row": [1, 2], "prediction": ["stays", "leaves"], "probability_leaves": [0.25, 0.75]}
    parquet.write_table(pa.table(table), path)
    shown = "shared/runs/p.parquet"
    assert predictions_file.difference(project.shared, shown, ["stays", "leaves"]) is None
    assert predictions_file.difference(project.shared, shown, ["stays", "stays"]) == (
        "row 1 is leaves there and stays in the record"
    )
    assert predictions_file.difference(project.shared, shown, ["stays", 1]) is not None
