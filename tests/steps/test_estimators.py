"""Twenty of scikit-learn's estimators, from training over a promotion to predictions, and the same from a notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from tests.support.project import lines_of
from tests.support.project_files import own_project

from bulkhead import paths
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from pathlib import Path

SHARED = """
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from bulkhead.columns import boolean, category, identifier, number

COLUMNS = {
    "who": identifier(), "plan": category(), "age": number(missing=True), "size": number(), "active": boolean(),
}

def encoded():
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer((words, ["plan"]), (numbers, ["age", "size", "active"]))
"""
MODEL = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from project._shared import COLUMNS, encoded
TARGET = {target!r}

def doubled(values):
    return values * 2

def transform(frame):
    return frame.assign(size=doubled(frame["size"]))

{code}

def build(parameters):
    return {built}
"""

OWN_REGRESSOR = """
class Own(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        self.slope_ = float(np.polyfit(X["size"], y, 1)[0])
        return self
    def predict(self, X):
        return self.mean_ + self.slope_ * doubled(X["size"].to_numpy()) / 2
"""
OWN_CLASSIFIER = """
class Own(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.middles_ = np.array([X["size"][y == one].mean() for one in self.classes_])
        return self
    def predict_proba(self, X):
        far = np.exp(-np.abs(X["size"].to_numpy()[:, None] - self.middles_))
        return far / far.sum(axis=1, keepdims=True)
    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
"""
VOTES = """
from sklearn.ensemble import VotingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
def voting():
    asked = [("a", GaussianNB()), ("b", DecisionTreeClassifier(random_state=0))]
    return VotingClassifier([(name, make_pipeline(encoded(), one)) for name, one in asked], voting="soft")
"""
NETWORK = "\nnetwork = {'hidden_layer_sizes': (8,), 'solver': 'lbfgs', 'max_iter': 999, 'random_state': 0}"
LAMBDA = "FunctionTransformer(lambda table: np.hstack([table, doubled(table) ** 2]))"

REGRESSORS: dict[str, tuple[str, str]] = {
    "ridge": ("from sklearn.linear_model import Ridge", "make_pipeline(encoded(), Ridge())"),
    "forest": (
        "from sklearn.ensemble import RandomForestRegressor",
        "make_pipeline(encoded(), RandomForestRegressor(10, random_state=0))",
    ),
    "boosting": (
        "from sklearn.ensemble import GradientBoostingRegressor",
        "make_pipeline(encoded(), GradientBoostingRegressor(n_estimators=10, random_state=0))",
    ),
    "histogram": (
        "from sklearn.ensemble import HistGradientBoostingRegressor",
        "HistGradientBoostingRegressor(max_iter=5, categorical_features='from_dtype')",
    ),
    "support_vectors": ("from sklearn.svm import SVR", "make_pipeline(encoded(), SVR(C=100))"),
    "neighbours": (
        "from sklearn.neighbors import KNeighborsRegressor",
        "make_pipeline(encoded(), KNeighborsRegressor())",
    ),
    "network": (
        f"from sklearn.neural_network import MLPRegressor{NETWORK}",
        "make_pipeline(encoded(), MLPRegressor(**network))",
    ),
    "nameless": (
        "from sklearn.linear_model import LinearRegression",
        f"make_pipeline(encoded(), {LAMBDA}, LinearRegression())",
    ),
    "turned": (
        "from sklearn.compose import TransformedTargetRegressor\nfrom sklearn.linear_model import Ridge",
        "TransformedTargetRegressor(make_pipeline(encoded(), Ridge()), func=doubled, inverse_func=lambda y: y / 2)",
    ),
    "own_regressor": (OWN_REGRESSOR, "Own()"),
}
CLASSIFIERS: dict[str, tuple[str, str]] = {
    "logistic": (
        "from sklearn.linear_model import LogisticRegression",
        "make_pipeline(encoded(), LogisticRegression())",
    ),
    "histogram_classes": (
        "from sklearn.ensemble import HistGradientBoostingClassifier",
        "HistGradientBoostingClassifier(max_iter=3, categorical_features='from_dtype')",
    ),
    "no_probabilities": ("from sklearn.svm import SVC", "make_pipeline(encoded(), SVC())"),
    "network_classes": (
        f"from sklearn.neural_network import MLPClassifier{NETWORK}",
        "make_pipeline(encoded(), MLPClassifier(**network))",
    ),
    "neighbour_classes": (
        "from sklearn.neighbors import KNeighborsClassifier",
        "make_pipeline(encoded(), KNeighborsClassifier())",
    ),
    "bayes": ("from sklearn.naive_bayes import GaussianNB", "make_pipeline(encoded(), GaussianNB())"),
    "votes": (VOTES, "voting()"),
    "nameless_classes": (
        "from sklearn.linear_model import LogisticRegression",
        f"make_pipeline(encoded(), {LAMBDA}, LogisticRegression())",
    ),
    "forest_classes": (
        "from sklearn.ensemble import RandomForestClassifier",
        "make_pipeline(encoded(), RandomForestClassifier(10, random_state=0))",
    ),
    "own_classifier": (OWN_CLASSIFIER, "Own()"),
}
BINARY = {"no_probabilities", "bayes", "own_classifier", "logistic"}
ALL = {**REGRESSORS, **CLASSIFIERS}

