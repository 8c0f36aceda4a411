"""Decisions about models as steps, so that Airflow keeps their trace: check, promote, roll back, revoke."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkhead import environments, model_name, paths
from bulkhead.errors import Refused, one_line, short
from bulkhead.queries import references
from bulkhead.registry import decisions
from bulkhead.registry.proposals import PromotionProposal, RevocationProposal, RollbackProposal
from bulkhead.registry.store import Registry
from bulkhead.step.runner import Outcome
from modeling import serving_check

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step


def name_of(model: str) -> str:
    """Of which model the one called ``model`` is a version; where the registry cannot tell, as Airflow says."""
    registry = Registry(Path(paths.MODELS))
    try:
        return registry.find(references.filename_of(registry, model)).name
    except (Refused, OSError):
        return os.environ.get(model_name.VARIABLE) or model_name.DEFAULT_NAME


def check_model(step: Step, model: str) -> Outcome:
    """Look whether ``model`` could be promoted to the step's environment now, beside what that serves.

    Raises:
        Refused: it could not, or several models could be meant.
    """
    filename = references.filename_of(step.registry, model)
    record = decisions.promotable(step.registry, filename, step.environment)
    libraries = serving_check.check(step.registry, record)
    served = step.registry.served(step.environment, record.name)
    facts = {
        "origin": environments.origin_of(step.environment),
        "candidate": _summary(record),
        "served": _summary(served) if served else None,
        "libraries": libraries,
        **_warned(step, record),
    }
    return Outcome(facts=facts)


def promote_model(step: Step, model: str, by: str | None, reason: str, replacing: str | None) -> Outcome:
    """Propose to serve ``model`` in the step's environment too.

    Args:
        step: where, and for which environment.
        model: by its short name, hash or file.
        by: who decides; counts by hand alone.
        reason: why.
        replacing: what the environment must be serving (``none``: nothing); None: the one it serves now.

    Raises:
        Refused: it could not be promoted or served, or several models could be meant.
    """
    filename = references.filename_of(step.registry, model)
    if replacing not in (None, "none"):
        replacing = references.filename_of(step.registry, str(replacing))
    record = decisions.promotable(step.registry, filename, step.environment)
    served = step.registry.served(step.environment, record.name)
    now = served.model_filename if served else "none"
    libraries = serving_check.check(step.registry, record)
    proposal = PromotionProposal(
        model_filename=filename, by=by, reason=reason, replacing=replacing or now, libraries=libraries
    )
    return Outcome(facts={**_summary(record), **_warned(step, record)}, proposal=proposal)


def rollback_model(step: Step, by: str | None, reason: str, to: str | None) -> Outcome:
    """Propose to serve the good model before the one now served, or the earlier one ``to``, in the step's environment.

    Whether there is one is looked at where it is recorded.

    Raises:
        NoModel: there is no such model as ``to``.
        Refused: several models could be meant by ``to``.
    """
    if to is not None:
        to = references.filename_of(step.registry, to, step.model_name)
    return Outcome(proposal=RollbackProposal(to=to, by=by, reason=reason))


def revoke_model(step: Step, model: str, confirm: str, by: str | None, reason: str) -> Outcome:
    """Propose to take the version that ``model`` names out of service for ever, in every environment.

    Args:
        step: whose registry.
        model: its short name, its file, or the beginning of its hash.
        confirm: the same once more, as a person has typed it.
        by: who decides; counts by hand alone.
        reason: why.

    Raises:
        Refused: it is not confirmed, there is no such model, or it is out of service.
    """
    if confirm.strip() != model.strip():
        raise Refused(
            f"{short(model, 120)} was to be revoked, and {short(confirm, 120)} was typed to confirm it. Name the"
            " same model twice: a revocation is for ever."
        )
    record = step.registry.find(references.filename_of(step.registry, model.strip()))
    return Outcome(
        facts=_summary(record),
        proposal=RevocationProposal(model_filename=record.model_filename, by=by, reason=reason),
    )


def _warned(step: Step, record: ModelRecord) -> dict[str, str]:
    """What whoever decides should know, as a fact and on stderr, which is the task's log."""
    warning = decisions.revoked_twin(step.registry, record)
    if warning is None:
        return {}
    sys.stderr.write(f"warning: {one_line(warning)}\n")
    return {"warning": warning}


def _summary(record: ModelRecord) -> dict[str, Any]:
    keys = ("model_filename", "name", "model_hash", "sha256", "training_timestamp")
    data = {"data": record.data.path, "data_sha256": record.data.sha256} if record.data else {}
    # Legacy records have no metrics.
    return {**{key: getattr(record, key) for key in keys}, "metrics": record.metrics or {}, **data}
