"""Decisions taken at once by many processes: one winner, every other is told what came first."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.project import publish, records_of

from bulkhead.registry import journal
from bulkhead.registry.records import ModelRecord, Revocation, Rollback
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from bulkhead.registry.store import Registry

PROGRAM = Path(__file__).parents[1] / "programs/decide_at_once.py"
MANY = 50


def ends_of(registry: Registry, *acts: str) -> list[str]:
    """How each of ``acts``, begun at once, ended."""
    command = [sys.executable, str(PROGRAM), str(registry.folder), *acts]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert ended.stderr == ""
    ends = ended.stdout.splitlines()
    assert len(ends) == len(acts)
    return ends


def promotions(registry: Registry) -> list[ModelRecord]:
    return [r for r in records_of(registry.training_journal) if isinstance(r, ModelRecord) and r.promotion is not None]


def test_of_fifty_promotions_of_one_model_at_once_one_is_recorded_and_the_others_are_told(
    registry_with_two_models: Registry,
) -> None:
    dev = registry_with_two_models.latest("dev").model_filename
    prd = registry_with_two_models.latest("prd").model_filename
    ends = ends_of(registry_with_two_models, *[f"promote:{dev}"] * MANY)
    assert ends.count("done") == 1
    sentence = f"Overtaken: prd served {prd} when this promotion began, and serves {dev} now: another decision"
    assert sum(end.startswith(sentence) for end in ends) == MANY - 1
    (promotion,) = promotions(registry_with_two_models)
    assert registry_with_two_models.latest("prd") == promotion


def test_of_fifty_promotions_of_different_models_at_once_one_is_served_and_the_others_are_told(
    registry_with_a_model: Registry,
) -> None:
    names = [publish(registry_with_a_model, "dev", model=number).model_filename for number in range(MANY)]
    ends = ends_of(registry_with_a_model, *(f"promote:{name}" for name in names))
    assert ends.count("done") == 1
    (promotion,) = promotions(registry_with_a_model)
    assert promotion.model_filename in names
    assert registry_with_a_model.latest("prd") == promotion
    assert sum(f"serves {promotion.model_filename} now" in end for end in ends) == MANY - 1


def test_of_fifty_revocations_of_one_model_at_once_one_is_recorded_and_the_others_are_told(
    registry_with_a_model: Registry,
) -> None:
    name = registry_with_a_model.latest("prd").model_filename
    ends = ends_of(registry_with_a_model, *[f"revoke:{name}"] * MANY)
    assert ends.count("done") == 1
    assert sum(end.startswith(f"OutOfService: {name}: it was revoked by somebody") for end in ends) == MANY - 1
    assert sum(isinstance(r, Revocation) for r in records_of(registry_with_a_model.training_journal)) == 1


def test_promotions_trainings_rollbacks_and_revocations_at_once_leave_a_log_in_which_each_saw_what_was_served(
    empty_registry: Registry,
) -> None:
    served = [publish(empty_registry, "prd", model=number).model_filename for number in range(20)]
    devs = [publish(empty_registry, "dev", model=-number).model_filename for number in range(10)]
    ends = ends_of(
        empty_registry,
        *(f"promote:{name}" for name in devs),
        *["rollback:prd"] * 10,
        *(f"revoke:{name}" for name in served[::4]),
        *["publish:"] * 10,
    )
    told = Counter(end.partition(":")[0] for end in ends)
    assert set(told) <= {"done", "Overtaken", "OutOfService"}
    assert told["done"] >= 10 + len(served[::4]), "nothing overtakes a training or a revocation"
    records = records_of(empty_registry.training_journal)
    assert len(records) == len(served) + len(devs) + told["done"], "no loser wrote, no winner's record is lost"
    state = RegistryState()
    for record in records:
        now = state.served("prd")
        if isinstance(record, ModelRecord) and record.promotion is not None:
            assert record.promotion.replaces == (now and now.model_filename)
        if isinstance(record, Rollback):
            assert now is not None
            assert record.withdrawn[0] == now.model_filename
            serving_order = [entry.model_filename for entry in state.serving_order("prd")]
            assert record.model_filename in serving_order[1:]
        state.feed(record)
        if isinstance(record, Rollback):
            back = state.served("prd")
            assert back is not None
            assert back.model_filename == record.model_filename
    assert empty_registry.latest("prd") == state.served("prd")


def test_a_promotion_and_a_training_at_once_end_with_the_later_of_them_served(empty_registry: Registry) -> None:
    for number in range(5):
        dev = publish(empty_registry, "dev", model=number).model_filename
        ends = ends_of(empty_registry, f"promote:{dev}", "publish:")
        assert ends.count("done") in (1, 2)
        newest = next(
            r for r in journal.read_newest_first(empty_registry.training_journal) if isinstance(r, ModelRecord)
        )
        assert empty_registry.latest("prd") == newest
