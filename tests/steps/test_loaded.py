"""A published model in a notebook: what inference would predict, or the sentence of why not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from bulkhead.errors import NoModel, NotVerified, OutOfService, Refused
from bulkhead.prediction import libraries
from bulkhead.prediction.loaded import load
from bulkhead.registry import decisions, journal
from bulkhead.registry.decisions import DecisionContext

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

SAMPLE = Path(__file__).parents[1] / "samples/registry_2026_11"
MODEL = """
import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin, BaseEstimator
from bulkhead.columns import boolean, category, date, identifier, number, text
COLUMNS = {
    "who": identifier(), "size": number(), "age": number(missing=True), "plan": category(), "active": boolean(),
    "since": date(), "note": text(),
}
class Own(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self
    def predict_proba(self, X):
        high = expit(X["size"].to_numpy() + (X["plan"] == "pro").to_numpy())
        return np.column_stack([1 - high, high])
    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
def transform(frame):
    if frame["size"].max() > 1000:
        raise ValueError("too large")
    return frame.drop(columns="since")
def build(parameters):
    return Own()
"""
ROWS = 40


def table() -> pd.DataFrame:
    places = np.arange(ROWS)
    frame = pd.DataFrame({"who": [f"k{i}" for i in places], "size": places % 7 - 3, "age": places / 3})
    frame.loc[::4, "age"] = np.nan
    return frame.assign(
        plan=np.where(places % 3, "basic", "pro"),
        active=places % 2 == 0,
        since=pd.Timestamp("2026-01-01") + pd.to_timedelta(places, unit="D"),
        note="said",
        target=np.where(places % 7 > 3, "yes", "no"),
    )


@pytest.fixture
def trained(project: Project, code: ProjectFiles) -> Project:
    """dev serves a model of every kind of column."""
    code.put("model.py", MODEL)
    table().to_csv(project.inputs / "t.csv", index=False)
    project.train("--source", "t.csv")
    return project


def predicted(project: Project) -> pd.DataFrame:
    line = project.infer("t.csv")
    return pd.read_parquet(project.shared / line["predictions_path"].rpartition("/")[2])


def rewrite(project: Project, **changes: Any) -> None:
    """The served model's record as somebody might have edited it."""
    record = msgspec.structs.replace(project.registry.latest("dev"), **changes)
    journal.append(project.registry.training_journal, record)


FRAMES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "categories": {"plan": table()["plan"].astype("category")},
    "truth as words": {"active": np.where(table()["active"], "Yes", "no")},
    "dates as words": {"since": table()["since"].dt.strftime("%Y-%m-%d")},
    "dates of a zone": {"since": table()["since"].dt.tz_localize("UTC")},
    "numbers as words": {"size": table()["size"].astype(str)},
    "nullable numbers": {"age": table()["age"].astype("Float64")},
    "another index": {"size": table()["size"].to_numpy(dtype="int32")},
}


@pytest.mark.parametrize("changes", FRAMES.values(), ids=FRAMES)
def test_a_frame_is_predicted_as_inference_would_to_the_bit(changes: dict[str, Any], trained: Project) -> None:
    expected = predicted(trained)
    frame = table().assign(**changes)
    found = load("dev", models=trained.models).predict(frame.set_index(frame["who"].to_numpy()[::-1]))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert list(found) == ["who", "prediction", "probability_no", "probability_yes"]


def test_a_frame_without_identifier_is_predicted_too(trained: Project) -> None:
    found = load("dev", models=trained.models).predict(table().drop(columns=["who", "note", "target"]))
    assert list(found["prediction"]) == list(predicted(trained)["prediction"])


