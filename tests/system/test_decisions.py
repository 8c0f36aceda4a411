"""Promotion with a person's approval, rollback and the gate, through Airflow's REST API on a stack of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from tests.system.promotions import approval_of, ask, decide

from bulkhead.registry import journal
from bulkhead.registry.serving import RegistryState
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = pytest.mark.system


def served(stack: Stack, environment: str) -> str | None:
    record = RegistryState(journal.read(Registry(stack.models).training_journal)).served(environment)
    return record.model_filename if record else None


def train(stack: Stack, environment: str) -> str:
    run_id, state = stack.run(f"{environment}_train_model_dag", {"source": "sample"})
    assert state == "success"
    (record,) = stack.trainings(run_id)
    return str(record["model_filename"])


def test_an_approved_promotion_serves_the_same_file_in_prd_and_says_who_approved_it(stack: Stack) -> None:
    before = train(stack, "prd")
    model = train(stack, "dev")
    files = stack.model_files()
    run_id = ask(stack, model)
    _, shown = approval_of(stack, run_id)
    assert f"({model})" in shown["subject"]
    assert f"({before})" in shown["subject"]
    assert decide(stack, run_id, "Approve") == "success"
    record = stack.trainings()[-1]
    assert (record["environment"], record["model_filename"]) == ("prd", model)
    promotion = record["promotion"]
    assert promotion["origin"] == "dev"
    assert promotion["replaces"] == before
    assert promotion["by"] == "admin"
    assert promotion["reason"] == "it is better"
    assert (promotion["dag_id"], promotion["run_id"]) == ("promote_model_dag", run_id)
    assert stack.model_files() == files
    inference, state = stack.run("prd_inference_pipe_dag", {"source": "sample"})
    assert state == "success"
    assert [line["model_used"] for line in stack.inferences(inference)] == [model]


def test_a_promotion_updates_the_asset_of_prds_models(stack: Stack) -> None:
    run_id = ask(stack, train(stack, "dev"))
    assert decide(stack, run_id, "Approve") == "success"
    events = stack.airflow.request("GET", "/api/v2/assets/events?source_dag_id=promote_model_dag&limit=100")
    (event,) = [event for event in events["asset_events"] if event["source_run_id"] == run_id]
    assert event["extra"]["model_filename"] == served(stack, "prd")


def test_a_rejected_promotion_changes_nothing_and_is_on_record(stack: Stack) -> None:
    train(stack, "prd")
    model = train(stack, "dev")
    run_id = ask(stack, f"model #{stack.trainings()[-1]['version']}")
    approval_of(stack, run_id)
    lines, before = stack.trainings(), served(stack, "prd")
    assert decide(stack, run_id, "Reject") == "success"
    *others, rejection = stack.trainings()
    assert (others, served(stack, "prd")) == (lines, before)
    assert (rejection["outcome"], rejection["by"], rejection["model_filename"]) == ("rejected", "admin", model)


def test_a_promotion_is_refused_when_another_model_is_served_by_then(stack: Stack) -> None:
    model = train(stack, "dev")
    run_id = ask(stack, model)
    approval_of(stack, run_id)
    newer = train(stack, "prd")
    assert decide(stack, run_id, "Approve") == "failed"
    (failure,) = stack.trainings(run_id)
    assert failure["cause"] == "refused"
    now = rf"by now it would be 'Promote model #\d+ \({model}\) to prd, in place of model #\d+ \({newer}\)\?'"
    assert re.search(now, failure["detail"])
    assert served(stack, "prd") == newer


def test_a_model_that_is_not_there_is_refused_before_anybody_is_asked(stack: Stack) -> None:
    stack.airflow.wait_for_dag("promote_model_dag")
    run_id, state = stack.run("promote_model_dag", {"model": "model_of_nobody.joblib", "reason": "why not"})
    assert state == "failed"
    (failure,) = stack.trainings(run_id)
    assert failure["step"] == "check_model"
    assert "has no model 'model_of_nobody.joblib'" in failure["detail"]


def test_a_rollback_serves_the_model_before_and_names_who_asked_for_it(stack: Stack) -> None:
    older, newer = train(stack, "dev"), train(stack, "dev")
    run_id, state = stack.run("rollback_model_dag", {"environment": "dev", "reason": "the newer one is odd"})
    assert state == "success"
    (record,) = stack.trainings(run_id)
    assert (record["environment"], record["model_filename"], record["withdrawn"]) == ("dev", older, [newer])
    assert (record["by"], record["reason"]) == ("admin", "the newer one is odd")
    assert served(stack, "dev") == older
    inference, _ = stack.run("dev_inference_pipe_dag")
    assert [line["model_used"] for line in stack.inferences(inference)] == [older]


def test_a_model_that_is_worse_than_its_environment_asks_is_not_stored(stack: Stack) -> None:
    generator = np.random.default_rng(3)
    noise = pd.DataFrame(generator.normal(size=(80, 4)), columns=["a", "b", "c", "target"])
    noise.to_csv(stack.inputs / "noise.csv", index=False)
    (stack.models / "gate.toml").write_text("[dev]\nmin_r2 = 0.9\n")
    files = stack.model_files()
    try:
        run_id, state = stack.run("dev_train_model_dag", {"source": "noise.csv"})
    finally:
        (stack.models / "gate.toml").unlink()
    assert state == "failed"
    (failure,) = stack.trainings(run_id)
    assert failure["cause"] == "refused"
    assert "the limit for dev in models/gate.toml is 0.9" in failure["detail"]
    assert failure["metrics"]["r2"] < 0.9
    assert failure["metrics"]["gate"]["metrics"]["r2"]["limit"] == 0.9
    assert stack.model_files() == files
