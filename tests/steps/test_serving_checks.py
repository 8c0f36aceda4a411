"""Inference and promotion refuse a model that this image would not serve as it was trained."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from tests.support.project import lines_of, publish

from bulkhead.errors import NotVerified, Refused
from bulkhead.prediction import libraries
from bulkhead.registry import decisions, journal
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.project import Project

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

BY = DecisionContext("ada", "it is better")


@pytest.fixture
def check() -> Callable[[Registry, ModelRecord], dict[str, str]]:
    """The serving check, found as ``registry promote`` finds it."""
    (entry,) = entry_points(group="bulkhead.serving_check")
    loaded: Callable[[Registry, ModelRecord], dict[str, str]] = entry.load()
    return loaded


@pytest.fixture
def other_libraries(trained_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """This image has a later scikit-learn than the model was trained with."""
    del trained_project
    real = libraries.present
    monkeypatch.setattr(libraries, "present", lambda names: real(names) | {"scikit-learn": "99.0"})


here = libraries.versions()


def served(project: Project, environment: str) -> str | None:
    record = RegistryState(journal.read(project.registry.training_journal)).served(environment)
    return record.model_filename if record else None


def rewrite(project: Project, **changes: Any) -> ModelRecord:
    """The newest model's record as somebody might have edited it, appended once more."""
    record = msgspec.structs.replace(project.registry.latest("dev"), **changes)
    journal.append(project.registry.training_journal, record)
    return record


@pytest.mark.usefixtures("other_libraries")
def test_a_model_of_other_library_versions_is_refused_with_both(trained_project: Project) -> None:
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference")
    sentence = trained_project.assert_refused(ended, "model_inference", "scikit-learn")
    assert f"scikit-learn {here['scikit-learn']} then, 99.0 now" in sentence
    assert "--allow-version-drift" in sentence


@pytest.mark.usefixtures("other_libraries")
@pytest.mark.parametrize("flag", ["--allow-version-drift", "--allow-version-drift=true", "--allow-version-drift=True"])
def test_a_drift_of_versions_can_be_allowed_and_is_recorded(flag: str, trained_project: Project) -> None:
    line = trained_project.infer("sample", flag)
    assert line["version_drift"] == {"scikit-learn": [here["scikit-learn"], "99.0"]}
    assert line["libraries"]["scikit-learn"] == "99.0"


@pytest.mark.usefixtures("other_libraries")
def test_no_drift_is_allowed_by_saying_so(trained_project: Project) -> None:
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference", "--allow-version-drift=False")
    trained_project.assert_refused(ended, "model_inference", "other library versions")


def test_allowing_a_drift_of_versions_allows_no_other_transformation(trained_project: Project) -> None:
    rewrite(trained_project, transformation="f" * 64)
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference", "--allow-version-drift")
    trained_project.assert_refused(ended, "model_inference", "the transformation has changed since")


def test_a_patch_release_of_python_is_no_drift_and_a_minor_one_is() -> None:
    trained = here | {"python": "3.13.5"}
    assert libraries.drift(trained, here | {"python": "3.13.9"}) == {}
    assert libraries.drift(trained, here | {"python": "3.14.0"}) == {"python": ["3.13.5", "3.14.0"]}


def test_a_library_that_one_side_does_not_name_is_a_drift() -> None:
    without = {name: found for name, found in here.items() if name != "joblib"}
    assert libraries.drift(without, here) == {"joblib": ["absent", here["joblib"]]}


def test_an_inference_record_names_its_model_by_its_bytes_and_what_it_ran_with(trained_project: Project) -> None:
    line = trained_project.infer()
    model = trained_project.registry.latest("dev")
    assert line["model_sha256"] == model.sha256
    assert line["transformation"] == model.transformation
    assert line["dtypes"] == {"feature1": "int64", "feature2": "int64"}
    assert line["libraries"] == here
    assert line["version_drift"] is None
    assert line["source"] == "sample"
    assert line["duration_seconds"] > 0
    assert line["peak_memory_bytes"] > 1 << 20


