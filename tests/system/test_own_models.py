"""A model of a user's beside the one in the box, on one stack: DAGs, forms, versions, schedules of its own."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from airflow_client import AirflowError
from tests.faults.support import wait_until
from tests.system.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.support import Stack

pytestmark = pytest.mark.system

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05")


@pytest.fixture(scope="module")
def customers(stack: Stack) -> str:
    """The table of the example: 4,000 customers; and one for each of five days."""
    for name, rows, seed in (("churn.csv", 4000, 0), *((f"{day}.csv", 1000, int(day[-2:])) for day in DAYS)):
        command = [sys.executable, str(ROOT / "examples/churn/make_table.py"), str(rows), str(seed)]
        made = subprocess.run(command, capture_output=True, check=True).stdout
        (stack.inputs / name).write_bytes(made)
    return "churn.csv"


def served(stack: Stack, name: str, environment: str = "prd") -> str | None:
    """What the stack's own API says that ``environment`` serves of the model ``name``."""
    found = stack.airflow.request("GET", "/bulkhead/api/v1/environments")["environments"]
    versions = (one["served"] for one in found if (one["environment"], one["name"]) == (environment, name))
    return next((version["model_filename"] for version in versions if version), None)


def test_two_models_side_by_side_keep_their_versions_and_predictions_apart(stack: Stack, customers: str) -> None:
    first: dict[str, str] = {}
    for environment in ("dev", "prd"):
        run_id, state = stack.run(f"{environment}_churn_train_model_dag", {"source": customers, "leaves": 7})
        assert state == "success"
        (record,) = stack.trainings(run_id)
        assert (record["model_name"], record["environment"], record["problem"]) == ("churn", environment, "binary")
        assert record["parameters"]["leaves"] == 7
        first[environment] = record["model_filename"]
    own, state = stack.run("prd_train_model_dag", {"source": "sample"})
    assert state == "success"
    assert served(stack, "churn") == first["prd"]
    assert served(stack, "model") == stack.trainings(own)[0]["model_filename"]

    run_id, state = stack.run("prd_churn_inference_pipe_dag", {"source": customers})
    assert state == "success"
    (predicted,) = stack.inferences(run_id)
    assert (predicted["model_used"], predicted["model_name"]) == (first["prd"], "churn")
    frame = pd.read_parquet(stack.folder / predicted["predictions_path"])
    assert list(frame.columns) == ["customer", "prediction", "probability_no", "probability_yes"]

    second, state = stack.run("prd_churn_train_model_dag", {"source": customers, "leaves": 9})
    assert state == "success"
    back = {"environment": "prd", "name": "churn", "reason": "odd"}
    run_id, state = stack.run("rollback_model_dag", back)
    assert state == "success"
    assert served(stack, "churn") == first["prd"] != stack.trainings(second)[0]["model_filename"]
    assert served(stack, "model") == stack.trainings(own)[0]["model_filename"]


def test_a_dag_of_the_users_own_runs_a_step_of_the_users_model(stack: Stack, customers: str) -> None:
    assert customers
    run_id, state = stack.run("own_dag")
    assert state == "success"
    result = stack.airflow.request(
        "GET", f"/api/v2/dags/own_dag/dagRuns/{run_id}/taskInstances/preprocessing/xcomEntries/return_value"
    )
    assert "signed_up" in str(result["value"])


def test_a_version_of_the_other_model_is_refused_by_name(stack: Stack) -> None:
    other = served(stack, "model")
    run_id, state = stack.run("prd_churn_inference_pipe_dag", {"source": "churn.csv", "model": other})
    assert state == "failed"
    (failure,) = stack.inferences(run_id)
    assert (failure["cause"], failure["model_name"]) == ("refused", "churn")
    assert "is a version of the model model" in failure["error_message"]


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"source": "churn.csv", "leaves": 1}, "leaves"),
        ({"source": "churn.csv", "learning_rate": "quick"}, "learning_rate"),
        ({}, "source"),
        ({"source": "x" * 600}, "source"),
    ],
)
def test_a_form_takes_what_the_struct_says(conf: dict[str, Any], words: str, stack: Stack) -> None:
    with pytest.raises(AirflowError, match=words):
        stack.airflow.trigger("prd_churn_train_model_dag", conf)


def is_backfilled(stack: Stack, first: str, last: str) -> bool:
    """Begin a backfill; False: Airflow shows the schedule already, and does not go by it yet."""
    try:
        stack.compose(
            *("exec", "--no-TTY", "api-server", "airflow", "backfill", "create", "--dag-id"),
            *("prd_churn_train_model_dag", "--from-date", first, "--to-date", last),
        )
    except AssertionError as error:
        if "non-periodic schedule" not in str(error):
            raise
        return False
    return True


def test_a_backfill_publishes_five_days_and_what_is_served_stays(
    stack: Stack, customers: str, scheduled: Callable[[str], None]
) -> None:
    assert customers
    stays = served(stack, "churn")
    scheduled('[prd.churn.train_model]\ncron = "0 3 * * *"\nsource = "{year}-{month}-{day}.csv"\n')
    wait_until(lambda: is_backfilled(stack, DAYS[0], "2026-11-06"), 90, "Airflow makes no backfill of the schedule")
    deadline = time.monotonic() + 240
    made: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        made = [one for one in stack.trainings() if str(one.get("run_id")).startswith("backfill__")]
        if len(made) == len(DAYS):
            break
        time.sleep(1)
    assert sorted(one["data"]["source"] for one in made) == [f"{day}.csv" for day in DAYS]
    assert {(one["serve"], one["environment"], one["model_name"]) for one in made} == {(False, "prd", "churn")}
    assert served(stack, "churn") == stays


def test_the_predictions_of_a_run_are_printed_as_csv(stack: Stack) -> None:
    record = next(one for one in reversed(stack.inferences()) if one.get("rows") == 4000)
    mounts = (f"{stack.models}:/models:ro", f"{stack.folder / 'shared'}:/shared:ro")
    command = ["docker", "run", "--rm", "--network", "none", *(word for mount in mounts for word in ("-v", mount))]
    command += ["--entrypoint", "registry", f"bulkhead/inference:{stack.project}"]
    command += ["predictions", record["predictions_path"], "--csv"]
    printed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert printed.returncode == 0, printed.stderr
    rows = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert len(rows) == 4000
    assert set(rows[0]) == {"customer", "prediction", "probability_no", "probability_yes"}
