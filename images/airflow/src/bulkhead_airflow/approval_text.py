"""What the person who approves a promotion reads: both models side by side, who asks, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead.registry import metrics, quality_gate
from bulkhead_airflow.escaping import quoted, row

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord

_BETTER = {"maximize": "(more is better)", "minimize": "(less is better)"}
_FOUR_EYES = "Whoever asked for a promotion may not approve it: the registrar refuses the record (BULKHEAD_FOUR_EYES)."


def side_by_side(
    candidate: ModelRecord,
    served: ModelRecord | None,
    environment: str,
    reason: object,
    requested_by: object,
    *,
    four_eyes: bool,
) -> str:
    """The question's body, in Markdown. All that a person or a record says is escaped in it.

    Args:
        candidate: the model that is to be promoted, as the registry has it.
        served: what ``environment`` serves; None: nothing.
        environment: where the model is promoted to.
        reason: what the requester gave.
        requested_by: who asks.
        four_eyes: whether the requester may not approve.
    """
    differences = quality_gate.signature_change(candidate, served) if served is not None else []
    first = [f"Not of the served model's signature: {quoted('; '.join(differences))}", ""] if differences else []
    rows = [
        row("", f"{quoted(candidate.environment)}, to be promoted", f"{quoted(environment)}, served now"),
        row("---", "---", "---"),
        row("model", quoted(candidate.model_filename), quoted(served.model_filename if served else "none")),
        row("name", quoted(candidate.name), quoted(served and served.name)),
        row("problem", quoted(_problem(candidate)), quoted(_problem(served))),
        row("target", quoted(candidate.target), quoted(served and served.target)),
        row("trained", quoted(candidate.training_timestamp), quoted(served and served.training_timestamp)),
        row("data", quoted(_data(candidate)), quoted(_data(served))),
        *(
            row(_better(key, goal), quoted(_metric(candidate, key)), quoted(_metric(served, key)))
            for key, goal in _goals(candidate, served).items()
        ),
    ]
    asked = [
        row("Asked", ""),
        row("---", "---"),
        row("by", quoted(requested_by)),
        row("reason", quoted(reason)),
    ]
    return "\n".join([*first, *rows, "", *asked, *(["", _FOUR_EYES] if four_eyes else [])])


def _goals(candidate: ModelRecord, served: ModelRecord | None) -> dict[str, str]:
    """Which way each metric is better that one of the two declares; the candidate's leading one first."""
    goals = dict(metrics.goals_of(candidate))
    for key, goal in metrics.goals_of(served).items() if served is not None else ():
        goals.setdefault(key, goal)
    return goals


def _better(key: str, goal: str) -> str:
    return f"{quoted(key)} {_BETTER.get(goal, '')}".rstrip()


def _problem(model: ModelRecord | None) -> str | None:
    return (model.problem or "regression") if model is not None else None


def _data(model: ModelRecord | None) -> str | None:
    return model.data.path if model is not None and model.data is not None else None


def _metric(model: ModelRecord | None, key: str) -> Any:
    return (model.metrics or {}).get(key) if model is not None else None
