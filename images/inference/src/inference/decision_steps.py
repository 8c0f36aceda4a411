"""check_model, promote_model and rollback_model: decisions about models as steps, so that Airflow keeps their trace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkhead import environments, model_name, paths
from bulkhead.errors import Refused
from bulkhead.registry import decisions
from bulkhead.registry.proposals import PromotionProposal, RollbackProposal
from bulkhead.registry.store import Registry
from bulkhead.step.runner import Outcome
from modeling import serving_check

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step


def name_of(filename: str) -> str:
    """Of which model the file called ``filename`` is a version; where the registry cannot tell, as Airflow says."""
    try:
        return Registry(Path(paths.MODELS)).find(filename).name
    except (Refused, OSError):
        return os.environ.get(model_name.VARIABLE) or model_name.DEFAULT_NAME


def check_model(step: Step, filename: str) -> Outcome:
    """Look whether ``filename`` could be promoted to the step's environment now, beside what that serves.

    Raises:
        Refused: it could not.
    """
    record = decisions.promotable(step.registry, filename, step.environment)
    libraries = serving_check.check(step.registry, record)
    served = step.registry.served(step.environment, record.name)
    facts = {
        "origin": environments.origin_of(step.environment),
        "candidate": _summary(record),
        "served": _summary(served) if served else None,
        "libraries": libraries,
    }
    return Outcome(facts=facts)


def promote_model(step: Step, filename: str, by: str | None, reason: str, replacing: str | None) -> Outcome:
    """Propose to serve the model ``filename`` in the step's environment too.

    Args:
        step: where, and for which environment.
        filename: the model file.
        by: who decides; counts by hand alone.
        reason: why.
        replacing: the file that the environment must be serving (``none``: nothing); None: the one it serves now.

    Raises:
        Refused: it could not be promoted or served.
    """
    record = decisions.promotable(step.registry, filename, step.environment)
    served = step.registry.served(step.environment, record.name)
    now = served.model_filename if served else "none"
    libraries = serving_check.check(step.registry, record)
    proposal = PromotionProposal(
        model_filename=filename, by=by, reason=reason, replacing=replacing or now, libraries=libraries
    )
    return Outcome(facts=_summary(record), proposal=proposal)


def rollback_model(_step: Step, by: str | None, reason: str, to: str | None) -> Outcome:
    """Propose to serve the good model before the one now served, or the earlier one ``to``, in the step's environment.

    Whether there is one is looked at where it is recorded.
    """
    return Outcome(proposal=RollbackProposal(to=to, by=by, reason=reason))


def _summary(record: ModelRecord) -> dict[str, Any]:
    keys = ("model_filename", "name", "model_hash", "sha256", "training_timestamp")
    data = {"data": record.data.path, "data_sha256": record.data.sha256} if record.data else {}
    # Legacy records have no metrics.
    return {**{key: getattr(record, key) for key in keys}, "metrics": record.metrics or {}, **data}