NOTEBOOK = """
import json, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"project", "modeling", "trainer", "inference", "tabular"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without())
import pandas as pd
from bulkhead.prediction.loaded import load

models, source, out, names = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
frame = pd.read_parquet(source)
for name in names:
    load("prd", name=name, models=models).predict(frame).to_parquet(f"{out}/{name}.parquet")
"""


def table() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    rows = 120
    age, size = draw.integers(18, 80, rows).astype(float), draw.normal(size=rows)
    plan = draw.choice(["basic", "plus", "pro"], rows)
    active = draw.random(rows) < 0.5
    y = 3 * size + (plan == "pro") + 0.5 * active + draw.normal(scale=0.1, size=rows)
    age[::9] = np.nan
    label = pd.cut(y, [-np.inf, -1.5, 1.5, np.inf], labels=["low", "middle", "high"]).astype(object)
    columns = {"who": [f"k{i}" for i in range(rows)], "plan": plan, "age": age, "size": size, "active": active}
    return pd.DataFrame({**columns, "y": y, "label": label, "leaves": np.where(y > 0, "yes", "no")})


class Published:
    """Every one of them, trained, promoted and asked; what failed, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: dict[str, str] = {}
        self.predictions: dict[str, pd.DataFrame] = {}
        for name in ("models", "inputs", "notebook"):
            (folder / name).mkdir()
        self.registry = Registry(folder / "models")
        self.table = table()
        self.table.to_parquet(folder / "inputs/t.parquet")

    def run(self, name: str, image: str, *argv: str) -> None:
        import inference.cli
        import trainer.cli

        argv = (argv[0], *(() if argv[0] in ("check_model", "promote_model") else ("--name", name)), *argv[1:])
        code = {"trainer": trainer.cli.main, "inference": inference.cli.main}[image](argv)
        assert code == 0, argv[0]

    def go(self, name: str, shared: Path) -> None:
        source, prd = ("--source", "t.parquet"), ("--environment", "prd")
        self.run(name, "trainer", "preprocessing", *source)
        self.run(name, "trainer", "train_model", "--test-fraction", "0.25")
        model = self.registry.latest("dev", name).model_filename
        self.run(name, "inference", "check_model", "--model", model)
        self.run(name, "inference", "promote_model", "--model", model, "--by", "ada", "--reason", "good")
        self.run(name, "inference", "generate_inf_data", *source, *prd)
        self.run(name, "inference", "preprocess_inf_data", *prd)
        self.run(name, "inference", "model_inference", *prd)
        (path,) = shared.glob("predictions_*.parquet")
        self.predictions[name] = pd.read_parquet(path)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Each model of its own name, in one registry; and what a program without the project made of them."""
    folder = tmp_path_factory.mktemp("estimators")
    published = Published(folder)
    with own_project(folder / "own") as code, pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "MODELS", str(folder / "models"))
        patch.setattr(paths, "INPUTS", str(folder / "inputs"))
        code.put("_shared.py", SHARED)
        for name, (head, built) in ALL.items():
            target = "y" if name in REGRESSORS else "leaves" if name in BINARY else "label"
            code.put(f"{name}.py", MODEL.format(target=target, code=head, built=built))
        for name in ALL:
            shared = folder / name
            shared.mkdir()
            patch.setattr(paths, "SHARED", str(shared))
            try:
                published.go(name, shared)
            except Exception as error:  # noqa: BLE001  # told by the test of this name
                last = [line.get("detail") for line in lines_of(published.registry.training_journal)[-1:]]
                published.failed[name] = f"{error!r}: {last}"
    names = json.dumps(list(published.predictions))
    arguments = [str(folder / "models"), str(folder / "inputs/t.parquet"), str(folder / "notebook"), names]
    ended = subprocess.run(
        [sys.executable, "-P", "-c", NOTEBOOK, *arguments], capture_output=True, text=True, check=False, cwd=folder
    )
    published.failed[""] = ended.stderr if ended.returncode else ""
    return published


