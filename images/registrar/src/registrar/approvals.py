"""Who decides, as Airflow's own tables name them: a promotion's approver, who rolls back or revokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bulkhead import clock, environments
from bulkhead.errors import Refused, one_line, short
from bulkhead.queries import references
from bulkhead.registry import approval, decisions
from bulkhead.registry.proposals import PromotionProposal, RevocationProposal, RollbackProposal
from bulkhead.registry.records import Rejection
from registrar.logical_task import SUCCESS, TaskKey

if TYPE_CHECKING:
    from collections.abc import Collection

    from bulkhead.registry.proposals import SuccessProposal
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry
    from registrar.airflow_records import AirflowRecords, Answer, Run
    from registrar.containers import Container

APPROVE = "Approve"
_WAITING = frozenset({None, "scheduled", "queued", "awaiting_input", "deferred", "up_for_retry", "up_for_reschedule"})
"""States of a task that has not heard of an answer, nor of its time's end."""
_LONGEST = 200
"""Characters of a name in Airflow."""


@dataclass(frozen=True)
class Deciders:
    """Who decided, and who asked for it; None where nobody does."""

    by: str | None = None
    requested_by: str | None = None
    approval: str | None = None
    """The id of the try that asked a person."""


@dataclass(frozen=True)
class Rules:
    """What is asked of an approval."""

    approvers: Collection[str] = ()
    """Who may; empty: whoever Airflow lets answer."""
    four_eyes: bool = False
    """Whether who asked may not."""


def deciders(
    airflow: AirflowRecords,
    container: Container,
    proposal: SuccessProposal,
    rules: Rules,
    promoted: tuple[ModelRecord, ModelRecord | None] | None,
) -> Deciders:
    """Who decides what ``proposal`` asks for.

    Args:
        airflow: whose tables say it.
        container: which proposes.
        proposal: what.
        rules: what is asked of an approval.
        promoted: of a promotion, the model, and what its environment serves now.

    Raises:
        Refused: it is a promotion that was not approved as it must be.
        Away: Postgres does not answer.
    """
    if not isinstance(proposal, PromotionProposal | RollbackProposal | RevocationProposal):
        return Deciders()
    task = container.task
    run = airflow.run(task.dag_id, task.run_id)
    if run is None:
        raise Refused(f"Airflow has no run {short(task.run_id)} of {task.dag_id} any more. Nothing is recorded.")
    if not isinstance(proposal, PromotionProposal) or promoted is None:
        return Deciders(by=one_line(run.requested_by, _LONGEST))
    if container.approval_task is None:
        raise Refused("nobody was asked: a promotion from Airflow needs a task that approves it (approved_by=).")
    answer = airflow.answer(TaskKey(task.dag_id, task.run_id, container.approval_task))
    model, served = promoted
    by_names = approval.asked(model, container.environment, served)
    by_files = approval.question(model.model_filename, container.environment, served and served.model_filename)
    # A question that was asked before models had short names names their files alone, which bind.
    return approved(answer, run, by_files if answer is not None and answer.question == by_files else by_names, rules)


def approved(answer: Answer | None, run: Run, asked: str, rules: Rules) -> Deciders:
    """Who approved what is ``asked``.

    Raises:
        Refused: nobody did, or somebody who may not, or something else.
    """
    if answer is None or not answer.is_answered or answer.state != SUCCESS:
        raise Refused("the promotion was not approved: nobody has answered. Answer it under Required Actions.")
    if answer.chosen != [APPROVE]:
        raise Refused("the promotion was not approved: the answer was another. Ask for it anew.")
    if answer.by is None:
        raise Refused("the promotion was approved by nobody whom Airflow names. Ask for it anew.")
    if rules.approvers and answer.by not in rules.approvers:
        raise Refused(f"{short(answer.by)} approved it, and is not one of BULKHEAD_APPROVERS. Ask for it anew.")
    if rules.four_eyes and answer.by == run.user:
        raise Refused(
            f"{short(answer.by)} asked for it and approved it, and BULKHEAD_FOUR_EYES wants two."
            " Ask for it anew, and have somebody else approve."
        )
    if answer.question != asked:
        raise Refused(
            f"what was approved is {short(answer.question, 300)}, and by now it would be {short(asked, 300)}."
            " Nothing is recorded. Look at it, then ask for it anew."
        )
    return Deciders(one_line(answer.by, _LONGEST), one_line(run.requested_by, _LONGEST), answer.try_id)


def refuse_used(promotion: ModelRecord | None) -> None:
    """Refuse an approval that was for ``promotion`` already: a person's word counts once.

    Raises:
        Refused: it was.
    """
    if promotion is not None and promotion.promotion is not None:
        raise Refused(
            f"this approval was for the promotion of {promotion.model_filename} on {promotion.promotion.promotion_time}"
            " and counts once. Nothing is recorded. Ask for it anew: clear the whole run, or trigger another."
        )


def rejection(task: TaskKey, answer: Answer, run: Run, registry: Registry) -> Rejection:
    """The record that a promotion was not approved, of a model in ``registry``.

    Raises:
        Refused: it was, or nobody has answered yet.
    """
    if answer.is_answered and answer.chosen == [APPROVE]:
        raise Refused("the promotion was approved, so no rejection is recorded.")
    is_rejected = answer.is_answered and bool(answer.chosen)
    if not is_rejected and answer.state in _WAITING:
        raise Refused("a person is still asked, so no rejection is recorded.")
    return Rejection(
        dag_id=task.dag_id,
        run_id=task.run_id,
        task_id=task.task_id,
        try_number=answer.try_number,
        map_index=-1,
        try_id=answer.try_id,
        rejection_time=clock.in_record(clock.now()),
        environment=_text(run.conf.get("environment", environments.LAST)),
        model_filename=_model(answer, run, registry),
        outcome="rejected" if is_rejected else "expired",
        by=one_line(answer.by, _LONGEST) if is_rejected and answer.by else None,
        requested_by=one_line(run.requested_by, _LONGEST),
        reason=_text(run.conf.get("reason"), decisions.LONGEST_REASON),
    )


def _model(answer: Answer, run: Run, registry: Registry) -> str:
    """The file of the model that a person was asked about; as the run's form says, where that means none."""
    said = _text(run.conf.get("model"))
    try:
        return references.filename_of(registry, approval.model_in(answer.question) or said)
    except (Refused, OSError):
        return said


def _text(value: object, longest: int = _LONGEST) -> str:
    return one_line(value if isinstance(value, str) else "", longest)
