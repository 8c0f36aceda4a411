"""What a model must show before it is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from tests.support.project import lines_of

from bulkhead import environments
from bulkhead.errors import Refused
from bulkhead.registry import quality_gate
from bulkhead.registry.quality_gate import MetricGate, QualityGate
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.project import Ended, Project

ROWS = 300
DEFAULTS = {one.name: msgspec.convert(one.gate, QualityGate) for one in environments.ENVIRONMENTS}


def table(noise: float, names: str = "a,b,target") -> str:
    """``target`` follows ``a`` and ``b``, as far as ``noise`` lets it."""
    generator = np.random.default_rng(5)
    a, b, error = generator.normal(size=(3, ROWS))
    target = a + 2 * b + noise * error
    return names + "\n" + "".join(f"{x},{y},{z}\n" for x, y, z in zip(a, b, target, strict=True))


@pytest.fixture
def project_serving_a_good_model(project: Project) -> Project:
    """prd serves a model of ``good.csv``; ``bad.csv`` has the same rows with much noise in the target."""
    project.put("good.csv", table(0.1))
    project.put("bad.csv", table(2))
    project.train("--source", "good.csv", environment="prd")
    return project


def settle(project: Project, settings: str) -> None:
    (project.models / "gate.toml").write_text(settings)


def train(project: Project, source: str, environment: str = "prd", *flags: str) -> Ended:
    project.done("trainer", "preprocessing", "--environment", environment, "--source", source)
    return project.trainer("train_model", "--environment", environment, *flags)


def last_failure(project: Project) -> dict[str, Any]:
    return lines_of(project.registry.training_journal)[-1]


def test_the_file_that_comes_with_the_project_holds_the_defaults(pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.rootpath / "models"
    assert {name: quality_gate.read(folder, name) for name in environments.NAMES} == DEFAULTS


def test_a_registry_without_settings_has_the_defaults(tmp_path: Path) -> None:
    assert {name: quality_gate.read(tmp_path, name) for name in environments.NAMES} == DEFAULTS


def test_a_definition_with_keys_that_are_none_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of an environment that was added before the gate had metrics by name."""
    older = environments.EnvironmentDefinition(name="prd", promotes_from="dev", gate={"min_r2": 0.0})
    monkeypatch.setattr(environments, "ENVIRONMENTS", (environments.EnvironmentDefinition(name="dev"), older))
    with pytest.raises(Refused, match=r"environments\.py: the gate of prd: Object contains unknown field `min_r2`"):
        quality_gate.read(tmp_path, "prd")
    assert quality_gate.read(tmp_path, "dev") == QualityGate()


def test_an_environment_that_the_settings_leave_out_asks_nothing(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("[dev]\nmin_r2 = 1\n")
    assert quality_gate.read(tmp_path, "dev") == QualityGate(metrics={"r2": MetricGate(limit=1.0)})
    assert quality_gate.read(tmp_path, "prd") == QualityGate()


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ("[prd]\nmin_r2 = 'high'\n", "Expected `float"),
        ("[prd]\nmin_r = 0.5\n", "unknown field `min_r`"),
        ("[prod]\nmin_r2 = 0.5\n", f"no environment 'prod', only {', '.join(environments.NAMES)}."),
        ("[prd]\nmin_r2 = nan\n", "min_r2 is nan, not a finite number"),
        ("[prd]\nmax_r2_drop = inf\n", "max_r2_drop is inf"),
        ("[prd]\nmax_r2_drop = -0.1\n", "must not be negative"),
        ("[prd\n", "Fix it"),
        ("min_r2 = 0.5\n", "Expected `object`"),
        ("[prd]\nmin_r2 = 0.5\nmin_r2 = 0.6\n", "Fix it"),
        ("\xff", "Fix it"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_the_fit(
    settings: str, fragment: str, project: Project
) -> None:
    (project.models / "gate.toml").write_bytes(settings.encode("latin-1"))
    ended = train(project, "sample")
    sentence = project.assert_refused(ended, "train_model", "models/gate.toml: ", "prd")
    assert fragment in sentence
    assert project.model_files() == []


def test_a_model_below_the_least_r2_is_not_stored_and_its_record_holds_its_metrics(project: Project) -> None:
    project.put("bad.csv", table(30))
    settle(project, "[dev]\nmin_r2 = 0.9\n")
    ended = train(project, "bad.csv", "dev")
    project.assert_refused(ended, "train_model", "the limit for dev in models/gate.toml is 0.9")
    assert project.model_files() == []
    metrics = last_failure(project)["metrics"]
    assert metrics["r2"] < 0.9
    assert metrics["rmse"] > 0
    assert metrics["gate"]["metrics"]["r2"]["limit"] == 0.9


def test_prd_asks_as_it_comes_for_more_than_the_mean_and_dev_asks_nothing(project: Project) -> None:
    # Held out are rows of another slope than the trained ones, whichever they are: no line fits both halves.
    rows = "".join(f"{x},{(-1) ** x * x}\n" for x in range(40))
    project.put("noise.csv", "x,target\n" + rows)
    ended = train(project, "noise.csv", "prd")
    project.assert_refused(ended, "train_model", "the limit for prd in models/gate.toml is 0.", "prd")
    assert train(project, "noise.csv", "dev").code == 0


def test_a_model_clearly_worse_than_the_served_one_on_the_same_rows_is_not_stored(
    project_serving_a_good_model: Project,
) -> None:
    project = project_serving_a_good_model
    files = project.model_files()
    settle(project, "[prd]\nmax_r2_drop = 0.0\n")
    ended = train(project, "good.csv", "prd", "--seed", "1", "--test-fraction", "0.9")
    project.assert_refused(ended, "train_model", f"the served {files[0]} has", "prd")
    found = last_failure(project)["metrics"]
    assert found["r2"] < found["gate"]["served_metrics"]["r2"]
    assert project.model_files() == files


def test_the_served_model_is_measured_on_the_very_rows_that_were_held_out(
    project_serving_a_good_model: Project,
) -> None:
    """On rows it cannot predict, a bad served model does not stand in the way."""
    project = project_serving_a_good_model
    record = project.train("--source", "bad.csv", environment="prd")
    assert record.gate is not None
    assert record.metrics is not None
    served = record.gate["served_metrics"]["r2"]
    # Both models saw nearly the same slopes, and the same noisy rows measure both.
    assert served == pytest.approx(record.metrics["r2"], abs=0.2)
    assert served < 0.9


def test_a_small_drop_passes(project_serving_a_good_model: Project) -> None:
    settle(project_serving_a_good_model, "[prd]\nmax_r2_drop = 0.5\n")
    assert train(project_serving_a_good_model, "good.csv", "prd", "--seed", "1", "--test-fraction", "0.9").code == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (table(0.1, "a,c,target"), "the served model has other features"),
        (table(0.1, "a,b,y"), "the served model has another target"),
    ],
)
def test_a_model_for_other_data_is_not_compared_and_its_record_says_why(
    content: str, reason: str, project_serving_a_good_model: Project
) -> None:
    project_serving_a_good_model.put("other.csv", content)
    target = content.split("\n", 1)[0].rsplit(",", 1)[1]
    settle(project_serving_a_good_model, '[prd."*"]\nallow_signature_change = true\n')
    record = project_serving_a_good_model.train("--source", "other.csv", "--target", target, environment="prd")
    assert record.gate is not None
    assert record.gate["not_compared"] == reason
    assert "served_metrics" not in record.gate