def test_a_model_without_identifier_numbers_its_rows(project: Project) -> None:
    project.train()
    found = load("dev", models=project.models).predict(pd.DataFrame({"feature1": [1, 2], "feature2": [21, 22]}))
    assert list(found) == ["row", "prediction"]
    assert list(found["row"]) == [1, 2]
    assert list(found["prediction"]) == pytest.approx([41, 42])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a column more": ({"extra": 1}, "the frame is not what model_.* was trained for: unexpected 'extra'"),
    "a number that is text": ({"size": "many"}, "'size' is text, was int64"),
    "a whole number that is a fraction": ({"size": 0.5}, "'size' is double, was int64"),
    "a missing number": ({"size": [None, *range(ROWS - 1)]}, "column 'size', row 1: the (cell is empty|value is NaN)"),
    "a missing word": ({"plan": ["pro"] * (ROWS - 1) + [None]}, f"column 'plan', row {ROWS}: the cell is empty"),
    "no truth": ({"active": "maybe"}, "column 'active', row 1: 'maybe' is not true or false"),
    "no date": ({"since": "soon"}, "column 'since', row 1: 'soon' is not a date"),
    "what the transformation refuses": (
        {"size": 2000},
        "the model's transformation fails: .*too large.* Fix the frame.",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_frame_that_is_not_the_models_is_refused(changes: dict[str, Any], sentence: str, trained: Project) -> None:
    model = load("dev", models=trained.models)
    with pytest.raises(Refused, match=sentence):
        model.predict(table().assign(**changes))


def test_columns_that_are_missing_or_in_another_order_are_refused(trained: Project) -> None:
    model = load("dev", models=trained.models)
    with pytest.raises(Refused, match=r"missing 'plan'"):
        model.predict(table().drop(columns="plan"))
    with pytest.raises(Refused, match="order "):
        model.predict(table()[["age", "size", "plan", "active", "since"]])


def test_other_library_versions_are_refused_unless_they_are_allowed(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whatever the file needs: this one's own class calls SciPy, which scikit-learn alone does not say."""
    real = libraries.present
    then = (trained.registry.latest("dev").libraries or {})["scipy"]
    monkeypatch.setattr(libraries, "present", lambda names: real(names) | {"scipy": "99.0"})
    with pytest.raises(
        Refused, match=f"other library versions: scipy {then} then, 99.0 now. .* run: pip install .*scipy=={then}"
    ):
        load("dev", models=trained.models)
    assert len(load("dev", models=trained.models, allow_version_drift=True).predict(table())) == ROWS


def test_a_library_that_is_not_here_is_a_drift(trained: Project) -> None:
    rewrite(trained, libraries=libraries.versions() | {"lightgbm": "4.6.0"})
    with pytest.raises(Refused, match=r"lightgbm 4\.6\.0 then, absent now"):
        load("dev", models=trained.models)
    trained.prepare_inference("t.csv")
    ended = trained.inference("model_inference")
    trained.assert_refused(ended, "model_inference", "lightgbm 4.6.0 then, absent now")


def test_an_altered_file_is_refused(trained: Project) -> None:
    path = trained.models / trained.registry.latest("dev").model_filename
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(NotVerified, match="is not the file that was published"):
        load("dev", models=trained.models)


def test_a_file_that_does_not_load_here_is_refused(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.pipeline", None)
    with pytest.raises(Refused, match=r"cannot be loaded here: .*Install what it was trained with"):
        load("dev", models=trained.models)


def test_a_version_of_another_name_is_refused(trained: Project) -> None:
    filename = trained.registry.latest("dev").model_filename
    with pytest.raises(Refused, match=r"is a version of the model model, not of churn\. Name that one\."):
        load("dev", name="churn", filename=filename, models=trained.models)
    with pytest.raises(NoModel, match="no model of churn of the environment dev yet"):
        load("dev", name="churn", models=trained.models)


def test_an_environment_without_a_model_and_a_file_that_nobody_published_are_refused(trained: Project) -> None:
    with pytest.raises(NoModel, match="no model of the environment prd yet"):
        load(models=trained.models)
    with pytest.raises(Refused, match="has no model 'nobody"):
        load("dev", filename="nobody.joblib", models=trained.models)


def test_a_revoked_version_is_refused_and_the_one_before_is_loaded(trained: Project) -> None:
    first = trained.registry.latest("dev").model_filename
    second = trained.train("--source", "t.csv").model_filename
    decisions.revoke(trained.registry, second, DecisionContext("ada", "a wrong table"))
    with pytest.raises(OutOfService, match="a wrong table"):
        load("dev", filename=second, models=trained.models)
    assert load("dev", models=trained.models).record.model_filename == first


def test_a_model_of_before_is_refused_with_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "models", tmp_path / "models")
    with pytest.raises(NotVerified, match=r"before models carried their transformation.*Train a new model"):
        load("dev", models=tmp_path / "models")


def test_the_registry_is_found_from_a_folder_of_the_project(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained.folder / "notebooks/old").mkdir(parents=True)
    monkeypatch.chdir(trained.folder / "notebooks/old")
    model = load("dev")
    assert repr(model) == f"<model of dev: {model.record.model_filename}>"
    monkeypatch.chdir("/")
    with pytest.raises(Refused, match=r"no models/log.txt in / or above. Name the folder"):
        load("dev")
    assert load("dev", models=str(tmp_path / "models")).record == model.record
