"""The result file of a step that could not write its own: made from its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.kept import DECIDED
from tests.support.project import publish

from bulkhead.identity import Identity
from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.step import result

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.store import Registry

CONTAINER = "0123456789abcdef" * 4
PROMOTING = Identity(dag_id="promote_model_dag", run_id="r", task_id="promote_model", try_number=2, map_index=-1)


def test_the_result_of_a_training_names_its_attempt_its_container_and_its_model(empty_registry: Registry) -> None:
    record = publish(empty_registry)
    made = result.from_record(record, "prd", CONTAINER)
    assert made.identity.same_attempt(record)
    assert CONTAINER.startswith(made.container)
    assert made.facts["model_filename"] == record.model_filename
    assert made.facts["sha256"] == record.sha256


def test_the_result_of_a_promotion_names_the_task_that_promoted_and_not_the_training(
    empty_registry: Registry, tmp_path: Path
) -> None:
    model = publish(empty_registry, "dev")
    since = empty_registry.journal_size("training")
    decision = DecisionContext("ada", "good", PROMOTING)
    decisions.promote(empty_registry, model.model_filename, decision, lambda *_: {})
    found = empty_registry.success_of("training", PROMOTING, since)
    assert found is not None
    made = result.from_record(found, "prd", CONTAINER)
    assert made.identity == PROMOTING
    result.write(tmp_path, made)
    assert result.read(tmp_path, "promote_model") == made


def test_the_result_of_a_rollback_says_what_is_served(empty_registry: Registry) -> None:
    first, second = publish(empty_registry), publish(empty_registry)
    rollback = decisions.roll_back(empty_registry, "prd", DECIDED)
    facts = result.from_record(rollback, "prd", CONTAINER).facts
    assert (facts["model_filename"], facts["withdrawn"]) == (first.model_filename, [second.model_filename])
