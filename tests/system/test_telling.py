"""A run tells what it did: in its log, its note, its links, to whoever is notified, and as metrics."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.system.conftest import SECRET

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = pytest.mark.system


def note(stack: Stack, dag_id: str, run_id: str, wanted: str) -> str:
    """The run's note, once it has what is wanted."""
    deadline = time.monotonic() + 30
    while True:
        found = stack.airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["note"] or ""
        if wanted in found or time.monotonic() > deadline:
            return str(found)
        time.sleep(0.5)


def links(stack: Stack, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
    path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/links"
    deadline = time.monotonic() + 20
    while True:
        found = {name: link for name, link in stack.airflow.request("GET", path)["extra_links"].items() if link}
        if found or time.monotonic() > deadline:  # they come after the task's end
            return found
        time.sleep(0.5)


def answers(stack: Stack, path: str) -> bool:
    """Whether one of Bulkhead's pages is there."""
    return stack.airflow.request("GET", path.replace("/bulkhead/", "/bulkhead/api/v1/", 1)) is not None


def log_of(stack: Stack, dag_id: str, run_id: str, task_id: str) -> str:
    """The task's log, once Airflow has ended it."""
    deadline = time.monotonic() + 30
    while True:
        found = stack.task_log(dag_id, quote(run_id, safe=""), task_id)
        if "Post Execute" in found or time.monotonic() > deadline:
            time.sleep(1)
            return stack.task_log(dag_id, quote(run_id, safe=""), task_id)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def trained(stack: Stack) -> tuple[str, str]:
    """A training's run and its model file."""
    # Whatever prd serves by then.
    run_id, state = stack.run("prd_train_model_dag", {"source": "sample", "allow_signature_change": True})
    assert state == "success", stack.trainings(run_id)
    return run_id, str(stack.trainings(run_id)[0]["model_filename"])


def test_a_training_says_what_it_published(stack: Stack, trained: tuple[str, str]) -> None:
    run_id, file = trained
    assert log_of(stack, "prd_train_model_dag", run_id, "train_model").count("published ") == 1
    said = note(stack, "prd_train_model_dag", run_id, "published")
    assert said.startswith("published ")
    assert " rows" in said
    assert "`" not in said
    assert links(stack, "prd_train_model_dag", run_id, "train_model") == {"Model": f"/bulkhead/models/{file}"}
    assert answers(stack, f"/bulkhead/models/{file}")


def test_an_inference_says_how_many_predictions_it_made(stack: Stack, trained: tuple[str, str]) -> None:
    run_id, state = stack.run("prd_inference_pipe_dag", {"source": "sample"}, run_id="an+inference:1")
    assert state == "success"
    assert note(stack, "prd_inference_pipe_dag", run_id, "predictions").startswith("20 predictions by ")
    assert links(stack, "prd_inference_pipe_dag", run_id, "model_inference") == {
        "Model": f"/bulkhead/models/{trained[1]}",
        "Predictions": "/bulkhead/inferences?run_id=an%2Binference%3A1",
    }


def test_a_refusal_is_told_once_without_a_stack_and_to_whoever_is_notified(stack: Stack) -> None:
    (stack.inputs / "bad.csv").write_text("feature1,feature2,target\n1,2,x\n")
    run_id, state = stack.run("prd_train_model_dag", {"source": "bad.csv"})
    assert state == "failed"
    log = log_of(stack, "prd_train_model_dag", run_id, "preprocessing")
    assert log.count("preprocessing: refused: ") == 1
    assert "Traceback" not in log
    assert "error_detail" not in log
    said = note(stack, "prd_train_model_dag", run_id, "refused")
    assert said.strip("` ").startswith("preprocessing: refused: ")
    assert links(stack, "prd_train_model_dag", run_id, "preprocessing") == {
        "Failure": f"/bulkhead/failures?{'run_id=' + quote(run_id, safe='')}"
    }
    [told] = stack.told("webhook", run_id)
    body = json.loads(told["body"])
    expected = hmac.new(SECRET.encode(), told["body"].encode(), hashlib.sha256).hexdigest()
    assert told["signature"] == f"sha256={expected}"
    assert (body["event"], body["environment"], body["model"], body["try"]) == ("failure", "prd", "model", 1)
    assert body["sentence"].startswith("preprocessing: refused: ")
    assert body["link"].endswith(f"/dags/prd_train_model_dag/runs/{quote(run_id)}/tasks/preprocessing")
    [mail] = stack.told("mail", run_id)
    assert mail["to"] == "ops@example.org"
    assert "prd model: failed" in mail["subject"]
    assert "preprocessing: refused: " in mail["text"]


def test_a_receiver_that_hangs_ends_no_run_otherwise_and_is_not_waited_for_long(stack: Stack) -> None:
    (stack.inputs / "bad.csv").write_text("feature1,feature2,target\n1,2,x\n")
    run_id, state = stack.run("prd_train_model_dag", {"source": "bad.csv"}, run_id="hang-me")
    assert state == "failed"
    deadline = time.monotonic() + 60
    log = ""
    while "not told by webhook" not in log and time.monotonic() < deadline:
        log = stack.task_log("prd_train_model_dag", run_id, "preprocessing")
        time.sleep(0.5)
    assert "not told by webhook: failure: no answer within 8 s" in log
    assert "told by mail: failure" in log
    [failure] = [one for one in stack.trainings(run_id) if "error_timestamp" in one]
    assert failure["cause"] == "refused"
    assert "preprocessing: refused: " in note(stack, "prd_train_model_dag", run_id, "refused")


def test_a_refusal_by_the_gate_is_an_event_of_its_own(stack: Stack) -> None:
    (stack.models / "gate.toml").write_text("[prd.model.r2]\nlimit = 2.0\n")
    try:
        run_id, state = stack.run("prd_train_model_dag", {"source": "sample"})
    finally:
        (stack.models / "gate.toml").unlink()
    assert state == "failed"
    [told] = stack.told("webhook", run_id)
    assert json.loads(told["body"])["event"] == "gate"
    assert "gate.toml" in note(stack, "prd_train_model_dag", run_id, "gate.toml")


def test_a_persons_note_stays(stack: Stack) -> None:
    run_id = stack.airflow.trigger("dev_train_model_dag", {"source": "sample"}, "noted")
    stack.airflow.request(
        "PATCH", f"/api/v2/dags/dev_train_model_dag/dagRuns/{run_id}?update_mask=note", {"note": "mine"}
    )
    *_, (state, _) = stack.airflow.states("dev_train_model_dag", run_id)
    assert state == "success"
    said = note(stack, "dev_train_model_dag", run_id, "published")
    assert said.startswith("mine\n\npublished ")


def test_a_promotion_and_a_revocation_say_what_they_did(stack: Stack) -> None:
    train_id, state = stack.run("dev_train_model_dag", {"source": "sample"})
    assert state == "success"
    file = stack.trainings(train_id)[0]["model_filename"]
    conf = {"model": file, "environment": "prd", "reason": "it is better"}
    stack.airflow.wait_for_dag("promote_model_dag")
    run_id = stack.airflow.trigger("promote_model_dag", conf)
    [told] = stack.told("webhook", run_id)
    asked = json.loads(told["body"])
    assert (asked["event"], asked["environment"], asked["model"]) == ("approval", "prd", "model")
    assert "Asked by admin: it is better" in asked["sentence"]
    assert asked["link"].endswith("/tasks/approve/required_actions")
    answer_path = (
        f"/api/v2/dags/promote_model_dag/dagRuns/{quote(run_id, safe='')}/taskInstances/approve/-1/hitlDetails"
    )
    stack.airflow.request("PATCH", answer_path, {"chosen_options": ["Approve"], "params_input": {}})
    *_, (state, _) = stack.airflow.states("promote_model_dag", run_id)
    assert state == "success"
    assert note(stack, "promote_model_dag", run_id, "promoted").startswith("promoted ")
    assert links(stack, "promote_model_dag", run_id, "promote_model") == {"Model": f"/bulkhead/models/{file}"}

    refused, state = stack.run("revoke_model_dag", {"model": file, "confirm": "another", "reason": "it was wrong"})
    assert state == "failed"
    assert "typed to confirm" in note(stack, "revoke_model_dag", refused, "typed to confirm")
    revoked, state = stack.run("revoke_model_dag", {"model": file, "confirm": file, "reason": "it was wrong"})
    assert state == "success"
    assert note(stack, "revoke_model_dag", revoked, "revoked").startswith("revoked ")
    record = next(one for one in stack.trainings(revoked) if "revocation_time" in one)
    assert (record["model_filename"], record["by"], record["reason"]) == (file, "admin", "it was wrong")


def test_steps_are_measured(stack: Stack, trained: tuple[str, str]) -> None:
    del trained
    tags = {"environment": "prd", "model": "model", "step": "train_model", "outcome": "success"}
    found = [one for one in stack.told("metric", "train_model", least=4) if one["tags"].items() >= tags.items()]
    by_name = {one["name"].removeprefix("airflow."): one for one in found}
    assert set(by_name) >= {
        "bulkhead.step.ended",
        "bulkhead.step.duration",
        "bulkhead.step.peak_memory_bytes",
    }
    assert by_name["bulkhead.step.ended"]["value"] == 1  # in one process, which has one try
    assert by_name["bulkhead.step.duration"]["value"] > 0
    assert by_name["bulkhead.step.peak_memory_bytes"]["value"] > 10 << 20


def test_the_registry_can_be_checked(stack: Stack) -> None:
    run_id, state = stack.run("check_registry_dag")
    assert state == "success"
    assert stack.told("webhook", run_id, least=0) == []


def test_the_navigation_and_the_menu_of_documentation_have_bulkhead(stack: Stack) -> None:
    plugins = stack.airflow.request("GET", "/api/v2/plugins")["plugins"]
    [views] = [one["external_views"] for one in plugins if one["name"] == "bulkhead_models"]
    assert [(one["name"], one["category"], one["url_route"]) for one in views] == [
        ("Bulkhead", None, "models"),
        ("Bulkhead", "docs", None),
    ]


def test_a_form_suggests_the_tables_that_are_there(stack: Stack) -> None:
    (stack.inputs / "suggested.csv").write_text("a\n1\n")
    deadline = time.monotonic() + 60
    suggested: Any = []
    while "suggested.csv" not in suggested and time.monotonic() < deadline:
        params = stack.airflow.request("GET", "/api/v2/dags/dev_train_model_dag/details")["params"]
        suggested = params["source"]["schema"].get("examples", [])
        time.sleep(1)
    assert suggested[0] == "sample"
    assert "suggested.csv" in suggested
