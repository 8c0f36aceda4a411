"""Failed attempts have one record each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.registrar.support import DAG, Service, try_id
from tests.support.project import lines_of

from bulkhead.registry.proposals import FailureProposal
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