@pytest.mark.parametrize("name", ALL)
def test_an_estimator_predicts_alike_in_inference_and_where_the_project_is_not(name: str, published: Published) -> None:
    assert published.failed.get(name, "") == ""
    assert published.failed[""] == ""
    steps = published.predictions[name]
    notebook = pd.read_parquet(published.folder / f"notebook/{name}.parquet")
    pd.testing.assert_frame_equal(steps, notebook, check_exact=True)
    assert list(steps["who"]) == list(published.table["who"])
    assert len(set(steps["prediction"])) > 1


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifiers_probabilities_are_of_its_classes_and_add_up(name: str, published: Published) -> None:
    steps, record = published.predictions[name], published.registry.latest("prd", name)
    classes = ["no", "yes"] if name in BINARY else ["high", "low", "middle"]
    assert (record.classes, record.problem) == (classes, "binary" if name in BINARY else "multiclass")
    assert set(steps["prediction"]) <= set(classes)
    if name == "no_probabilities":
        assert list(steps) == ["who", "prediction"]
        assert list(record.goals or {}) == ["accuracy"]
        return
    columns = [f"probability_{one}" for one in classes]
    assert list(steps) == ["who", "prediction", *columns]
    assert steps[columns].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(steps)))
    if name != "votes":  # whose predictions are of the mean, as those of the others are of the largest
        largest = steps[columns].to_numpy().argmax(axis=1)
        assert list(steps["prediction"]) == [classes[one] for one in largest]


@pytest.mark.parametrize("name", ALL)
def test_an_estimators_record_has_measured_it_and_names_what_it_needs(name: str, published: Published) -> None:
    record = published.registry.latest("prd", name)
    leading = next(iter(record.goals or {}))
    metrics: dict[str, Any] = record.metrics or {}
    assert leading == (
        "r2" if name in REGRESSORS else "roc_auc" if name in BINARY - {"no_probabilities"} else "accuracy"
    )
    assert metrics[leading] > 0.4
    assert {"scikit-learn", "scipy", "numpy", "pandas", "joblib", "threadpoolctl"} <= set(record.libraries or {})
    assert not [one for one in record.libraries or {} if one.startswith("bulkhead")]
    assert (record.importances is None) == (record.coefficients is not None)


def test_twenty_models_beside_each_other_are_each_served_as_their_own(published: Published) -> None:
    assert len({published.registry.latest("prd", name).model_filename for name in ALL}) == 20
