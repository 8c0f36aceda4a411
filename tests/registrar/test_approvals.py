"""Who approves is who Airflow's own record names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.registrar.support import RUN, Service, try_id
from tests.support.project import lines_of, publish

from bulkhead.errors import Refused
from bulkhead.identity import Identity
from bulkhead.registry import approval
from bulkhead.registry.decisions import DecisionContext, revoke
from bulkhead.registry.proposals import PromotionProposal, RollbackProposal
from bulkhead.unix_http import Refusal
from registrar import approvals
from registrar.airflow_records import Answer, Run
from registrar.approvals import Rules

PROMOTE, ROLLBACK = "promote_model_dag", "rollback_model_dag"
APPROVED = Answer(["Approve"], "ada", is_answered=True, try_id=try_id(90), state="success")
"""Of what was asked, which :func:`promoting` fills in."""


def promoting(service: Service, answer: Answer | None = APPROVED, user: str | None = "bob", **changes: Any) -> Any:
    """Conclude the promotion of a dev model."""
    model = publish(service.registry, "dev")
    conf = {"model": model.model_filename, "environment": "prd", "reason": "better", **changes.pop("conf", {})}
    service.airflow.runs[PROMOTE, RUN] = Run(conf, user, "manual")
    if answer is not None:
        served = service.registry.served("prd")
        asked = changes.pop("asked", approval.question(model.model_filename, "prd", served and served.model_filename))
        service.airflow.answers[service.task("approve", PROMOTE)] = msgspec.structs.replace(answer, question=asked)
    service.tries("running", task_id="promote_model", dag_id=PROMOTE)
    given = {"dag_id": PROMOTE, "environment": "prd", "approval_task": "approve", **changes}
    container = service.container(task_id="promote_model", **given)
    proposal = PromotionProposal(
        model_filename=model.model_filename, reason="better", by="mallory", libraries={"a": "1"}
    )
    service.leave(container, proposal, "promote_model", dag_id=PROMOTE)
    return service.ask("/conclude", {"container": container})


def promotions(service: Service) -> list[dict[str, Any]]:
    return [line["promotion"] for line in lines_of(service.registry.training_journal) if line.get("promotion")]


def test_the_approver_and_who_asked_are_airflows_word_and_not_the_steps(service: Service) -> None:
    assert promoting(service)["verdict"] == "recorded"
    (made,) = promotions(service)
    assert (made["by"], made["requested_by"], made["first_try"]) == ("ada", "bob", try_id(1))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        msgspec.structs.replace(APPROVED, is_answered=False),
        msgspec.structs.replace(APPROVED, chosen=["Reject"]),
        msgspec.structs.replace(APPROVED, chosen=[]),
        msgspec.structs.replace(APPROVED, chosen=["Approve", "Reject"]),
        msgspec.structs.replace(APPROVED, by=None),
        msgspec.structs.replace(APPROVED, state="running"),
    ],
    ids=["no question", "no answer", "rejected", "nothing chosen", "both", "nobody", "not done"],
)
def test_what_nobody_has_approved_is_not_promoted(service: Service, answer: Answer | None) -> None:
    assert promoting(service, answer)["verdict"] == "refused"
    assert promotions(service) == []


def test_a_promotion_that_asks_nobody_is_none(service: Service) -> None:
    said = promoting(service, approval_task="")
    assert "nobody was asked" in said["failed"]["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        approval.question("another.joblib", "prd", None),
        approval.question("another.joblib", "prd", "what is served no more.joblib"),
        "",
        "Promote it?",
    ],
)
def test_what_is_promoted_is_what_was_approved(service: Service, asked: str) -> None:
    said = promoting(service, asked=asked)
    assert said["verdict"] == "refused"
    assert "what was approved is" in said["failed"]["detail"]
    assert promotions(service) == []


def test_what_is_replaced_is_what_the_approver_was_shown(service: Service) -> None:
    """It was asked while nothing was served; then prd has trained a model of its own."""
    run = {"model": "m", "environment": "prd"}
    asked = approval.question("m", "prd", None)
    assert asked != approval.question("m", "prd", publish(service.registry, "prd").model_filename)
    answer = msgspec.structs.replace(APPROVED, question=asked)
    with pytest.raises(Refused, match="Look at it, then ask for it anew"):
        approvals.approved(answer, Run(run, "bob", "manual"), approval.question("m", "prd", "served"), Rules())


def test_an_approval_counts_once(service: Service) -> None:
    """Somebody clears the promotion alone, after a rollback: the approver was not asked about that."""
    assert promoting(service)["verdict"] == "recorded"
    served = service.registry.served("prd")
    assert served is not None
    revoke(service.registry, served.model_filename, DecisionContext("ada", "it is bad"))
    model = publish(service.registry, "dev")
    service.tries("success", "running", task_id="promote_model", dag_id=PROMOTE)
    given = {"dag_id": PROMOTE, "environment": "prd", "approval_task": "approve"}
    container = service.container(2, task_id="promote_model", **given)
    asked = approval.question(model.model_filename, "prd", None)
    answered = msgspec.structs.replace(APPROVED, question=asked)
    service.airflow.answers[service.task("approve", PROMOTE)] = answered
    proposal = PromotionProposal(model_filename=model.model_filename, reason="again", libraries={"a": "1"})
    service.leave(container, proposal, "promote_model", dag_id=PROMOTE)
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "refused"
    assert "counts once" in said["failed"]["detail"]
    assert len(promotions(service)) == 1


def test_only_those_who_may_approve() -> None:
    run = Run({"model": "m", "environment": "prd"}, "bob", "manual")
    for rules in (Rules(), Rules(approvers=("ada", "eve"))):
        assert approvals.approved(APPROVED, run, "", rules).by == "ada"
    with pytest.raises(Refused, match="not one of BULKHEAD_APPROVERS"):
        approvals.approved(APPROVED, run, "", Rules(approvers=("eve",)))


def test_with_four_eyes_who_asked_does_not_approve(service: Service) -> None:
    service.registrar.conclusions.rules = Rules(four_eyes=True)
    said = promoting(service, user="ada")
    assert "BULKHEAD_FOUR_EYES" in said["failed"]["detail"]
    assert promotions(service) == []


def test_a_rollback_is_by_whom_asked_for_the_run(service: Service) -> None:
    first = publish(service.registry, "prd")
    publish(service.registry, "prd")
    service.airflow.runs[ROLLBACK, RUN] = Run({}, "bob", "manual")
    service.tries("running", task_id="rollback_model", dag_id=ROLLBACK)
    container = service.container(task_id="rollback_model", dag_id=ROLLBACK, environment="prd")
    service.leave(container, RollbackProposal(reason="r", by="mallory"), "rollback_model", dag_id=ROLLBACK)
    assert service.ask("/conclude", {"container": container})["facts"]["model_filename"] == first.model_filename
    assert lines_of(service.registry.training_journal)[-1]["by"] == "bob"


@pytest.mark.parametrize(
    ("answer", "outcome", "by"),
    [
        (msgspec.structs.replace(APPROVED, chosen=["Reject"], state="running"), "rejected", "ada"),
        (msgspec.structs.replace(APPROVED, is_answered=False, chosen=[], by=None, state="running"), "expired", None),
    ],
)
def test_what_was_not_approved_leaves_one_record(
    service: Service, answer: Answer, outcome: str, by: str | None
) -> None:
    identity = Identity(dag_id=PROMOTE, run_id=RUN, task_id="approve", try_number=1, map_index=-1)
    conf = {"model": "m.joblib", "environment": "prd", "reason": "two\nlines" + "x" * 5000}
    service.airflow.runs[PROMOTE, RUN] = Run(conf, "bob", "manual")
    service.airflow.answers[service.task("approve", PROMOTE)] = answer
    request = {"identity": msgspec.to_builtins(identity), "try_id": try_id(90)}
    assert service.ask("/unapproved", request)["is_new"]
    assert not service.ask("/unapproved", request)["is_new"]
    another = {"identity": msgspec.to_builtins(identity) | {"try_number": 7}, "try_id": try_id(90)}
    assert not service.ask("/unapproved", another)["is_new"]
    (line,) = lines_of(service.registry.training_journal)
    assert (line["outcome"], line["by"], line["requested_by"], line["model_filename"]) == (
        outcome,
        by,
        "bob",
        "m.joblib",
    )
    assert line["reason"].startswith("two\\nlines")


def test_what_was_approved_or_never_asked_is_no_rejection(service: Service) -> None:
    identity = Identity(dag_id=PROMOTE, run_id=RUN, task_id="approve", try_number=1, map_index=-1)
    request = {"identity": msgspec.to_builtins(identity), "try_id": try_id(90)}
    with pytest.raises(Refusal):
        service.ask("/unapproved", request)
    service.airflow.runs[PROMOTE, RUN] = Run({"model": "m"}, "bob", "manual")
    open_question = msgspec.structs.replace(APPROVED, is_answered=False, chosen=[], by=None, state="awaiting_input")
    for answer in (APPROVED, open_question):
        service.airflow.answers[service.task("approve", PROMOTE)] = answer
        with pytest.raises(Refusal):
            service.ask("/unapproved", request)
    assert lines_of(service.registry.training_journal) == []
