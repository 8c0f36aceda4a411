"""The gate asks of each metric what its own direction makes of ``limit`` and ``worse_by``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.project import lines_of

from bulkhead.errors import Refused
from bulkhead.registry import quality_gate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.project import Ended, Project
    from tests.support.project_files import ProjectFiles

MODEL = """
from sklearn.dummy import DummyRegressor
from bulkhead.columns import number
from bulkhead.scoring import maximize, minimize
METRICS = {{
    "gain": maximize(lambda truth, predicted: {gain}), "cost": minimize(lambda truth, predicted: {cost}),
}}
def build(parameters):
    return DummyRegressor(strategy="constant", constant={constant})
"""
BY_PREDICTION = {"gain": "float(predicted[0])", "cost": "-float(predicted[0])"}
"""So that a served model is measured as what it predicts: gains more, and costs less, with a larger constant."""


def model(code: ProjectFiles, gain: object, cost: object) -> None:
    code.put("churn.py", MODEL.format(gain=gain, cost=cost, constant=0))


def train(project: Project, settings: str, *flags: str, environment: str = "prd") -> Ended:
    (project.models / "gate.toml").write_text(settings)
    project.put("t.csv", "a,target\n" + "".join(f"{i},{i}\n" for i in range(20)))
    where = ("--name", "churn", "--environment", environment)
    project.done("trainer", "preprocessing", *where, "--source", "t.csv")
    return project.trainer("train_model", *where, *flags)


@pytest.mark.parametrize(
    ("metric", "limit", "passes"),
    [
        ("gain", 0.5, True),
        ("gain", 0.4, True),
        ("gain", 0.6, False),
        ("cost", 3, True),
        ("cost", 4, True),
        ("cost", 2.5, False),
        ("cost", -1, False),
    ],
)
def test_a_limit_is_the_worst_value_that_passes(
    metric: str,
    limit: float,
    passes: bool,  # noqa: FBT001  # a parameter of the test
    project: Project,
    code: ProjectFiles,
) -> None:
    model(code, 0.5, 3)
    ended = train(project, f"[prd.churn.{metric}]\nlimit = {limit}\n")
    if passes:
        assert ended.code == 0, ended.err
        gate = project.registry.latest("prd", "churn").gate or {}
        assert gate["metrics"][metric]["limit"] == limit
        return
    found = {"gain": "0.5", "cost": "3"}[metric]
    sentence = (
        f"{metric} is {found} on the held-out rows, and the limit for prd of churn in models/gate.toml is {limit:g}."
    )
    project.assert_refused(ended, "train_model", sentence, "prd")
    assert project.model_files() == []
    (record,) = lines_of(project.registry.training_journal)
    assert (record["metrics"]["gain"], record["metrics"]["cost"]) == (0.5, 3)
    assert record["metrics"]["gate"]["metrics"][metric]["limit"] == limit


@pytest.mark.parametrize(
    ("metric", "constant", "worse_by", "passes"),
    [
        ("gain", 9, 0.5, False),
        ("gain", 9, 1, True),
        ("gain", 10, 0, True),
        ("gain", 11, 0, True),
        ("cost", 9, 0.5, False),
        ("cost", 9, 1, True),
        ("cost", 10, 0, True),
        ("cost", 11, 0, True),
    ],
)
def test_worse_by_is_how_much_worse_than_the_served_model_passes(  # of a case
    metric: str,
    constant: float,
    worse_by: float,
    passes: bool,  # noqa: FBT001  # a parameter of the test
    project: Project,
    code: ProjectFiles,
) -> None:
    # A parameter sets the constant, since another code would be another transformation, which is not compared.
    code.put(
        "churn_parameters.py",
        "from bulkhead.parameters import TrainingParameters\n"
        "class Parameters(TrainingParameters):\n    constant: float = 10\n",
    )
    code.put("churn.py", MODEL.format(**BY_PREDICTION, constant="parameters.constant"))
    assert train(project, "").code == 0
    served = project.registry.latest("prd", "churn").model_filename
    ended = train(project, f"[prd.churn.{metric}]\nworse_by = {worse_by}\n", "--constant", str(constant))
    if passes:
        assert ended.code == 0, ended.err
        gate = project.registry.latest("prd", "churn").gate or {}
        assert (gate["served"], gate["served_metrics"]) == (served, {"gain": 10, "cost": -10})
        return
    found, theirs = (9, 10) if metric == "gain" else (-9, -10)
    sentence = (
        f"{metric} is {found} on the held-out rows, where the served {served} has {theirs}; worse_by for prd of churn"
        f" in models/gate.toml is {worse_by:g}."
    )
    project.assert_refused(ended, "train_model", sentence, "prd")
    assert project.model_files() == [served]


@pytest.mark.parametrize("key", ["limit = 1", "worse_by = 1"])
def test_a_metric_that_the_named_model_does_not_have_is_refused(key: str, project: Project, code: ProjectFiles) -> None:
    model(code, 0.5, 3)
    ended = train(project, f"[prd.churn.recall]\n{key}\n")
    sentence = "models/gate.toml asks for recall for prd of churn, and the model has gain, cost."
    project.assert_refused(ended, "train_model", sentence, "prd")


def test_a_metric_that_some_model_does_not_have_is_passed_over_where_it_is_asked_of_all(
    project: Project, code: ProjectFiles
) -> None:
    model(code, 0.5, 3)
    assert train(project, '[prd."*".recall]\nlimit = 1\n[prd."*".cost]\nlimit = 3\n').code == 0
    ended = train(project, '[prd."*".recall]\nlimit = 1\n[prd."*".cost]\nlimit = 2\n')
    project.assert_refused(ended, "train_model", "cost is 3 on the held-out rows", "prd")


def test_a_metric_that_could_not_be_measured_passes_no_limit(project: Project, code: ProjectFiles) -> None:
    model(code, 0.5, None)
    assert train(project, "[prd.churn.cost]\nworse_by = 0\n").code == 0
    ended = train(project, "[prd.churn.cost]\nlimit = 100\n")
    project.assert_refused(ended, "train_model", "cost is not measured on the held-out rows, and the limit", "prd")


def test_prd_refuses_what_was_not_measured_unless_the_run_allows_it(project: Project, code: ProjectFiles) -> None:
    """As it comes: there is no gate.toml."""
    model(code, 0.5, 3)
    settings = '[prd."*"]\nallow_unmeasured = false\n'
    ended = train(project, settings, "--test-fraction", "0")
    project.assert_refused(ended, "train_model", "its gain was not measured, and allow_unmeasured is false", "prd")
    assert train(project, settings, "--test-fraction", "0", "--allow-unmeasured").code == 0
    assert (project.registry.latest("prd", "churn").gate or {})["allow_unmeasured"] is True


BAD = {
    "a metric's key": ("[prd.churn.r2]\nleast = 1\n", "unknown field `least`"),
    "a model's key": ("[prd.churn]\nlimit = 1\n", "[prd.churn] has a key 'limit', which is none"),
    "text for a limit": ("[prd.churn.r2]\nlimit = 'high'\n", "Expected `float"),
    "no number": ("[prd.churn.r2]\nlimit = nan\n", "[prd.churn.r2] limit is nan, not a finite number"),
    "a negative worse_by": (
        "[prd.churn.r2]\nworse_by = -1\n",
        "[prd.churn.r2] worse_by is -1, and must not be negative",
    ),
    "a name that none can have": ("[prd.Churn.r2]\nlimit = 1\n", "[prd.Churn]: 'Churn' is no name of a model"),
    "old and new beside each other": ('[prd]\nmin_r2 = 0\n[prd."*".r2]\nlimit = 0\n', "put it into that table"),
}


@pytest.mark.parametrize(("settings", "fragment"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_gate_that_cannot_be_meant_is_refused_by_whatever_reads_it(
    settings: str, fragment: str, environment: str, tmp_path: Path
) -> None:
    (tmp_path / "gate.toml").write_text(settings)
    for name in ("model", "churn"):
        with pytest.raises(Refused) as caught:
            quality_gate.read(tmp_path, environment, name)
        assert fragment in str(caught.value)
        assert str(caught.value).startswith("models/gate.toml: ")


def test_old_keys_ask_the_same_of_every_model(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("[prd]\nmin_r2 = 0.5\nmax_r2_drop = 0.1\nallow_unmeasured = false\n")
    older = quality_gate.read(tmp_path, "prd", "churn")
    assert older == quality_gate.read(tmp_path, "prd")
    (tmp_path / "gate.toml").write_text(
        '[prd."*"]\nallow_unmeasured = false\n[prd."*".r2]\nlimit = 0.5\nworse_by = 0.1\n'
    )
    assert quality_gate.read(tmp_path, "prd", "churn") == older


STRICT = '[prd."*"]\nallow_unmeasured = false\n[prd."*".r2]\nlimit = 0.1\nworse_by = 0.2\n'


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (STRICT + "[prd.churn.roc_auc]\nlimit = 0.7\n", (False, False, {"r2": 0.1, "roc_auc": 0.7})),
        (STRICT + "[prd.churn]\n", (False, False, {"r2": 0.1})),
        (STRICT + "[prd.churn]\nallow_unmeasured = true\n", (True, False, {"r2": 0.1})),
        (STRICT + "[prd.churn.r2]\nlimit = 0.9\n", (False, False, {"r2": 0.9})),
        (STRICT + "[prd.other.r2]\nlimit = 0.9\n", (False, False, {"r2": 0.1})),
        ("[prd.churn.f1]\nlimit = 0.7\n", (False, False, {"r2": 0.0, "roc_auc": 0.5, "accuracy": None, "f1": 0.7})),
        ("[prd]\nmin_r2 = 0.3\n", (True, False, {"r2": 0.3})),
        ("[prd]\nmin_r2 = 0.3\nallow_unmeasured = false\n[prd.churn.r2]\nlimit = 0.4\n", (False, False, {"r2": 0.4})),
        ("[prd]\n", (True, True, {})),
        ("[dev]\n", (True, True, {})),
    ],
)
def test_what_a_table_leaves_out_is_as_the_one_below_it_says(
    settings: str, expected: tuple[bool, bool, dict[str, float | None]], tmp_path: Path
) -> None:
    (tmp_path / "gate.toml").write_text(settings)
    gate = quality_gate.read(tmp_path, "prd", "churn")
    limits = {name: asked.limit for name, asked in gate.metrics.items()}
    assert (gate.allow_unmeasured, gate.allow_signature_change, limits) == expected


def test_what_was_measured_is_judged_though_the_leading_metric_was_not(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("[prd.churn]\nallow_unmeasured = true\n[prd.churn.accuracy]\nlimit = 0.9\n")
    gate = quality_gate.read(tmp_path, "prd", "churn")
    goals = {"roc_auc": "maximize", "accuracy": "maximize"}
    assert "accuracy is 0.1" in str(gate.failing("prd", {"roc_auc": None, "accuracy": 0.1}, goals))
    assert gate.failing("prd", {"roc_auc": None, "accuracy": None}, goals) is None