def test_a_served_model_that_is_gone_does_not_keep_the_next_from_being_published(
    project_serving_a_good_model: Project,
) -> None:
    project = project_serving_a_good_model
    (project.models / project.model_files()[0]).unlink()
    record = project.train("--source", "good.csv", environment="prd")
    assert record.gate is not None
    assert "missing" in record.gate["not_compared"]


def test_an_unmeasured_model_passes_unless_the_settings_say_otherwise(project: Project) -> None:
    settle(project, "[prd]\nmin_r2 = 0.0\n")
    assert train(project, "sample", "prd", "--test-fraction", "0").code == 0
    settle(project, "[prd]\nallow_unmeasured = false\n")
    ended = train(project, "sample", "prd", "--test-fraction", "0")
    project.assert_refused(ended, "train_model", "allow_unmeasured is false for prd", "prd")


def test_the_first_model_is_compared_with_nothing(project: Project) -> None:
    record = project.train(environment="prd")
    assert record.gate is not None
    assert "no model of the environment prd" in record.gate["not_compared"]


def test_no_r2_that_is_not_a_number_passes() -> None:
    gate = QualityGate(metrics={"r2": MetricGate(limit=0.0)})
    with pytest.raises(Refused, match="r2 is 'nan', which is no number"):
        gate.failing("prd", {"r2": float("nan")}, {"r2": "maximize"})


def test_a_record_holds_the_lineage_of_its_model(project: Project) -> None:
    record = project.train(seed="7")
    assert isinstance(record, ModelRecord)
    assert record.trained_on is not None
    prepared = msgspec.json.decode((project.shared / "preprocessing.json").read_bytes())
    assert record.trained_on.sha256 == prepared["outputs"]["table"]["sha256"]
    assert record.trained_on.rows == 16
    assert record.parameters is not None
    assert record.parameters["seed"] == 7
    assert record.input_example == {"feature1": 0.0, "feature2": 20.0}
    assert record.duration_seconds is not None
    assert record.duration_seconds > 0
    assert record.peak_memory_bytes is not None
    assert record.peak_memory_bytes > 1 << 20
    model = project.registry.load(record)[-1]
    assert record.intercept == model.intercept_
    assert record.coefficients == dict(zip(model.feature_names_in_, model.coef_, strict=True))


def test_more_than_a_thousand_coefficients_stay_in_the_model_alone(project: Project) -> None:
    names = [f"f{i}" for i in range(1001)]
    rows = np.random.default_rng(2).normal(size=(8, 1002))
    text = ",".join([*names, "target"]) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    project.put("wide.csv", text)
    record = project.train("--source", "wide.csv")
    assert record.coefficients is None
    assert len(project.registry.load(record)[-1].coef_) == 1001