def test_a_revoked_model_is_refused_by_name_with_the_reason_and_is_served_no_more(trained_project: Project) -> None:
    older = trained_project.registry.latest("dev").model_filename
    newer = trained_project.train().model_filename
    decisions.revoke(trained_project.registry, newer, DecisionContext("ada", "trained on the wrong table"))
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference", "--model", newer)
    trained_project.assert_refused(ended, "model_inference", "revoked by ada")
    assert "trained on the wrong table" in ended.err
    assert trained_project.infer()["model_used"] == older


def test_with_every_model_revoked_inference_says_so(trained_project: Project) -> None:
    decisions.revoke(trained_project.registry, trained_project.registry.latest("dev").model_filename, BY)
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference")
    trained_project.assert_refused(ended, "model_inference", "every model of the environment dev was revoked")


def test_a_model_that_can_be_served_passes_the_check(
    trained_project: Project, check: Callable[[Registry, ModelRecord], dict[str, str]]
) -> None:
    assert check(trained_project.registry, trained_project.registry.latest("dev")) == here


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"transformation": "f" * 64}, "the transformation has changed"),
        ({"transformation": None}, "has no transformation"),
        ({"libraries": {"python": "3.13.5"}}, "scikit-learn absent then"),
        ({"libraries": None}, "other library versions"),
        ({"features": None}, "no features with types"),
        ({"dtypes": {"feature1": "int64"}}, "no features with types"),
        ({"features": ["a"], "dtypes": {"a": "int64"}, "input_example": None}, "needs the transformed columns"),
        ({"sha256": "0" * 64}, "is not the file that was published"),
        ({"sha256": None}, "has no sha256"),
    ],
)
def test_what_inference_would_refuse_is_refused_before_a_promotion(
    changes: dict[str, Any],
    fragment: str,
    trained_project: Project,
    check: Callable[[Registry, ModelRecord], dict[str, str]],
) -> None:
    record = rewrite(trained_project, **changes)
    with pytest.raises(Refused, match=fragment):
        check(trained_project.registry, record)


def test_a_model_that_gives_no_number_fails_the_smoke_prediction(
    trained_project: Project, check: Callable[[Registry, ModelRecord], dict[str, str]]
) -> None:
    before = trained_project.registry.latest("dev")
    model = trained_project.registry.load(before)
    model[-1].coef_ = model[-1].coef_ * np.inf
    model.set_params(transform="passthrough")  # what was loaded has a function that cannot be stored by name
    record = publish(trained_project.registry, "dev", model, **_lineage_of(before))
    with pytest.raises(Refused, match="gives no finite prediction"):
        check(trained_project.registry, record)


def test_a_file_that_is_swapped_is_refused_by_the_check(
    trained_project: Project, check: Callable[[Registry, ModelRecord], dict[str, str]]
) -> None:
    record = trained_project.registry.latest("dev")
    path = trained_project.models / record.model_filename
    path.chmod(0o644)
    path.write_bytes(b"another")
    with pytest.raises(NotVerified, match="is not the file that was published"):
        check(trained_project.registry, record)


def test_the_step_promote_model_serves_the_dev_model_in_prd(trained_project: Project) -> None:
    model = trained_project.registry.latest("dev").model_filename
    trained_project.done("inference", "check_model", "--model", model)
    facts = msgspec.json.decode((trained_project.shared / "check_model.json").read_bytes())["facts"]
    assert facts["candidate"]["model_filename"] == model
    assert facts["served"] is None
    trained_project.done(
        "inference", "promote_model", "--model", model, "--by", "ada", "--reason", "good", "--replacing", "none"
    )
    assert served(trained_project, "prd") == model
    assert trained_project.infer(environment="prd")["model_used"] == model
    line = lines_of(trained_project.registry.training_journal)[-1]
    assert line["promotion"]["libraries"] == here
    assert line["task_id"] == "train_model"
    assert line["promotion"]["task_id"] == "promote_model"


