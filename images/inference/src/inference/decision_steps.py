"""check_model, promote_model and rollback_model: decisions about models as steps, so that Airflow keeps their trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments
from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.step.runner import Outcome
from modeling import serving_check

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step


def check_model(step: Step, filename: str) -> Outcome:
    """Look whether ``filename`` could be promoted to the step's environment now, beside what that serves.

    Raises:
        Refused: it could not.
    """
    record = decisions.promotable(step.registry, filename, step.environment)
    serving_check.check(step.registry, record)
    served = step.registry.served(step.environment)
    facts = {
        "origin": environments.origin_of(step.environment),
        "candidate": _summary(record),
        "served": _summary(served) if served else None,
    }
    return Outcome(facts=facts)


def promote_model(step: Step, filename: str, by: str, reason: str, replacing: str | None) -> Outcome:
    """Serve the model ``filename`` in the step's environment too; see :func:`bulkhead.registry.decisions.promote`.

    Raises:
        Refused: as there.
        OSError: as there.
    """
    decision = DecisionContext(by, reason, step.identity)

    def undisturbed(*arguments: Any) -> dict[str, str]:
        libraries = serving_check.check(*arguments)
        step.store_undisturbed()
        return libraries

    record = decisions.promote(
        step.registry, filename, decision, undisturbed, environment=step.environment, replacing=replacing
    )
    return Outcome(facts={**_summary(record), "promotion": msgspec.to_builtins(record.promotion)})


def rollback_model(step: Step, by: str, reason: str, to: str | None) -> Outcome:
    """Serve the good model before the one now served; see :func:`bulkhead.registry.decisions.roll_back`.

    Raises:
        Refused: as there.
        OSError: as there.
    """
    decision = DecisionContext(by, reason, step.identity)
    step.store_undisturbed()
    rollback = decisions.roll_back(step.registry, step.environment, decision, to)
    return Outcome(facts={"model_filename": rollback.model_filename, "withdrawn": rollback.withdrawn})


def _summary(record: ModelRecord) -> dict[str, Any]:
    keys = ("model_filename", "model_hash", "sha256", "training_timestamp")
    data = {"data": record.data.path, "data_sha256": record.data.sha256} if record.data else {}
    # Legacy records have no metrics.
    return {**{key: getattr(record, key) for key in keys}, "metrics": record.metrics or {}, **data}
