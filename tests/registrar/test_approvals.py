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
from bulkhead.registry.proposals import PromotionProposal, RevocationProposal, RollbackProposal
from bulkhead.unix_http import Refusal
from registrar import approvals
from registrar.airflow_records import Answer, Run
from registrar.approvals import Rules

PROMOTE, ROLLBACK, REVOKE = "promote_model_dag", "rollback_model_dag", "revoke_model_dag"
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


def revoking(service: Service, *flags: str) -> Any:
    """Conclude the revocation of what prd serves; returns the answer and the file."""
    model = publish(service.registry, "prd").model_filename
    service.airflow.runs[REVOKE, RUN] = Run({}, "bob", "manual")
    service.tries("running", task_id="revoke_model", dag_id=REVOKE)
    told = [flag.format(model=model) for flag in flags]
    container = service.container(task_id="revoke_model", dag_id=REVOKE, environment="prd", flags=told)
    proposal = RevocationProposal(model_filename=model, reason="r", by="mallory")
    service.leave(container, proposal, "revoke_model", dag_id=REVOKE)
    return service.ask("/conclude", {"container": container}), model, container


def test_a_revocation_is_by_whom_asked_for_the_run_and_is_one_outcome(service: Service) -> None:
    said, model, container = revoking(service, "--model={model}", "--confirm={model}")
    assert (said["verdict"], said["facts"]["model_filename"]) == ("recorded", model)
    line = lines_of(service.registry.training_journal)[-1]
    assert (line["model_filename"], line["by"], line["first_try"]) == (model, "bob", try_id(1))
    again = service.ask("/conclude", {"container": container})
    assert (again["verdict"], again["facts"]["model_filename"]) == ("adopted", model)
    assert len(lines_of(service.registry.training_journal)) == 2
    key = service.task("revoke_model", REVOKE)
    looked = service.ask("/look", {"try_id": try_id(1), **msgspec.to_builtins(key)})
    assert looked["outcome"]["facts"]["model_filename"] == model


@pytest.mark.parametrize("flags", [(), ("--model={model}",), ("--model={model}", "--confirm=another.joblib")])
def test_a_revocation_that_nobody_has_confirmed_is_not_recorded(service: Service, flags: tuple[str, ...]) -> None:
    said, _, _ = revoking(service, *flags)
    assert said["verdict"] == "refused"
    assert len(lines_of(service.registry.training_journal)) == 1


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


def test_a_question_names_both_models_by_short_name_and_file(service: Service) -> None:
    candidate, served = publish(service.registry, "dev"), publish(service.registry, "prd")
    asked = approval.asked(candidate, "prd", served)
    assert asked == (
        f"Promote model #1 ({candidate.model_filename}) to prd, in place of model #2 ({served.model_filename})?"
    )
    assert approval.model_in(asked) == candidate.model_filename
    assert approval.model_in(approval.question("m.joblib", "prd", None)) == "m.joblib"
    assert [approval.model_in(text) for text in ("", "Promote it?", "Promote  to prd")] == [None] * 3
    older = msgspec.structs.replace(candidate, version=None)
    assert approval.asked(older, "prd", None) == approval.question(candidate.model_filename, "prd", None)


@pytest.mark.parametrize("asking", ["by names", "by files"])
def test_a_question_counts_by_short_names_and_by_files_alone(service: Service, asking: str) -> None:
    """A question that was asked before an update is answered after it."""
    model = publish(service.registry, "dev")
    by_files = approval.question(model.model_filename, "prd", None)
    asked = approval.asked(model, "prd", None) if asking == "by names" else by_files
    service.airflow.runs[PROMOTE, RUN] = Run({"model": "model #1", "environment": "prd"}, "bob", "manual")
    service.airflow.answers[service.task("approve", PROMOTE)] = msgspec.structs.replace(APPROVED, question=asked)
    service.tries("running", task_id="promote_model", dag_id=PROMOTE)
    container = service.container(task_id="promote_model", dag_id=PROMOTE, environment="prd", approval_task="approve")
    proposal = PromotionProposal(model_filename=model.model_filename, reason="better", libraries={"a": "1"})
    service.leave(container, proposal, "promote_model", dag_id=PROMOTE)
    said = service.ask("/conclude", {"container": container})
    assert said["sentence"] == "promoted model #1 to prd, approved by ada"


def test_a_question_with_another_short_name_is_another_question(service: Service) -> None:
    model = publish(service.registry, "dev")
    lied = approval.asked(msgspec.structs.replace(model, version=7), "prd", None)
    assert "model #7" in lied
    answer = msgspec.structs.replace(APPROVED, question=lied)
    with pytest.raises(Refused, match="what was approved is"):
        approvals.approved(answer, Run({}, "bob", "manual"), approval.asked(model, "prd", None), Rules())


@pytest.mark.parametrize("said", ["model #1", "#1", "hash", "file"])
def test_a_rejection_names_the_file_whatever_the_form_says(service: Service, said: str) -> None:
    model = publish(service.registry, "dev")
    given = {"hash": model.model_hash[:8], "file": model.model_filename}.get(said, said)
    task = service.task("approve", PROMOTE)
    service.airflow.runs[PROMOTE, RUN] = Run({"model": given, "environment": "prd", "reason": "r"}, "bob", "manual")
    rejected = msgspec.structs.replace(APPROVED, chosen=["Reject"])
    asked = msgspec.structs.replace(rejected, question=approval.asked(model, "prd", None))
    for answer in (rejected, asked):
        made = approvals.rejection(task, answer, service.airflow.runs[PROMOTE, RUN], service.registry)
        assert made.model_filename == model.model_filename
    publish(service.registry, "dev", model_name="churn")  # and another that has a first version
    made = approvals.rejection(task, asked, service.airflow.runs[PROMOTE, RUN], service.registry)
    assert made.model_filename == model.model_filename


@pytest.mark.parametrize("said", ["churn #9", "", "nobody", "x" * 500])
def test_a_rejection_of_what_is_no_model_says_what_was_asked_for(service: Service, said: str) -> None:
    publish(service.registry, "dev")
    answer = msgspec.structs.replace(APPROVED, chosen=["Reject"])
    made = approvals.rejection(service.task(), answer, Run({"model": said}, "bob", "manual"), service.registry)
    assert made.model_filename[:100] == said[:100]


def test_publishing_what_was_revoked_is_told_in_the_sentence(service: Service) -> None:
    service.tries("success", "running")
    first = service.ask("/conclude", {"container": service.trained(2)})
    assert "Warning" not in first["sentence"]
    name = first["facts"]["model_filename"]
    revoke(service.registry, name, DecisionContext("ada", "leaked"))
    service.airflow.tasks.clear()
    service.tries("running", task_id="train_model_again")
    container = service.container(task_id="train_model_again", command="train_model")
    service.leave(container, service.model(), "train_model_again")
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "recorded"
    assert f"Warning: model #2 ({said['facts']['model_filename']}) holds the same model as {name}" in said["sentence"]
