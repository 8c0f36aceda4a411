"""What a model's record has of its held-out rows, for plots, without the user doing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from bulkhead.registry import bounded, profiles
from modeling import evaluating
from modeling.evaluating import Observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

    from bulkhead.registry.profiles import Evaluation

MODEL = """
from sklearn.{module} import {estimator}
{more}
def build(parameters):
    return {estimator}({arguments})
"""


def observed(
    truth: np.ndarray, predicted: np.ndarray, classes: list[Any], probabilities: np.ndarray | None = None
) -> Observed:
    """All of it, in batches of a hundred rows."""
    found = Observed(len(truth), 0, classes)
    for begin in range(0, len(truth), 100):
        part = slice(begin, begin + 100)
        given = {"predict": predicted[part]}
        if probabilities is not None:
            given["predict_proba"] = probabilities[part]
        found.add(truth[part], _of(given))
    return found


def _of(given: dict[str, np.ndarray]) -> Callable[[str, np.ndarray], np.ndarray | None]:
    return lambda kind, mask: given[kind][mask] if kind in given else None


def evaluation(*arguments: Any) -> Evaluation:
    found = observed(*arguments).evaluation()
    assert found is not None
    bounded.evaluation(found)  # which the registrar asks
    assert len(msgspec.json.encode(found)) <= profiles.LARGEST
    return found


def test_a_regression_has_a_scatter_and_residuals() -> None:
    truth = np.arange(2000.0)
    found = evaluation(truth, truth + np.tile([1.0, -1.0], 1000), [])
    assert found.rows == 2000
    assert found.scatter is not None
    assert len(found.scatter["actual"]) == len(found.scatter["predicted"]) == profiles.MOST_POINTS
    assert all(abs(a - p) == 1 for a, p in zip(*found.scatter.values(), strict=True))
    assert found.residuals is not None
    assert found.residuals["counts"][0] == found.residuals["counts"][-1] == 1000
    assert (found.residuals["edges"][0], found.residuals["edges"][-1]) == (-1, 1)
    assert (found.roc, found.calibration, found.confusion) == (None, None, None)


@pytest.mark.parametrize("error", [0.0, 7.0, 1e150])
def test_residuals_of_one_number_are_in_one_bin(error: float) -> None:
    found = evaluation(np.full(10, error), np.zeros(10), [])
    assert found.residuals is not None
    assert found.residuals["counts"] == [10]
    low, high = found.residuals["edges"]
    assert low < error < high


def test_residuals_of_huge_numbers_are_counted() -> None:
    found = evaluation(np.array([1e150, -1e150] * 5), np.zeros(10), [])
    assert found.residuals is not None
    assert sum(found.residuals["counts"]) == 10


def test_a_binary_classifiers_curves_are_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 5000)
    probabilities = np.clip(0.3 * truth + 0.7 * draw.random(5000), 0, 1)
    found = evaluation(truth, (probabilities > 0.5).astype(int), [False, True], probabilities)
    assert found.roc is not None
    assert list(found.roc) == ["true"]
    curve = found.roc["true"]
    assert len(curve["false_positive_rate"]) == profiles.MOST_CURVE_POINTS
    false_positives, true_positives, _ = roc_curve(truth, probabilities)
    exact = np.column_stack([false_positives, true_positives])
    assert all(np.abs(exact - point).sum(axis=1).min() < 1e-5 for point in np.column_stack([*curve.values()]))
    assert (curve["false_positive_rate"][0], curve["true_positive_rate"][-1]) == (0, 1)
    share, mean = calibration_curve(truth, probabilities, n_bins=10)
    assert found.calibration is not None
    assert found.calibration["observed"] == pytest.approx(share.tolist(), rel=1e-5)
    assert found.calibration["predicted"] == pytest.approx(mean.tolist(), rel=1e-5)
    assert sum(found.calibration["rows"]) == 5000
    assert found.confusion is not None
    assert found.confusion.classes == ["false", "true"]
    assert found.confusion.counts[1][0] == int(((truth == 1) & (probabilities <= 0.5)).sum())


def test_rows_of_one_class_have_a_calibration_and_no_roc() -> None:
    found = evaluation(np.ones(20, dtype=int), np.ones(20, dtype=int), ["a", "b"], np.full(20, 0.9))
    assert found.roc is None
    assert found.calibration == {"predicted": [0.9], "observed": [1.0], "rows": [20]}
    assert found.confusion is not None
    assert found.confusion.counts == [[0, 0], [0, 20]]


def test_of_many_classes_as_many_are_kept_as_there_is_room_for() -> None:
    draw = np.random.default_rng(0)
    classes = [f"class {i:03d}" + "x" * 90 for i in range(100)]
    truth = np.concatenate([np.repeat(np.arange(60, 100), 50), draw.integers(0, 100, 500)])
    probabilities = draw.dirichlet(np.ones(100), len(truth))
    found = evaluation(truth, probabilities.argmax(axis=1), classes, probabilities)
    assert found.confusion is not None
    assert len(found.confusion.classes) == len(found.confusion.counts) == 30
    assert all(int(name[6:9]) >= 60 for name in found.confusion.classes)
    assert found.roc is not None
    assert list(found.roc) == classes[:10]
    assert found.calibration is None


def test_the_largest_part_goes_where_a_record_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "LARGEST", 2000)
    found = observed(np.arange(900.0), np.arange(900.0), []).evaluation()
    assert found is not None
    assert found.scatter is None
    assert found.residuals is not None


def test_no_more_rows_are_looked_at_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "MOST_SHOWN", 500)
    found = observed(np.arange(10_000.0), np.arange(10_000.0), [])
    assert sum(map(len, found.truth)) == 500
    made = found.evaluation()
    assert made is not None
    assert made.rows == 500
    assert np.mean((made.scatter or {})["actual"]) == pytest.approx(5000, abs=700)  # of all of them, not the first


def test_what_is_not_finite_has_no_evaluation() -> None:
    truth = np.arange(10.0)
    assert observed(truth, np.full(10, np.inf), []).evaluation() is None
    assert observed(truth, np.full(10, np.inf), []).predictions() is None
    assert observed(truth, np.array([None] * 10), []).evaluation() is None
    made = observed(truth.astype(int) % 2, truth.astype(int) % 2, ["a", "b"], np.full(10, np.nan)).evaluation()
    assert made is not None
    assert (made.roc, made.calibration) == (None, None)


def test_a_regressions_record_has_it(project: Project) -> None:
    found = project.train().evaluation
    assert found is not None
    assert found.rows == 4
    assert found.scatter is not None
    assert len(found.scatter["actual"]) == 4
    assert found.scatter["actual"] == pytest.approx(found.scatter["predicted"], abs=1e-3)


def test_a_classifiers_record_has_it_whatever_its_metrics(project: Project, code: ProjectFiles) -> None:
    more = (
        "from bulkhead.scoring import maximize\nfrom sklearn.metrics import roc_auc_score\n"
        "METRICS = {'auc': maximize(roc_auc_score, response='predict_proba')}\nPOSITIVE = 'no'"
    )
    code.put("model.py", MODEL.format(module="linear_model", estimator="LogisticRegression", more=more, arguments=""))
    project.put("t.csv", "a,target\n" + "".join(f"{i},{'yes' if i % 20 > 9 else 'no'}\n" for i in range(200)))
    record = project.train("--source", "t.csv")
    found = record.evaluation
    assert found is not None
    assert found.confusion is not None
    assert found.confusion.classes == record.classes == ["yes", "no"]
    assert sum(map(sum, found.confusion.counts)) == 40
    assert list(found.roc or {}) == ["no"]


def test_a_classifier_without_probabilities_has_a_confusion_alone(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", MODEL.format(module="svm", estimator="LinearSVC", more="", arguments=""))
    project.put("t.csv", "a,target\n" + "".join(f"{i},{'xyz'[i % 3]}\n" for i in range(90)))
    found = project.train("--source", "t.csv").evaluation
    assert found is not None
    assert found.confusion is not None
    assert (found.roc, found.calibration, found.scatter) == (None, None, None)
    assert sum(map(sum, found.confusion.counts)) == 18
