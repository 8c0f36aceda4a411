"""What the person who approves a promotion reads: both models side by side, who asks, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead_airflow.escaping import name, quoted, row

if TYPE_CHECKING:
    from collections.abc import Mapping

_METRICS = ("r2", "rmse", "mae")
_FOUR_EYES = "Whoever asked for a promotion may not approve it: the registrar refuses the record (BULKHEAD_FOUR_EYES)."


def subject(model: object, environment: object) -> str:
    """The question."""
    return f"Promote {name(model)} to {name(environment)}?"


def side_by_side(
    checked: Mapping[str, Any], environment: str, reason: object, requested_by: object, *, four_eyes: bool
) -> str:
    """The question's body, in Markdown. All that a person or a record says is escaped in it.

    Args:
        checked: the facts of ``check_model``.
        environment: where the model is promoted to.
        reason: what the requester gave.
        requested_by: who asks.
        four_eyes: whether the requester may not approve.
    """
    new, served = _model(checked.get("candidate")), _model(checked.get("served"))
    rows = [
        row("", f"{quoted(checked.get('origin'))}, to be promoted", f"{quoted(environment)}, served now"),
        row("---", "---", "---"),
        row("model", quoted(new.get("model_filename")), quoted(served.get("model_filename") or "none")),
        row("trained", quoted(new.get("training_timestamp")), quoted(served.get("training_timestamp"))),
        row("data", quoted(new.get("data")), quoted(served.get("data"))),
        *(row(key, quoted(_metric(new, key)), quoted(_metric(served, key))) for key in _METRICS),
    ]
    asked = [
        row("Asked", ""),
        row("---", "---"),
        row("by", quoted(requested_by)),
        row("reason", quoted(reason)),
    ]
    return "\n".join([*rows, "", *asked, *(["", _FOUR_EYES] if four_eyes else [])])


def _metric(model: Mapping[str, Any], key: str) -> Any:
    return _model(model.get("metrics")).get(key)


def _model(value: object) -> Mapping[str, Any]:
    """What should be an object: it comes from a step's result, by way of XCom."""
    return value if isinstance(value, dict) else {}