def test_a_model_below_prds_least_r2_is_not_promoted(project: Project) -> None:
    (project.models / "gate.toml").write_text("[prd]\nmin_r2 = 1.5\n")
    model = project.train().model_filename
    ended = project.inference("promote_model", "--model", model, "--by", "ada", "--reason", "good")
    project.assert_refused(
        ended, "promote_model", "r2 is 1 on the held-out rows, and the limit for prd in models/gate.toml is 1.5", "prd"
    )


@pytest.mark.parametrize(
    ("by", "reason", "fragment"),
    [("", "good", "who decides is empty"), ("ada", " ", "the reason is empty"), ("ada", "x" * 501, "501 characters")],
)
def test_a_decision_without_a_name_or_a_reason_is_refused(
    by: str, reason: str, fragment: str, trained_project: Project
) -> None:
    model = trained_project.registry.latest("dev").model_filename
    ended = trained_project.inference("promote_model", "--model", model, "--by", by, "--reason", reason)
    trained_project.assert_refused(ended, "promote_model", fragment, "prd")


def test_the_step_rollback_model_serves_the_model_before(trained_project: Project) -> None:
    older = trained_project.registry.latest("dev").model_filename
    newer = trained_project.train().model_filename
    trained_project.done("inference", "rollback_model", "--by", "ada", "--reason", "odd")
    assert served(trained_project, "dev") == older
    line = lines_of(trained_project.registry.training_journal)[-1]
    assert (line["model_filename"], line["withdrawn"]) == (older, [newer])
    ended = trained_project.inference("rollback_model", "--by", "ada", "--reason", "odd")
    trained_project.assert_refused(ended, "rollback_model", "dev has no earlier good model")


def test_the_step_revoke_model_takes_a_model_out_of_service_once_it_is_confirmed(trained_project: Project) -> None:
    model = trained_project.registry.latest("dev").model_filename
    given = ("--model", model, "--by", "ada", "--reason", "odd")
    ended = trained_project.inference("revoke_model", *given, "--confirm", "another")
    trained_project.assert_refused(ended, "revoke_model", "'another' was typed to confirm it")
    trained_project.done("inference", "revoke_model", *given, "--confirm", model)
    line = lines_of(trained_project.registry.training_journal)[-1]
    assert (line["model_filename"], line["by"], line["reason"]) == (model, "ada", "odd")
    again = trained_project.inference("revoke_model", *given, "--confirm", model)
    assert again.code == 1
    assert "it was revoked by ada" in again.err


def _lineage_of(record: ModelRecord) -> dict[str, Any]:
    keys = ("features", "dtypes", "transformation", "libraries", "input_example")
    return {key: getattr(record, key) for key in keys}


class Useless:
    """Dumps well, and cannot be loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_fail, ())


def _fail() -> None:
    raise AttributeError("no such module any more")


@pytest.mark.parametrize("model", [Useless(), {"weights": [1.0]}, None, "text"])
def test_a_model_that_cannot_be_loaded_or_does_not_predict_is_refused_and_no_crash(
    model: object, trained_project: Project, check: Callable[[Registry, ModelRecord], dict[str, str]]
) -> None:
    record = publish(trained_project.registry, "dev", model, **_lineage_of(trained_project.registry.latest("dev")))
    with pytest.raises(Refused, match="cannot be loaded, or does not predict"):
        check(trained_project.registry, record)
    # And it keeps no successor out.
    successor = trained_project.train()
    assert successor.gate is not None
    assert "not_compared" in successor.gate


def test_prd_serving_a_model_of_a_legacy_record_keeps_no_model_from_being_checked(project: Project) -> None:
    from tests.support.project import LEGACY_TRAININGS

    project.registry.training_journal.write_bytes(LEGACY_TRAININGS)
    model = project.train().model_filename
    project.done("inference", "check_model", "--model", model)
    facts = msgspec.json.decode((project.shared / "check_model.json").read_bytes())["facts"]
    assert facts["served"]["metrics"] == {}
