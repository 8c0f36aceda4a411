"""Failed attempts have one record each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.registrar.support import DAG, Service, try_id
from tests.support.project import lines_of, publish

from bulkhead.files import sha256
from bulkhead.registry.profiles import ColumnProfile, Drift, Profile
from bulkhead.registry.proposals import FailureProposal, InferenceProposal
from bulkhead.registry.records import LONGEST_SOURCE, InferenceRecord
from bulkhead.unix_http import Refusal


def failures(service: Service) -> list[dict[str, Any]]:
    return [line for line in lines_of(service.registry.training_journal) if "cause" in line]


def test_a_failure_is_recorded_once_for_each_try(service: Service) -> None:
    service.tries("failed", "running")
    assert service.fail(1)["is_new"]
    assert not service.fail(1, cause="killed")["is_new"]
    assert service.fail(2)["is_new"]
    assert [(one["try_number"], one["cause"], one["try_id"]) for one in failures(service)] == [
        (1, "crashed", try_id(1)),
        (2, "crashed", try_id(2)),
    ]


def test_a_container_says_whose_failure_it_is(service: Service) -> None:
    service.tries("failed", "running")
    container = service.container(1, state={"ExitCode": 137})
    service.fail(2, container)
    (one,) = failures(service)
    assert (one["try_number"], one["dag_id"], one["environment"]) == (1, DAG, "dev")


def test_a_failure_is_of_the_model_that_the_containers_label_names(service: Service) -> None:
    service.tries("running")
    container = service.container(1, name="churn", state={"ExitCode": 1})
    service.fail(1, container, name="another")
    assert failures(service)[0]["model_name"] == "churn"


def test_a_failure_without_a_container_is_of_the_model_that_is_asked_for(service: Service) -> None:
    service.tries("running")
    service.fail(1, name="churn", cause="refused")
    assert failures(service)[0]["model_name"] == "churn"


def test_the_metrics_of_a_refused_model_come_from_its_result(service: Service) -> None:
    service.tries("running")
    container = service.container(1, state={"ExitCode": 1})
    metrics = {"r2": 0.1, "gate": {"min_r2": 0.5}}
    service.leave(container, FailureProposal(cause="refused", detail="too low", metrics=metrics))
    service.fail(1, container, cause="refused", detail="too low")
    assert failures(service)[0]["metrics"] == metrics


def test_how_far_a_refused_inference_was_from_training_comes_from_its_result(service: Service) -> None:
    dag = "dev_inference_pipe_dag"
    column = ColumnProfile(kind="number", rows=10_000, edges=[0.0], shares=[0.5, 0.5])
    model = publish(service.registry, "dev", profile=Profile(rows=10_000, columns={"a": column}))
    (service.registry.folder / "gate.toml").write_text('[dev."*".drift]\nrefuse = 1\n')
    service.tries("running", task_id="model_inference", dag_id=dag)
    container = service.container(task_id="model_inference", dag_id=dag, journal="inference")
    (service.run_folder(dag) / "p.parquet").write_bytes(b"predicted")
    record = InferenceRecord(
        inference_time="2026-01-01T00:00:00+00:00",
        environment="dev",
        inference_data="shared/inputs/t.csv",
        model_used=model.model_filename,
        model_hash=model.model_hash,
        model_sha256=model.sha256,
        rows=90_000,
        output_sha256=sha256(b"predicted"),
        drift=Drift(rows=90_000, sampled=10_000, columns={"a": 1.5}),
    )
    service.leave(container, InferenceProposal(record=record, path="p.parquet"), "model_inference", dag_id=dag)
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "refused"
    assert "PSI of a 1.50, and drift.refuse for dev in models/gate.toml is 1." in said["failed"]["detail"]
    assert lines_of(service.registry.inference_journal) == []
    service.fail(1, container, **{key: said["failed"][key] for key in ("cause", "detail", "retry")})
    (line,) = lines_of(service.registry.inference_journal)
    assert (line["cause"], line["metrics"]["drift"]["columns"]) == ("refused", {"a": 1.5})


def first_step(service: Service, task_id: str, source: object, dag_id: str = DAG) -> None:
    """What the first step of the run has left, of the table that it has read."""
    facts = {"data": {"path": "shared/inputs/t.csv", "sha256": "0" * 64, "rows": 3, "source": source}}
    service.leave("", None, task_id, dag_id=dag_id, facts=facts)


def test_a_failure_names_the_table_that_its_container_was_told_to_read(service: Service) -> None:
    service.tries("running")
    container = service.container(1, flags=["--source=asked.csv"], state={"ExitCode": 137})
    first_step(service, "preprocessing", "a lie.csv")
    service.fail(1, container, cause="killed")
    assert failures(service)[0]["source"] == "asked.csv"


def test_a_failure_of_a_later_step_names_the_table_that_the_first_one_has_read(service: Service) -> None:
    service.tries("running", "running")
    first_step(service, "preprocessing", "read.csv")
    service.fail(1, service.container(1, state={"ExitCode": 137}), cause="killed")
    service.fail(2)  # its container is gone
    assert [one["source"] for one in failures(service)] == ["read.csv", "read.csv"]


def test_a_failure_of_an_inference_names_its_own_first_steps_table(service: Service) -> None:
    dag = "dev_inference_pipe_dag"
    service.tries("running", task_id="model_inference", dag_id=dag)
    container = service.container(task_id="model_inference", dag_id=dag, journal="inference", state={"ExitCode": 1})
    first_step(service, "generate_inf_data", "new.csv", dag)
    first_step(service, "preprocessing", "another.csv", dag)
    service.fail(1, container)
    (line,) = lines_of(service.registry.inference_journal)
    assert line["source"] == "new.csv"


@pytest.mark.parametrize("source", [None, 7, ["a"], {}])
def test_a_failure_names_no_table_that_nobody_has_named(service: Service, source: object) -> None:
    service.tries("running", "running")
    service.fail(1)
    first_step(service, "preprocessing", source)
    service.fail(2)
    assert [one["source"] for one in failures(service)] == [None, None]


def test_what_a_step_says_of_its_table_is_bounded_and_one_line(service: Service) -> None:
    service.tries("running", "running")
    first_step(service, "preprocessing", "two\nlines\x1b[31m\u202e" + "x" * 100_000)
    service.fail(1)
    service.fail(2, service.container(2, flags=["--source=" + "y\u202e" * 50_000]))
    for one in failures(service):
        assert one["source"].isprintable()
        assert len(one["source"]) <= LONGEST_SOURCE * 6
    assert failures(service)[0]["source"].startswith("two\\nlines\\x1b[31m\\u202e")


def test_a_failure_of_a_try_that_airflow_does_not_know_is_none(service: Service) -> None:
    assert service.fail(1)["is_new"] is False
    assert failures(service) == []


@pytest.mark.parametrize("tells", ["the container", "none"])
def test_a_try_that_has_succeeded_did_not_fail_whoever_says_so(service: Service, tells: str) -> None:
    service.tries("running")
    container = service.trained()
    service.ask("/conclude", {"container": container})
    said = service.fail(1, container if tells == "the container" else None, detail="forged")
    assert not said["is_new"]
    assert failures(service) == []


def test_a_step_without_an_outcome_that_airflow_took_for_a_success_did_not_fail(service: Service) -> None:
    service.tries("success")
    assert not service.fail(1, detail="forged")["is_new"]
    assert failures(service) == []


def test_what_is_told_is_bounded_and_one_line(service: Service) -> None:
    service.tries("running")
    evidence = {"last_lines": ["x" * 100_000] * 1000, "exit_code": 1}
    service.fail(1, cause="c" * 10_000, detail="two\nlines\x1b[31m" + "x" * 100_000, evidence=evidence)
    (one,) = failures(service)
    assert one["detail"].startswith("two\\nlines\\x1b[31m")
    assert len(str(one)) < 200_000


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "staging"},
        {"model_name": "../x"},
        {"journal": "gate.toml"},
        {"try_id": "1; DROP TABLE head"},
        {"failed": {}},
    ],
    ids=str,
)
def test_a_request_that_is_none_is_refused(service: Service, changes: dict[str, Any]) -> None:
    identity = {"dag_id": DAG, "run_id": "r", "task_id": "t", "try_number": 1}
    request = {
        "container": None,
        "identity": identity,
        "try_id": try_id(1),
        "environment": "dev",
        "journal": "training",
        "failed": {"cause": "c", "detail": "d"},
    }
    with pytest.raises(Refusal):
        service.ask("/fail", {**request, **changes})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/look", b"", 400),
        ("POST", "/look", b"[" * 50_000, 400),
        ("POST", "/conclude", b"\xff", 400),
        ("GET", "/look", b"", 404),
        ("POST", "/", b"{}", 404),
        ("POST", "/accept", b"{}", 404),
    ],
)
def test_what_is_no_question_is_told(service: Service, method: str, path: str, body: bytes, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        service.ask(path, body, method)
    assert caught.value.status == status


def test_health_and_chain_answer(service: Service) -> None:
    assert service.ask("/health", b"", "GET")["state"] == "ready"
    assert service.ask("/chain", b"", "GET") == {"training": None, "inference": None}
