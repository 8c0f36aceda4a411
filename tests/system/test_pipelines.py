"""The pipelines from a REST call to the registry, in a stack of their own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from airflow_client import Airflow, AirflowError
from tests.system.support import ROOT

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = pytest.mark.system


def test_dev_and_prd_trained_in_turn_each_predict_with_their_own_model(stack: Stack) -> None:
    newest = {}
    for environment in ("prd", "dev", "prd"):
        run_id, state = stack.run(f"{environment}_train_model_dag", {"source": "sample"})
        assert state == "success"
        (record,) = stack.trainings(run_id)
        assert record["environment"] == environment
        newest[environment] = record["model_filename"]
    assert set(newest.values()) <= stack.model_files()
    for environment in ("prd", "dev"):
        run_id, state = stack.run(f"{environment}_inference_pipe_dag", {"source": "sample"})
        assert state == "success"
        (record,) = stack.inferences(run_id)
        assert (record["environment"], record["model_used"]) == (environment, newest[environment])
        assert record["predictions"] == pytest.approx(list(range(40, 60)))


def test_the_record_says_which_run_and_which_image_made_the_model(stack: Stack) -> None:
    run_id, _ = stack.run("dev_train_model_dag")
    (record,) = stack.trainings(run_id)
    assert record["dag_id"] == "dev_train_model_dag"
    assert record["task_id"] == "train_model"
    assert record["try_number"] == 1
    assert record["image"].startswith(f"bulkhead/trainer:{stack.project}@sha256:")
    assert record["git_commit"]


def test_a_table_of_ones_own_trains_on_all_rows_to_the_digits_of_an_exact_fit(stack: Stack) -> None:
    generator = np.random.default_rng(7)
    table = pd.DataFrame(generator.normal(size=(60, 3)) * [1, 1e3, 1e-3], columns=["a", "b, c", "d"])
    table["y"] = table.to_numpy() @ np.array([2.0, -3.0, 5.0]) + generator.normal(size=60)
    table["note"] = "text"
    table.to_csv(stack.inputs / "own.csv", index=False)
    conf = {"source": "own.csv", "target": "y", "features": 'a,"b, c",d', "test_fraction": 0}
    run_id, state = stack.run("prd_train_model_dag", conf)
    assert state == "failed"
    assert "allow_unmeasured is false for prd" in stack.trainings(run_id)[0]["detail"]
    conf |= {"allow_unmeasured": True, "allow_signature_change": True}
    run_id, state = stack.run("prd_train_model_dag", conf)
    assert state == "success"
    (record,) = stack.trainings(run_id)
    assert record["features"] == ["a", "b, c", "d"]
    assert record["left_out"] == ["note"]
    assert record["data"]["path"] == "shared/inputs/own.csv"
    assert record["metrics"]["r2"] is None
    units = np.array([1, 1e3, 1e-3])
    design = np.column_stack([np.ones(60), table[["a", "b, c", "d"]] / units])
    expected = np.linalg.lstsq(design, table["y"])[0]
    assert record["intercept"] == pytest.approx(expected[0], rel=1e-9)
    assert list(record["coefficients"].values()) == pytest.approx(list(expected[1:] / units), rel=1e-9)


def test_the_shipped_table_goes_through_both_pipelines(stack: Stack) -> None:
    shutil.copy(ROOT / "shared/inputs/diabetes.csv", stack.inputs)
    conf = {"source": "diabetes.csv", "allow_signature_change": True}
    run_id, state = stack.run("prd_train_model_dag", conf)
    assert state == "success"
    (record,) = stack.trainings(run_id)
    assert record["data"]["rows"] == 442
    assert record["gate"]["allow_signature_change"] is True
    assert 0.2 < record["metrics"]["r2"] < 0.7
    run_id, state = stack.run("prd_inference_pipe_dag", {"source": "diabetes.csv"})
    assert state == "success"
    (inference,) = stack.inferences(run_id)
    assert inference["model_used"] == record["model_filename"]
    predictions = pd.read_parquet(stack.folder / inference["predictions_path"])["prediction"]
    assert predictions.tolist() == inference["predictions"]
    assert len(predictions) == 442


@pytest.mark.parametrize("run_id", ["odd:run+id~1", "odd:run~id+1", "-.-", "x" * 200])
def test_a_run_id_of_odd_characters_gets_a_folder_of_its_own(stack: Stack, run_id: str) -> None:
    _, state = stack.run("dev_train_model_dag", run_id=run_id)
    assert state == "success"
    (record,) = stack.trainings(run_id)
    assert record["model_filename"] in stack.model_files()


BAD: dict[str, tuple[str, dict[str, Any], bytes | None, str]] = {
    "no such file": ("train_model", {"source": "nowhere.csv"}, None, "no such file"),
    "out of inputs": ("train_model", {"source": "../../models/log.txt.csv"}, None, "leads out of"),
    "no rows": ("train_model", {}, b"a,target\n", "no rows"),
    "text": ("train_model", {}, b"a,target\n1,2\nx,3\n", "row 2"),
    "no target": ("train_model", {"target": "price\n'\"{{ 1 }}"}, b"a,target\n1,2\n3,4\n", "no such column"),
    "too few rows": ("train_model", {"test_fraction": 0.9}, b"a,target\n1,2\n3,4\n", "to train on"),
    "other schema": ("inference_pipe", {}, b"feature1,other\n1,2\n", "missing 'feature2'"),
    "infinity": ("inference_pipe", {}, b"feature1,feature2\n1,inf\n", "infinity"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_fails_the_task_and_leaves_one_record_and_nothing_else(stack: Stack, case: str) -> None:
    pipeline, conf, table, telling = BAD[case]
    if pipeline == "inference_pipe":
        stack.run("dev_train_model_dag")
    if table is not None:
        (stack.inputs / "bad.csv").write_bytes(table)
        conf = {"source": "bad.csv"} | conf
    models = stack.model_files()
    run_id, state = stack.run(f"dev_{pipeline}_dag", conf)
    assert state == "failed"
    (record,) = stack.trainings(run_id) + stack.inferences(run_id)
    assert record["cause"] == "refused"
    assert telling in (record["detail"] if pipeline == "train_model" else record["error_message"])
    assert record["environment"] == "dev"
    assert stack.model_files() == models
    assert not list((stack.folder / run_path(f"dev_{pipeline}_dag", run_id)).glob("predictions*"))
    assert stack.running_steps() == []


def test_the_form_refuses_a_hold_out_share_of_one(stack: Stack) -> None:
    with pytest.raises(AirflowError, match="400"):
        stack.airflow.trigger("dev_train_model_dag", {"test_fraction": 1})


def test_prd_trains_and_predicts_on_no_table_that_nobody_named(stack: Stack) -> None:
    for dag_id in ("prd_train_model_dag", "prd_inference_pipe_dag"):
        with pytest.raises(AirflowError, match="400"):
            stack.airflow.trigger(dag_id)


def test_a_mistyped_key_starts_no_container_and_leaves_one_record(stack: Stack) -> None:
    run_id, state = stack.run("dev_train_model_dag", {"sorce": "x.csv"})
    assert state == "failed"
    (record,) = stack.trainings(run_id)
    assert (record["cause"], record["environment"], record["model_name"]) == ("refused", "dev", "model")
    assert record["detail"].startswith("the conf of this run has 'sorce', which its DAG does not know.")
    assert record["try_number"] == 1
    assert run_id not in {one["Config"]["Labels"]["io.bulkhead.run"] for one in stack.step_containers()}


def test_nobody_gets_in_without_the_password(stack: Stack) -> None:
    stranger = Airflow({"BULKHEAD_PORT": stack.airflow.address.rpartition(":")[2], "BULKHEAD_ADMIN_PASSWORD": "admin"})
    with pytest.raises(AirflowError, match="401"):
        stranger.request("GET", "/api/v2/dags")
    with pytest.raises(AirflowError, match="401"):
        stranger.log_in()


def test_only_a_published_model_is_an_asset_event_and_the_event_names_it(stack: Stack) -> None:
    def events() -> list[dict[str, Any]]:
        found = stack.airflow.request("GET", "/api/v2/assets/events?order_by=timestamp&limit=1000")["asset_events"]
        return [event for event in found if event["name"] == "dev_models"]

    before = len(events())
    stack.run("dev_train_model_dag", {"source": "nowhere.csv"})
    run_id, _ = stack.run("dev_train_model_dag")
    (record,) = stack.trainings(run_id)
    (event,) = events()[before:]
    assert event["source_run_id"] == run_id
    assert event["extra"] == {key: record[key] for key in ("model_filename", "model_hash", "sha256")}


def test_the_result_file_is_what_xcom_holds(stack: Stack) -> None:
    run_id, _ = stack.run("dev_train_model_dag")
    path = f"/api/v2/dags/dev_train_model_dag/dagRuns/{run_id}/taskInstances/train_model/xcomEntries/return_value"
    value = stack.airflow.request("GET", path)["value"]
    (record,) = stack.trainings(run_id)
    assert value["facts"]["model_filename"] == record["model_filename"]
