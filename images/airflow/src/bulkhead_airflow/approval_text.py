"""What the person who approves a promotion reads: what it changes first, then who asks, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.environments import PROMOTED_TO
from bulkhead.registry.store import MODEL_NAME
from bulkhead_airflow.escaping import quoted, row
from models_page import PREFIX

if TYPE_CHECKING:
    from bulkhead.queries.promotion import Change, Outlook
    from bulkhead.registry.records import ModelRecord

_FOUR_EYES = "Whoever asked for a promotion may not approve it: the registrar refuses the record (BULKHEAD_FOUR_EYES)."


def of_promotion(  # noqa: PLR0913  # what is read
    outlook: Outlook,
    candidate: ModelRecord,
    served: ModelRecord | None,
    environment: str,
    asked: tuple[object, object],
    *,
    four_eyes: bool,
    warning: str | None = None,
    drift: str | None = None,
    page: str = PREFIX,
) -> str:
    """The question's body, in Markdown, short enough that the answers stand below it. All that others say is escaped.

    Args:
        outlook: what the promotion would change.
        candidate: the model that is to be promoted, as the registry has it.
        served: what ``environment`` serves; None: nothing.
        environment: where the model is promoted to.
        asked: who asks, and why.
        four_eyes: whether the requester may not approve.
        warning: what else is known of the model; None: nothing.
        drift: how far its newest inference was from its training, in words; None: nobody knows.
        page: the path of Bulkhead's pages.
    """
    who, why = asked
    lines = [f"Asked for by {quoted(who)}: {quoted(why)}", ""]
    if warning is not None:
        lines += [f"**Warning:** {quoted(warning)}", ""]
    if outlook.signature:
        lines += [f"**Not of the served model's signature:** {quoted('; '.join(outlook.signature))}", ""]
    if outlook.gate is not None:
        lines += [f"**The gate of {quoted(environment)} does not let it pass:** {quoted(outlook.gate)}", ""]
    if drift is not None:
        lines += [f"Its newest inference: {quoted(drift)}", ""]
    differing = [change for change in outlook.changes if not change.is_same]
    lines += [
        row("", f"{quoted(candidate.environment)}, to be promoted", f"{quoted(environment)}, served now", ""),
        row("---", "---", "---", "---"),
        # Their files are in the question above.
        row("model", _called(candidate), _called(served), ""),
        row(
            "trained", quoted(candidate.training_timestamp[:19]), quoted(served and served.training_timestamp[:19]), ""
        ),
        *(_metric(change) for change in outlook.metrics),
        *(_row(change, "differs") for change in differing),
    ]
    same = [change.what for change in outlook.changes if change.is_same]
    if not outlook.signature and served is not None:
        same = ["columns", *same]
    lines += ["", f"The same: {', '.join(same) or 'nothing'}."]
    if outlook.gate is None:
        lines[-1] += f" The gate of {quoted(environment)} lets it pass."
    if MODEL_NAME.fullmatch(candidate.model_filename) and environment in PROMOTED_TO:  # the page knows no other
        address = f"{page}/promote/{environment}/{candidate.model_filename}"
        lines[-1] += f" [All of both versions, side by side]({address})."
    return "\n".join([*lines, *(["", _FOUR_EYES] if four_eyes else [])])


def _row(change: Change, verdict: str) -> str:
    return row(quoted(change.what), quoted(change.candidate), quoted(change.served), verdict)


def _metric(change: Change) -> str:
    words = [change.verdict or ("the same" if change.is_same else ""), f"({change.goal})" if change.goal else ""]
    return _row(change, " ".join(word for word in words if word))


def _called(model: ModelRecord | None) -> str:
    return quoted("nothing" if model is None else model.short_name or model.model_filename)
