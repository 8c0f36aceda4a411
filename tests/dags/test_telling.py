"""Who is told of a task's end, and what its log, its links and its figures say, in the Airflow image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.dags.described import describe, in_image

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return in_image("notify_once.py", mounts=())


def test_a_failure_is_told_with_its_sentence_and_where_it_is(said: dict[str, Any]) -> None:
    [told] = said["failure"]
    assert (told["event"], told["environment"], told["model"], told["try"]) == ("failure", "prd", "churn", 2)
    assert told["sentence"].startswith("train_model: crashed: {{ 1 + 1 }} <b>x</b>")
    run = "manual__2026-01-01T00%3A00%3A00%2B00%3A00"
    assert told["link"] == f"http://here.example:8080/below/dags/d/runs/{run}/tasks/train_model"


def test_a_mail_says_the_same_and_what_others_wrote_is_text(said: dict[str, Any]) -> None:
    [mail] = said["mails"]
    assert mail["subject"] == "Bulkhead: prd churn: failed (train_model)"
    assert mail["to"] == "a@example.org, b@example.org"
    assert "{{ 1 + 1 }} &lt;b&gt;x&lt;/b&gt;" in mail["text"]
    assert "<b>" not in mail["text"]


def test_each_end_is_the_event_that_it_is(said: dict[str, Any]) -> None:
    assert [one["event"] for one in said["gate"]] == ["gate"]
    assert said["person"] == said["superseded"] == said["no_drift"] == []
    assert [one["event"] for one in said["drift"]] == ["drift"]
    assert said["drift"][0]["sentence"].startswith("age, prediction drifted from what m.joblib was trained on")
    [asked] = said["approval"]
    assert (asked["event"], asked["model"]) == ("approval", "churn")
    assert asked["sentence"] == "Promote m.joblib to prd? Asked by ada: better"
    assert asked["link"].endswith("/required_actions")


def test_a_task_whose_process_was_lost_is_told_too(said: dict[str, Any]) -> None:
    assert "its process was lost" in said["lost"][0]["sentence"]
    assert said["unrendered"][0]["environment"] == ""


def test_a_mapped_task_is_told_with_its_index(said: dict[str, Any]) -> None:
    assert said["mapped"][0]["map_index"] == 3
    assert said["mapped"][0]["link"].endswith("/tasks/train_model/mapped/3")


def test_what_is_not_wanted_or_not_set_up_right_is_not_told_and_costs_nothing(said: dict[str, Any]) -> None:
    assert said["unwanted"] == said["wrong"] == []
    assert said["hung"] < 10


def test_links_lead_to_what_the_task_made(said: dict[str, Any]) -> None:
    assert said["are_links"]
    root = "/below/bulkhead"
    assert said["links"] == [
        {"Model": f"{root}/models/m%20x.joblib", "Predictions": "", "Failure": ""},
        {"Model": f"{root}/models/m.joblib", "Predictions": f"{root}/inferences?run_id=a%2Bb%3Ac", "Failure": ""},
        {"Model": "", "Predictions": "", "Failure": f"{root}/failures?run_id=a%2Bb%3Ac"},
        {"Model": "", "Predictions": "", "Failure": ""},
    ]


def test_airflows_stack_is_left_out_of_what_is_told_already_and_of_nothing_else(said: dict[str, Any]) -> None:
    assert said["logged"] == [
        ["bound before", False],
        ["after", False],
        ["Task failed with exception", True],
        ["after", False],
    ]


def test_a_steps_figures_are_airflows_metrics(said: dict[str, Any]) -> None:
    tags = {"environment": "prd", "model": "churn", "step": "train_model", "outcome": "success"}
    failed = {**tags, "outcome": "out_of_memory"}
    assert said["figures"] == [
        ["incr", "bulkhead.step.ended", 1, tags],
        ["timing", "bulkhead.step.duration", 2500.0, tags],
        ["gauge", "bulkhead.step.peak_memory_bytes", 123, tags],
        ["gauge", "bulkhead.step.rows", 7, tags],
        ["incr", "bulkhead.step.ended", 1, tags],
        ["gauge", "bulkhead.step.rows", 20, tags],
        ["incr", "bulkhead.step.ended", 1, failed],
        ["timing", "bulkhead.step.duration", 1500.0, failed],
        ["gauge", "bulkhead.step.peak_memory_bytes", 99, failed],
    ]


def test_a_registry_whose_logs_are_others_fails_its_check_and_is_an_event_of_its_own(said: dict[str, Any]) -> None:
    assert said["checks"] == ["passed", "log.txt is shorter than it was."]
    [told] = said["chain"]
    assert (told["event"], told["sentence"]) == ("chain", "log.txt is shorter than it was.")


def test_nobody_is_notified_and_nothing_is_checked_by_default(pytestconfig: pytest.Config) -> None:
    dags = describe(pytestconfig.rootpath / "dags")["dags"]
    assert {name for dag in dags.values() for task in dag["tasks"].values() for name in task["notified"]} == set()
    assert dags["check_registry_dag"]["cron"] is None


def test_every_step_and_approval_notifies_where_somebody_is_named(pytestconfig: pytest.Config) -> None:
    dags = describe(pytestconfig.rootpath / "dags", BULKHEAD_NOTIFY_WEBHOOK="https://hooks.example/x")["dags"]
    told = {name: task["notified"] for dag in dags.values() for name, task in dag["tasks"].items()}
    assert told.pop("approve") == ["ApprovalNotifier"]
    assert set(map(tuple, told.values())) == {("FailureNotifier", "DriftNotifier")}
    assert dags["check_registry_dag"]["cron"] == "17 * * * *"


@pytest.mark.parametrize(("cron", "made"), [("off", None), ("0 6 * * *", "0 6 * * *")])
def test_when_the_registry_is_checked_is_a_setting(pytestconfig: pytest.Config, cron: str, made: str | None) -> None:
    found = describe(
        pytestconfig.rootpath / "dags", BULKHEAD_NOTIFY_WEBHOOK="https://hooks.example/x", BULKHEAD_CHECK_REGISTRY=cron
    )
    assert found["dags"]["check_registry_dag"]["cron"] == made


ONE_STEP = """
from airflow.sdk import DAG
from bulkhead_airflow import StepOperator

with DAG("one_dag", schedule=None):
    StepOperator(
        task_id="profile", image="trainer", journal="training", environment="dev", on_failure_callback=print
    )
    StepOperator.partial(task_id="mapped", image="trainer", journal="training", environment="dev").expand(
        flags=[{"a": "1"}, {"a": "2"}]
    )
"""


def test_a_dags_own_callbacks_stay_and_mapped_steps_have_links_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "one.py").write_text(ONE_STEP)
    found = describe(tmp_path, BULKHEAD_NOTIFY_WEBHOOK="https://hooks.example/x")
    assert found["errors"] == {}
    tasks = found["dags"]["one_dag"]["tasks"]
    assert tasks["profile"]["notified"] == ["builtin_function_or_method", "FailureNotifier", "DriftNotifier"]
    assert tasks["mapped"]["links"] == tasks["profile"]["links"] == ["Model", "Predictions", "Failure"]


def test_a_form_suggests_the_tables_that_are_mounted(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "no\ntable.csv").write_text("a\n1\n")
    mount = ("-v", f"{tmp_path}:/opt/airflow/shared/inputs:ro")
    dags = describe(pytestconfig.rootpath / "dags", *mount)["dags"]
    assert dags["dev_train_model_dag"]["params"]["source"]["examples"] == ["sample", "a.csv"]
    assert dags["prd_inference_pipe_dag"]["params"]["source"]["examples"] == ["a.csv"]
