"""A registry that an earlier version of this program wrote is one to go on with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.command import Command
from tests.support.project import lines_of

from bulkhead import paths
from bulkhead.prediction import libraries
from bulkhead.registry.records import Unreadable

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

BOX = Path(__file__).parents[1] / "box/project"
SAMPLE = Path(__file__).parents[1] / "samples/registry_2026_11"
DIABETES = Path(__file__).parents[2] / "shared/inputs/diabetes.csv"

BEFORE = "model_20261124T164739474250Z_0f10dfd6d375ec5060cfb5a5cfbda470.joblib"
SMALL = "model_20261124T164756787115Z_7a3e227d49ab32e44efbe298996930b1.joblib"
"""Trained on the built-in sample, in dev; promoted to prd and rolled back there."""
SERVED = "model_20261124T164813869049Z_0f10dfd6d375ec5060cfb5a5cfbda470.joblib"
"""In both environments."""


@pytest.fixture
def old_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the sample, and steps that run by hand in its run ``d3``."""
    shutil.copytree(SAMPLE / "models", project.models, dirs_exist_ok=True)
    shutil.copytree(SAMPLE / "shared", project.shared, dirs_exist_ok=True)
    project.inputs = project.shared / "inputs"
    project.inputs.mkdir()
    shutil.copy(DIABETES, project.inputs)
    project.shared = project.shared / "runs/d3"
    monkeypatch.setattr(paths, "SHARED", str(project.shared))
    monkeypatch.setattr(paths, "INPUTS", str(project.inputs))
    monkeypatch.setenv("BULKHEAD_RUN_ID", "d3")
    return project


@pytest.fixture
def registry(old_project: Project, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(old_project.registry, capsys)


@pytest.fixture
def libraries_of_then(old_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step images have the sample's versions; Python and NumPy of the tests may be others."""
    then = old_project.registry.latest("prd").libraries
    assert then is not None
    monkeypatch.setattr(libraries, "versions", lambda _modules=(): then)
    monkeypatch.setattr(libraries, "present", lambda names: {name: then[name] for name in names if name in then})


def test_every_line_is_a_record(old_project: Project) -> None:
    read = [*old_project.registry.records_newest_first()]
    assert len(read) == 9
    assert not [record for record in read if isinstance(record, Unreadable)]


def test_list_shows_each_model_and_what_is_served(registry: Command) -> None:
    lines = registry.done("list").splitlines()[1:]
    # Older records have no numbers: their place says it.
    assert [tuple(line.split()[:5]) for line in lines if line.startswith("*")] == [
        ("*", "model", "#5", "dev", SERVED),
        ("*", "model", "#5", "prd", SERVED),
    ]
    assert [line.split()[3] for line in lines if "rolled back" in line] == [SMALL]
    assert len(lines) == 7


def test_verify_finds_it_clean(registry: Command) -> None:
    assert registry.done("verify") == "clean\n"


def test_a_trace_leads_from_each_inference_to_its_model(registry: Command) -> None:
    for line in lines_of(registry.registry.inference_journal):
        told = registry.done("trace", line["predictions_path"])
        assert f"predictions  {line['predictions_path']}  (as recorded" in told
        assert f"models/{line['model_used']}  (as recorded" in told


def test_a_trace_leads_to_the_data_of_the_inference_and_of_the_training(registry: Command) -> None:
    told = registry.done("trace", lines_of(registry.registry.inference_journal)[0]["predictions_path"])
    assert "input        shared/inputs/diabetes.csv  (as recorded" in told
    assert "data        shared/inputs/diabetes.csv  (as recorded" in told


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_the_served_model_predicts_what_it_predicted_then(old_project: Project, environment: str) -> None:
    then = lines_of(old_project.registry.inference_journal)[0]
    line = old_project.infer("diabetes.csv", "--allow-version-drift", environment=environment)
    assert line["model_used"] == SERVED
    assert line["predictions"] == pytest.approx(then["predictions"], rel=1e-9)


def test_a_run_that_was_begun_then_can_be_finished_now(old_project: Project, registry: Command) -> None:
    """Its result files name no version."""
    assert b"protocol" not in (old_project.shared / "preprocess_inf_data.json").read_bytes()
    old_project.done("inference", "model_inference", "--model", SMALL, "--allow-version-drift")
    assert lines_of(old_project.registry.inference_journal)[-1]["predictions"] == pytest.approx(list(range(40, 60)))
    assert registry.done("verify").splitlines()[-1].startswith("clean")
    assert "out_of_order" not in registry.done("verify")


def test_a_rollback_serves_the_model_before_and_the_registry_stays_clean(registry: Command) -> None:
    registry.done("rollback", "--environment", "prd", "--reason", "a test", "--by", "ada")
    assert registry.registry.latest("prd").model_filename == BEFORE
    assert registry.registry.latest("dev").model_filename == SERVED
    assert registry.done("verify").splitlines()[-1].startswith("clean")
    assert "out_of_order" not in registry.done("verify")


@pytest.mark.usefixtures("libraries_of_then")
def test_a_model_that_was_rolled_back_can_be_promoted_again(old_project: Project, registry: Command) -> None:
    registry.done("promote", SMALL, "--reason", "a test", "--by", "ada")
    assert registry.registry.latest("prd").model_filename == SMALL
    assert old_project.infer("sample", environment="prd")["model_used"] == SMALL
    assert registry.done("verify").splitlines()[-1].startswith("clean")
    assert "out_of_order" not in registry.done("verify")


@pytest.mark.usefixtures("libraries_of_then")
def test_a_new_model_is_measured_beside_the_served_one_and_follows_it(old_project: Project, registry: Command) -> None:
    record = old_project.train("--source", "diabetes.csv", environment="prd")
    assert record.gate is not None
    assert (record.gate["served"], "r2" in record.gate["served_metrics"]) == (SERVED, True)
    assert registry.done("verify").splitlines()[-1].startswith("clean")
    assert "out_of_order" not in registry.done("verify")


@pytest.mark.usefixtures("libraries_of_then")
@pytest.mark.parametrize(
    "transform",
    ["frame.assign(feature1=frame['feature1'] * 3)", "frame", "frame.assign(more=1.0)", "1 / 0"],
    ids=["another factor", "nothing", "a column more", "it fails"],
)
def test_a_served_model_of_another_transformation_is_not_compared(
    transform: str, old_project: Project, code: ProjectFiles, registry: Command
) -> None:
    """Served is one of the sample here, which has the column that the older transformation changed."""
    registry.done("promote", SMALL, "--reason", "a test", "--by", "ada")
    model = (BOX / "model.py").read_text()
    code.put("model.py", model)
    (old_project.models / "gate.toml").write_text("")
    same = old_project.train(environment="prd")
    assert same.gate is not None
    assert "r2" in same.gate["served_metrics"]
    registry.done("rollback", "--environment", "prd", "--reason", "a test", "--by", "ada")
    assert registry.registry.latest("prd").model_filename == SMALL
    old_project.done("trainer", "preprocessing", "--environment", "prd")
    code.put("model.py", f"{model}\n\ndef transform(frame):\n    return {transform}\n")
    old_project.done("trainer", "train_model", "--environment", "prd")
    other = old_project.registry.latest("prd")
    assert other.gate is not None
    assert other.gate["not_compared"] == "the served model has another transformation"
