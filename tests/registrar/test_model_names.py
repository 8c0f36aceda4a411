"""The versions of two models are never mixed, and which model a step works for is never the step's own word."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.registrar.support import DAG, PROJECT, RUN, Service
from tests.support.project import lineage, lines_of, publish

from bulkhead.errors import Refused
from bulkhead.identity import Identity
from bulkhead.registry import approval
from bulkhead.registry.proposals import FailureProposal, InferenceProposal, PromotionProposal, RollbackProposal
from bulkhead.registry.records import InferenceRecord
from registrar import by_hand, containers
from registrar.airflow_records import Answer, Run

if TYPE_CHECKING:
    from bulkhead.registry.proposals import ModelProposal
    from bulkhead.registry.records import ModelRecord

PROMOTE, ROLLBACK = "promote_model_dag", "rollback_model_dag"


def version(service: Service, environment: str, name: str) -> ModelRecord:
    return publish(service.registry, environment, model_name=name)


def last(service: Service) -> dict[str, Any]:
    return lines_of(service.registry.training_journal)[-1]


def test_the_name_is_the_labels_whatever_the_step_writes(service: Service) -> None:
    service.tries("running")
    container = service.container(name="churn")
    service.leave(container, service.model(lineage=lineage(model_name="other")))
    said = service.ask("/conclude", {"container": container})
    assert said["facts"]["model_name"] == "churn"
    assert "published churn #1, r2" in said["sentence"]
    assert last(service)["model_name"] == "churn"
    assert service.registry.served("dev", "other") is None
    assert service.registry.served("dev") is None


@pytest.mark.parametrize("lie", [{"model_name": "model"}, {"environment": "prd"}])
def test_a_step_that_ran_for_something_else_than_airflow_was_told_is_refused(
    lie: dict[str, str], service: Service
) -> None:
    service.tries("running")
    container = service.container(name="churn")
    service.leave(container, service.model(), **lie)
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "refused"
    assert "and Airflow asked for dev churn" in said["failed"]["detail"]


@pytest.mark.parametrize(
    "lie",
    [{"serve": False}, {"allow_unmeasured": True}, {"allow_signature_change": True}],
    ids=lambda lie: next(iter(lie)),
)
def test_what_a_run_allows_is_its_forms_to_say_and_not_the_steps(lie: dict[str, Any], service: Service) -> None:
    service.tries("running")
    container = service.container(name="churn")
    service.leave(container, service.model(**lie))
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "refused"
    assert "and was told" in said["failed"]["detail"]


def test_what_a_run_allows_is_in_its_command(service: Service) -> None:
    service.tries("running")
    container = service.container(name="churn")
    service.launcher.containers[container]["Config"]["Cmd"] += ["--serve=false", "--allow-unmeasured=True"]
    service.leave(container, service.model(serve=False, allow_unmeasured=True))
    assert service.ask("/conclude", {"container": container})["verdict"] == "recorded"
    assert last(service)["serve"] is False


def test_a_container_of_before_models_had_names_works_for_the_one_that_comes_with_the_project(
    service: Service,
) -> None:
    service.tries("running")
    container = service.container()
    service.leave(container, service.model(lineage=lineage(model_name="other")))
    service.ask("/conclude", {"container": container})
    assert last(service)["model_name"] == "model"


def test_by_hand_the_name_is_what_the_step_was_started_with_whatever_it_writes(service: Service) -> None:
    container = service.container()
    who = Identity(dag_id=DAG, run_id=RUN, task_id="train_model")
    given: dict[str, Any] = {"journal": "training", "environment": "dev", "identity": who, "by": None}

    def recorded(proposal: ModelProposal | FailureProposal) -> dict[str, Any]:
        service.leave(container, proposal)
        folder = service.run_folder()
        step: dict[str, Any] = {"step": "train_model", "container": container, "model_name": "churn"}
        by_hand.record(service.registry, folder, **step, **given)
        return last(service)

    assert recorded(service.model(lineage=lineage(model_name="other")))["model_name"] == "churn"
    assert recorded(FailureProposal(cause="refused", detail="no"))["model_name"] == "churn"


@pytest.mark.parametrize("name", ["", "Churn", "../x", "parameters", "x" * 41, "churn\n"])
def test_a_label_that_is_no_name_is_no_container_of_a_step(service: Service, name: str) -> None:
    made = service.container(name=name)
    with pytest.raises(Refused, match="has no labels of a step"):
        containers.parse(service.launcher.containers[made], PROJECT)


def promoted(service: Service, model: ModelRecord, served: str | None) -> Any:
    """Conclude the promotion of ``model``, approved in place of ``served``; its label says nothing of its name."""
    service.airflow.runs[PROMOTE, RUN] = Run({"model": model.model_filename, "environment": "prd"}, "bob", "manual")
    asked = approval.question(model.model_filename, "prd", served)
    answer = Answer(["Approve"], "ada", is_answered=True, try_id="a", state="success", question=asked)
    service.airflow.answers[service.task("approve", PROMOTE)] = answer
    service.tries("running", task_id="promote_model", dag_id=PROMOTE)
    given: dict[str, Any] = {"dag_id": PROMOTE, "environment": "prd", "approval_task": "approve"}
    container = service.container(task_id="promote_model", **given)
    proposal = PromotionProposal(model_filename=model.model_filename, reason="better", libraries={"a": "1"})
    service.leave(container, proposal, "promote_model", dag_id=PROMOTE)
    return service.ask("/conclude", {"container": container})


def test_a_promotion_replaces_what_is_served_of_its_own_model(service: Service) -> None:
    ours, theirs = version(service, "prd", "churn"), version(service, "prd", "model")
    new = version(service, "dev", "churn")
    said = promoted(service, new, ours.model_filename)
    assert said["verdict"] == "recorded", said
    assert said["facts"]["model_name"] == "churn"
    served = {name: service.registry.served("prd", name) for name in ("churn", "model")}
    assert {name: one and one.model_filename for name, one in served.items()} == {
        "churn": new.model_filename,
        "model": theirs.model_filename,
    }


def test_what_was_approved_in_place_of_another_model_is_not_promoted(service: Service) -> None:
    version(service, "prd", "churn")
    theirs = version(service, "prd", "model")
    said = promoted(service, version(service, "dev", "churn"), theirs.model_filename)
    assert said["verdict"] == "refused"
    assert "what was approved is" in said["failed"]["detail"]


def rolled_back(service: Service, name: str, to: str | None = None) -> Any:
    service.airflow.runs[ROLLBACK, RUN] = Run({}, "bob", "manual")
    service.tries("running", task_id="rollback_model", dag_id=ROLLBACK)
    container = service.container(task_id="rollback_model", dag_id=ROLLBACK, environment="prd", name=name)
    service.leave(container, RollbackProposal(reason="r", to=to), "rollback_model", dag_id=ROLLBACK)
    return service.ask("/conclude", {"container": container})


def test_a_rollback_takes_back_the_version_of_its_own_model(service: Service) -> None:
    first = version(service, "prd", "churn")
    version(service, "prd", "churn")
    theirs = version(service, "prd", "model")
    assert rolled_back(service, "churn")["facts"]["model_filename"] == first.model_filename
    assert [one and one.model_filename for one in map(service.registry.served, ["prd"] * 2, ["churn", "model"])] == [
        first.model_filename,
        theirs.model_filename,
    ]


def test_a_rollback_to_another_models_version_is_refused(service: Service) -> None:
    version(service, "prd", "churn")
    version(service, "prd", "churn")
    theirs = version(service, "prd", "model")
    said = rolled_back(service, "churn", theirs.model_filename)
    assert said["verdict"] == "refused"
    assert "is a version of the model model, not of churn" in said["failed"]["detail"]


def test_an_inference_with_another_models_version_is_refused(service: Service) -> None:
    model = version(service, "dev", "model")
    service.tries("running", task_id="model_inference")
    container = service.container(task_id="model_inference", journal="inference", name="churn")
    service.leave(container, predicted(service, model), "model_inference")
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "refused"
    assert "is a version of the model model, and this run is for churn" in said["failed"]["detail"]


def predicted(service: Service, model: ModelRecord) -> InferenceProposal:
    content = b"predictions"
    (service.run_folder() / "predictions_1.parquet").write_bytes(content)
    record = InferenceRecord(
        inference_time="2026-01-01T00:00:00+00:00",
        environment="dev",
        inference_data="shared/inputs/t.csv",
        model_used=model.model_filename,
        predictions=[1.0],
        rows=1,
        model_hash=model.model_hash,
        model_sha256=model.sha256,
        output_sha256=hashlib.sha256(content).hexdigest(),
    )
    return InferenceProposal(record=record, path="predictions_1.parquet")
