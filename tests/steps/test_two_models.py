"""Two models in one project: each has its own versions, served model, gate and runs, and neither ever stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.project import lines_of

from bulkhead.prediction.loaded import load
from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

    from bulkhead.registry.records import ModelRecord

MODEL = """
from sklearn.linear_model import LinearRegression
def build(parameters):
    return LinearRegression()
"""
PARAMETERS = """
from bulkhead.parameters import TrainingParameters
class Parameters(TrainingParameters):
    depth: int = {depth}
"""
NAMES = ("model", "churn")


def table(lift: float, names: str = "a,b,target", noise: int = 0) -> str:
    rows = "".join(f"{i},{i % 7},{i + lift + noise * (-1) ** (i * i // 3)}\n" for i in range(40))
    return f"{names}\n{rows}"


@pytest.fixture
def both(project: Project, code: ProjectFiles) -> Project:
    """``model`` predicts a, ``churn`` a thousand more; each trained twice in dev, in turn."""
    code.put("model.py", MODEL)
    code.put("churn.py", MODEL)
    project.put("model.csv", table(0))
    project.put("churn.csv", table(1000))
    for name in NAMES * 2:
        train(project, name)
    return project


def train(project: Project, name: str, environment: str = "dev", source: str | None = None) -> ModelRecord:
    where = ("--name", name, "--environment", environment)
    project.done("trainer", "preprocessing", *where, "--source", source or f"{name}.csv")
    project.done("trainer", "train_model", *where)
    return project.registry.latest(environment, name)


def infer(project: Project, name: str, *flags: str, environment: str = "dev") -> dict[str, Any]:
    where = ("--name", name, "--environment", environment)
    project.done("inference", "generate_inf_data", *where, "--source", "model.csv", *flags)
    project.done("inference", "preprocess_inf_data", *where)
    project.done("inference", "model_inference", *where, *flags)
    return lines_of(project.registry.inference_journal)[-1]


def refused(project: Project, *argv: str) -> str:
    """What a step of the inference image says that refuses."""
    ended = project.run("inference", list(argv))
    assert ended.code == 1
    return ended.err


def versions(project: Project, name: str) -> list[str]:
    lines = lines_of(project.registry.training_journal)
    trained = [line for line in lines if "training_timestamp" in line and not line["promotion"]]
    return [line["model_filename"] for line in trained if (line["model_name"] or "model") == name]


@pytest.mark.parametrize(("name", "lift"), [("model", 0), ("churn", 1000)])
def test_each_predicts_with_its_own_newest_version(name: str, lift: float, both: Project) -> None:
    line = infer(both, name)
    assert line["predictions"] == pytest.approx([i + lift for i in range(40)])
    assert (line["model_used"], line["model_name"]) == (versions(both, name)[-1], name)


def test_a_rollback_of_one_changes_nothing_of_the_other(both: Project) -> None:
    both.done("inference", "rollback_model", "--name", "churn", "--by", "ada", "--reason", "odd")
    assert both.registry.latest("dev", "churn").model_filename == versions(both, "churn")[0]
    assert both.registry.latest("dev").model_filename == versions(both, "model")[-1]
    ended = both.inference("rollback_model", "--name", "churn", "--by", "ada", "--reason", "odd")
    both.assert_refused(ended, "rollback_model", "no earlier good model")


def test_a_rollback_of_one_to_a_version_of_the_other_is_refused(both: Project) -> None:
    other = versions(both, "model")[0]
    ended = both.inference("rollback_model", "--name", "churn", "--by", "ada", "--reason", "odd", "--to", other)
    assert (ended.code, f"{other} is a version of the model model, not of churn." in ended.err) == (1, True)
    assert both.registry.latest("dev", "churn").model_filename == versions(both, "churn")[-1]


def test_a_promotion_of_one_serves_it_beside_the_other(both: Project) -> None:
    for name in NAMES:
        model = versions(both, name)[0]
        decided = ("--by", "ada", "--reason", "good", "--replacing", "none")
        both.done("inference", "promote_model", "--model", model, *decided)
        assert both.registry.latest("prd", name).model_filename == model
    assert infer(both, "model", environment="prd")["model_used"] == versions(both, "model")[0]
    assert infer(both, "churn", environment="prd")["model_used"] == versions(both, "churn")[0]


def test_a_version_of_the_other_is_refused_by_name(both: Project) -> None:
    other = versions(both, "model")[0]
    both.done("inference", "generate_inf_data", "--name", "churn", "--source", "model.csv")
    both.done("inference", "preprocess_inf_data", "--name", "churn")
    ended = both.inference("model_inference", "--name", "churn", "--model", other)
    sentence = both.assert_refused(ended, "model_inference", f"{other} is a version of the model model")
    assert "this run is for churn" in sentence


@pytest.mark.parametrize("step", ["train_model", "preprocess_inf_data", "model_inference"])
def test_a_step_refuses_what_a_step_for_the_other_has_left(step: str, both: Project) -> None:
    image = "trainer" if step == "train_model" else "inference"
    if step == "train_model":
        both.done("trainer", "preprocessing", "--name", "model", "--source", "model.csv")
    else:
        both.done("inference", "generate_inf_data", "--name", "model", "--source", "model.csv")
        both.done("inference", "preprocess_inf_data", "--name", "model")
    before = both.model_files()
    ended = both.run(image, [step, "--name", "churn"])
    both.assert_refused(ended, step, "ran in this run folder for the model model, and this step runs for churn")
    assert both.model_files() == before


def test_one_of_which_there_is_no_version_predicts_nothing_whatever_the_other_serves(
    both: Project, code: ProjectFiles
) -> None:
    code.put("fresh.py", MODEL)
    both.done("inference", "generate_inf_data", "--name", "fresh", "--source", "model.csv")
    both.done("inference", "preprocess_inf_data", "--name", "fresh")
    ended = both.inference("model_inference", "--name", "fresh")
    both.assert_refused(ended, "model_inference", "no model of fresh of the environment dev yet")


@pytest.mark.parametrize(("image", "step"), [("trainer", "preprocessing"), ("inference", "generate_inf_data")])
def test_a_name_that_no_file_has_is_refused_with_those_that_there_are(image: str, step: str, both: Project) -> None:
    ended = both.run(image, [step, "--name", "nobody"])
    both.assert_refused(ended, step, "there is no project/nobody.py here. Name one of: model, churn; or")


@pytest.mark.parametrize("name", ["Churn", "a b", "../model", "parameters", "churn_parameters", "tests", "", "x" * 41])
def test_a_name_that_no_model_can_have_is_wrong_usage(name: str, both: Project) -> None:
    before = lines_of(both.registry.training_journal)
    ended = both.trainer("preprocessing", "--name", name)
    assert ended.code == 2
    assert "no name of a model" in ended.err
    assert lines_of(both.registry.training_journal) == before


def test_the_environment_variable_names_the_model(both: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_MODEL_NAME", "churn")
    both.done("inference", "generate_inf_data", "--source", "model.csv")
    both.done("inference", "preprocess_inf_data")
    both.done("inference", "model_inference")
    assert lines_of(both.registry.inference_journal)[-1]["model_name"] == "churn"


def test_each_has_the_parameters_of_its_own_file_or_those_of_all(both: Project, code: ProjectFiles) -> None:
    code.put("parameters.py", PARAMETERS.format(depth=3))
    code.put("churn_parameters.py", PARAMETERS.format(depth=5).replace("depth", "height"))
    assert (train(both, "model").parameters or {})["depth"] == 3
    found = train(both, "churn").parameters or {}
    assert ("depth" in found, found["height"]) == (False, 5)
    both.done("trainer", "preprocessing", "--name", "churn", "--source", "churn.csv")
    both.done("trainer", "train_model", "--name", "churn", "--height", "7")
    assert (both.registry.latest("dev", "churn").parameters or {})["height"] == 7
    ended = both.trainer("train_model", "--name", "churn", "--depth", "7")
    assert (ended.code, "No such option" in ended.err) == (2, True)


def test_an_edit_of_one_leaves_the_other_served(both: Project, code: ProjectFiles) -> None:
    code.put("churn.py", MODEL + "\n# another comment\n")
    assert infer(both, "model")["model_used"] == versions(both, "model")[-1]
    both.done("inference", "generate_inf_data", "--name", "churn", "--source", "model.csv")
    both.done("inference", "preprocess_inf_data", "--name", "churn")
    ended = both.inference("model_inference", "--name", "churn")
    assert (ended.code, "the transformation has changed since" in ended.err) == (1, True)


def test_an_edit_of_what_they_share_is_one_of_both(both: Project, code: ProjectFiles) -> None:
    code.put("_shared.py", "SIZE = 3\n")
    for name in NAMES:
        both.done("inference", "generate_inf_data", "--name", name, "--source", "model.csv")
        both.done("inference", "preprocess_inf_data", "--name", name)
        ended = both.inference("model_inference", "--name", name)
        assert (ended.code, "the transformation has changed since" in ended.err) == (1, True)


def test_the_gate_of_one_asks_nothing_of_the_other(both: Project) -> None:
    (both.models / "gate.toml").write_text("[dev.churn.r2]\nlimit = 0.99\n")
    both.put("bad.csv", table(0, noise=30))
    train(both, "model", source="bad.csv")
    both.done("trainer", "preprocessing", "--name", "churn", "--source", "bad.csv")
    ended = both.trainer("train_model", "--name", "churn")
    both.assert_refused(ended, "train_model", "the limit for dev of churn in models/gate.toml is 0.99")


def test_a_models_own_gate_goes_on_top_of_that_of_every_model(both: Project) -> None:
    (both.models / "gate.toml").write_text('[dev."*".r2]\nlimit = 2\n[dev.churn.r2]\nlimit = 0\n')
    train(both, "churn")
    both.done("trainer", "preprocessing", "--source", "model.csv")
    both.assert_refused(both.trainer("train_model"), "train_model", "the limit for dev in models/gate.toml is 2")


def test_a_new_version_is_measured_beside_the_served_one_of_its_own_name(both: Project) -> None:
    record = train(both, "churn")
    assert record.gate is not None
    assert record.gate["served"] == versions(both, "churn")[-2]


def test_another_signature_is_judged_beside_its_own_name_alone(both: Project) -> None:
    """prd serves ``model`` of a and b; the first ``churn`` there may take what it likes."""
    train(both, "model", "prd")
    both.put("churn.csv", table(1000, "c,d,target"))
    assert train(both, "churn", "prd").features == ["c", "d"]
    both.put("churn.csv", table(1000, "c,e,target"))
    both.done("trainer", "preprocessing", "--name", "churn", "--environment", "prd", "--source", "churn.csv")
    ended = both.trainer("train_model", "--name", "churn", "--environment", "prd")
    served = Registry(both.models).latest("prd", "churn").model_filename
    sentence = both.assert_refused(ended, "train_model", f"not of the signature of {served}", "prd")
    assert "which prd of churn serves: new 'e'; without 'd'" in sentence
    both.done("trainer", "train_model", "--name", "churn", "--environment", "prd", "--allow-signature-change")


@pytest.mark.parametrize("said", ["churn #1", "#1", "churn#1"])
def test_a_step_takes_a_version_by_its_short_name_and_records_its_file(said: str, both: Project) -> None:
    first, _ = versions(both, "churn")
    assert infer(both, "churn", "--model", said)["model_used"] == first


def test_a_step_refuses_a_short_name_of_another_model_and_one_of_none(both: Project) -> None:
    where = ("--name", "churn")
    both.done("inference", "generate_inf_data", *where, "--source", "churn.csv")
    both.done("inference", "preprocess_inf_data", *where)
    for said, why in (("model #1", "is a version of the model model"), ("churn #7", "has no model 'churn #7'")):
        assert why in refused(both, "model_inference", *where, "--model", said)


def test_decisions_take_a_short_name_and_propose_the_file(both: Project) -> None:
    first, second = versions(both, "churn")
    done = ("--by", "ada", "--reason", "r")
    both.done("inference", "check_model", "--model", "churn #2")
    both.done("inference", "promote_model", "--model", "churn #2", *done)
    assert both.registry.latest("prd", "churn").model_filename == second
    both.done("inference", "promote_model", "--model", "churn #1", "--replacing", "churn #2", *done)
    assert both.registry.latest("prd", "churn").model_filename == first
    both.done("inference", "rollback_model", "--name", "churn", "--environment", "dev", "--to", "#1", *done)
    assert lines_of(both.registry.training_journal)[-1]["model_filename"] == first
    refused(both, "rollback_model", "--name", "churn", "--environment", "dev", "--to", "#5", *done)
    assert "is the short name of 2 models" in refused(both, "check_model", "--model", "#1")


def test_a_step_warns_of_a_model_that_was_revoked_in_another_version(both: Project) -> None:
    first, second = (both.registry.find(name) for name in versions(both, "churn"))
    assert first.model_hash == second.model_hash, "trained twice on the same table"
    decisions.revoke(both.registry, first.model_filename, DecisionContext("ada", "leaked"))
    ended = both.run("inference", ["check_model", "--model", "churn #2", "--environment", "prd"])
    assert ended.code == 0
    assert f"warning: churn #2 ({second.model_filename}) holds the same model as {first.model_filename}" in ended.err


def test_a_notebook_loads_a_version_by_its_short_name(both: Project) -> None:
    first, _ = versions(both, "churn")
    loaded = load("dev", name="churn", filename="#1", models=both.models)
    assert loaded.record.model_filename == first
