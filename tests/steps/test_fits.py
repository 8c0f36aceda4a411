"""How a table of any size comes to an estimator: in batches with PARTIAL_FIT, or in memory, once, where it fits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.support.batches import in_batches_of

from bulkhead.errors import Refused
from modeling import memory

if TYPE_CHECKING:
    from tests.support.project import Ended, Project
    from tests.support.project_files import ProjectFiles

    from bulkhead.registry.records import ModelRecord

MODEL = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import Ridge, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
{said}

class Spy(RegressorMixin, BaseEstimator):
    seen = []
    def fit(self, X, y):
        self.seen.append(X)
        return self
    def partial_fit(self, X, y):
        return self.fit(X, y)
    def predict(self, X):
        return np.zeros(len(X))

def build(parameters):
    return {built}
"""
NUMBERS = "a,b,target\n" + "".join(f"{i / 100},{(i * 7 % 13) / 10},{i / 50 + 1}\n" for i in range(100))
CLASSES = "a,b,target\n" + "".join(f"{i / 100},{i % 3},{'low' if i < 70 else 'high'}\n" for i in range(100))


def trained(
    built: str, said: str, content: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> Ended:
    code.put("model.py", MODEL.format(built=built, said=said))
    project.put("t.csv", content)
    in_batches_of(10, monkeypatch)
    project.done("trainer", "preprocessing", "--source", "t.csv")
    return project.trainer("train_model")


def model_of(project: Project, ended: Ended) -> ModelRecord:
    assert ended.code == 0, ended.err
    return project.registry.latest("dev")


@pytest.mark.parametrize(
    ("built", "content"),
    [
        ("SGDRegressor(random_state=0)", NUMBERS),
        ("MLPRegressor(hidden_layer_sizes=(4,), random_state=0)", NUMBERS),
        ("SGDClassifier(random_state=0)", CLASSES),
        ("MLPClassifier(hidden_layer_sizes=(4,), random_state=0)", CLASSES),
        ("GaussianNB()", CLASSES),
    ],
)
def test_what_learns_piece_by_piece_is_given_every_batch_and_predicts(
    built: str, content: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one of the classes comes in the last batches alone."""
    record = model_of(project, trained(built, "PARTIAL_FIT = 5", content, project, code, monkeypatch))
    inferred = project.infer("t.csv")
    assert inferred["rows"] == 100
    if content is CLASSES:
        assert record.classes == ["high", "low"]
        assert set(inferred["predictions"]) <= {"high", "low"}


def test_two_trainings_piece_by_piece_give_one_model(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = {
        model_of(
            project, trained("SGDRegressor(random_state=0)", "PARTIAL_FIT = 2", NUMBERS, project, code, monkeypatch)
        ).model_hash
        for _ in range(2)
    }
    assert len(hashes) == 1


def test_each_pass_gives_the_rows_that_train_and_no_others(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = model_of(project, trained("Spy()", "PARTIAL_FIT = 3", NUMBERS, project, code, monkeypatch))
    seen = [frame["a"].tolist() for frame in sys.modules["project.model"].Spy.seen]
    rows = [cell for batch in seen for cell in batch]
    assert len(seen) > 3 * 5
    assert record.metrics is not None
    assert (record.metrics["train_rows"], record.metrics["test_rows"]) == (80, 20)
    assert rows[:80] == rows[80:160] == rows[160:]
    assert len(set(rows)) == 80


REFUSED = {
    "an estimator without partial_fit": ("Ridge()", "PARTIAL_FIT = 1", NUMBERS, "and Ridge has no partial_fit"),
    "no number": ("SGDRegressor()", "PARTIAL_FIT = 'yes'", NUMBERS, "PARTIAL_FIT is "),
    "below zero": ("SGDRegressor()", "PARTIAL_FIT = -1", NUMBERS, "PARTIAL_FIT is -1"),
    "without end": ("SGDRegressor()", "PARTIAL_FIT = 10**9", NUMBERS, "PARTIAL_FIT is 1000000000"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_learn_piece_by_piece_is_refused(what: str, project: Project, code: ProjectFiles) -> None:
    built, said, content, fragment = REFUSED[what]
    code.put("model.py", MODEL.format(built=built, said=said))
    project.put("t.csv", content)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    if ended.code == 0:
        ended = project.trainer("train_model")
        project.assert_refused(ended, "train_model", fragment)
    else:
        project.assert_refused(ended, "preprocessing", fragment)


def test_what_learns_nothing_of_a_number_that_is_not_finite_is_refused(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stochastic descent runs away on large numbers."""
    large = "a,b,target\n" + "".join(f"{i}e140,{i},{i}e140\n" for i in range(100))
    ended = trained("SGDRegressor(random_state=0)", "PARTIAL_FIT = 1", large, project, code, monkeypatch)
    assert ended.code == 1, ended.err
    assert len(ended.said) == 1


@pytest.mark.parametrize("built", ["Ridge()", "DummyRegressor()"])
def test_a_table_that_does_not_fit_into_memory_is_refused_with_the_figures_and_the_setting(
    built: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = memory.used()
    monkeypatch.setattr(memory, "limit", lambda: used)
    ended = trained(built, "", NUMBERS, project, code, monkeypatch)
    said = project.assert_refused(ended, "train_model", f"the fit of {built[:-2]} takes the whole table in memory")
    assert f"this step has {used / (1 << 20):,.0f} MiB" in said
    assert "BULKHEAD_STEP_MEMORY" in said
    assert "PARTIAL_FIT in project/model.py" in said


@pytest.mark.parametrize(
    ("built", "said"),
    [
        ("SGDRegressor(random_state=0)", "PARTIAL_FIT = 1"),
        ("LinearRegression()", "from modeling.linear import LinearRegression"),
    ],
)
def test_what_reads_batches_asks_for_no_memory(
    built: str, said: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "limit", lambda: 1)
    model_of(project, trained(built, said, NUMBERS, project, code, monkeypatch))


def test_a_check_of_the_whole_table_is_refused_where_the_table_does_not_fit(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.put("model.py", MODEL.format(built="DummyRegressor()", said="def check(frame):\n    return []"))
    project.put("t.csv", NUMBERS)
    monkeypatch.setattr(memory, "limit", lambda: 1)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    said = project.assert_refused(ended, "preprocessing", "check in project/model.py takes the whole table in memory")
    assert "check_rows instead of check" in said


def test_an_estimator_in_memory_gets_one_block_of_numbers_in_the_order_it_reads_them(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NumPy, without a copy: a second one of a large table would not fit."""
    model_of(project, trained("Spy()", "", NUMBERS, project, code, monkeypatch))
    (frame,) = sys.modules["project.model"].Spy.seen
    values = frame.to_numpy()
    assert values.dtype == np.float64
    assert np.shares_memory(values, frame["a"].to_numpy())
    assert np.shares_memory(values, np.asarray(frame, dtype=float))
    assert len(frame) == 80


@pytest.mark.parametrize("fraction", ["0", "0.5", "0.97"])
@pytest.mark.parametrize(("built", "said"), [("Ridge()", ""), ("SGDRegressor(random_state=0)", "PARTIAL_FIT = 1")])
def test_any_share_of_rows_may_be_held_out(
    fraction: str, built: str, said: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.put("model.py", MODEL.format(built=built, said=said))
    project.put("t.csv", NUMBERS)
    in_batches_of(10, monkeypatch)
    record = project.train("--source", "t.csv", fraction=fraction)
    assert record.metrics is not None
    held = round(100 * float(fraction))
    assert (record.metrics["test_rows"], record.metrics["train_rows"]) == (held, 100 - held)
    assert (record.metrics["r2"] is None) == (held == 0)


def test_what_fits_is_asked_for_and_what_does_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "limit", lambda: memory.used() + 1000)
    memory.check_fits("a fit", 100, "or not")
    with pytest.raises(Refused, match="BULKHEAD_STEP_MEMORY"):
        memory.check_fits("a fit", 10**9, "or not")
