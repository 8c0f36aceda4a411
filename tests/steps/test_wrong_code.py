"""Code in ``project/`` that is wrong: one sentence with its place, one record, and nothing published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.project import lines_of

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

TABLE = "colour,a,target\n" + "".join(f"{'red' if i % 2 else 'blue'},{i},{3 * i}\n" for i in range(20))
HEAD = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from bulkhead.columns import *
from bulkhead.scoring import *
COLUMNS = {"a": number()}
class Own(LinearRegression):
    def fit(self, X, y):
        return super().fit(X, y)
"""
"""Nine lines, so that what a case adds begins on line 10."""
BUILD = "def build(parameters): return LinearRegression()\n"
"""Line 10, where a case takes it; the rest begins on line 11."""

TEN, ELEVEN = ", project/model.py, line 10: ", ", project/model.py, line 11: "
NO_ESTIMATOR = "and not an estimator. Return an object with fit and predict"


def estimator(method: str, body: str) -> str:
    """A model whose estimator has a wrong ``method``: its body is on line 11."""
    return f"class E(Own):\n    def {method}(self, X, *y): {body}\ndef build(parameters): return E()\n"


def hook(head: str, body: str) -> str:
    """A model with a hook of one line, which is line 11."""
    return BUILD + f"def {head}: {body}\n"


PREPROCESSING: dict[str, tuple[str, str]] = {
    # The file itself.
    "a syntax error": ("def build(:\n", "model.py cannot be imported" + TEN + "SyntaxError"),
    "half an indentation": ("def build(parameters):\nreturn 1\n", "cannot be imported" + ELEVEN + "IndentationError"),
    "a package that is not there": ("import nosuch.deep\n", "No module named 'nosuch'. Add nosuch to project/req"),
    "a file that is not there": (
        "from project._no import x\n",
        TEN + "ModuleNotFoundError: No module named 'project._no'. Fix",
    ),
    "a name that is not there": ("from sklearn.svm import Nothing\n", TEN + "ImportError"),
    "raising": ("1 / 0\n", "cannot be imported" + TEN + "ZeroDivisionError"),
    "exiting": ("raise SystemExit(0)\n", "cannot be imported" + TEN + "SystemExit: 0"),
    "no build": ("", "project/model.py has no function build. Add one"),
    # What it declares.
    "build, a number": ("build = 5\n", "project/model.py: build is no function"),
    "transform, text": (BUILD + "transform = 'x'\n", "project/model.py: transform is no function"),
    "COLUMNS, a list": (BUILD + "COLUMNS = ['a']\n", "COLUMNS is no dict of columns"),
    "COLUMNS, empty": (BUILD + "COLUMNS = {}\n", "COLUMNS is no dict of columns"),
    "COLUMNS, a word": (
        BUILD + "COLUMNS = {'a': 'number'}\n",
        "COLUMNS says of 'a' that it is \"'number'\". Use number()",
    ),
    "COLUMNS, not called": (BUILD + "COLUMNS = {'a': number}\n", "COLUMNS says of 'a' that it is '<function number"),
    "COLUMNS, a numbered one": (BUILD + "COLUMNS = {1: number()}\n", "COLUMNS says of '1'"),
    "COLUMNS, one too many": (
        BUILD + "COLUMNS = {'z': number()}\n",
        "declares the columns 'z', which the table does not",
    ),
    "two identifiers": (BUILD + "COLUMNS = {'a': identifier(), 'b': identifier()}\n", "has the identifiers 'a', 'b'"),
    "every other, identifiers": (BUILD + "COLUMNS = {'*': identifier()}\n", "has the identifiers '*'"),
    "METRICS, a list": (BUILD + "METRICS = ['mae']\n", "METRICS is no dict of metrics"),
    "METRICS, a large letter": (BUILD + "METRICS = {'MAE': minimize(len)}\n", "METRICS names 'MAE'. Use small letters"),
    "METRICS, a taken name": (BUILD + "METRICS = {'test_rows': minimize(len)}\n", "METRICS names 'test_rows'"),
    "a metric without a goal": (
        BUILD + "METRICS = {'m': len}\n",
        "the metric m is '<built-in function len>'. Use maximize",
    ),
    "a metric that is no function": (BUILD + "METRICS = {'m': minimize(5)}\n", 'the metric m is "Metric(function=5'),
    "a metric of another goal": (BUILD + "METRICS = {'m': Metric(function=len, goal='up')}\n", "the metric m is"),
    "a metric of no response": (
        BUILD + "METRICS = {'m': minimize(len, response='proba')}\n",
        "predict or predict_proba",
    ),
    "TARGET, a number": (BUILD + "TARGET = 5\n", "project/model.py: TARGET is '5', and not a str"),
    "TARGET, None": (BUILD + "TARGET = None\n", "project/model.py: TARGET is 'None', and not a str"),
    "PROBLEM, a number": (BUILD + "PROBLEM = 5\n", "project/model.py: PROBLEM is '5', and not a str"),
    "PROBLEM, another word": (BUILD + "PROBLEM = 'guess'\n", "PROBLEM is 'guess'. Make it one of: regression, binary"),
    "POSITIVE, a list": (BUILD + "POSITIVE = ['x']\n", "POSITIVE is \"['x']\", and not a class"),
    # transform.
    "transform raises": (hook("transform(frame)", "return frame['b']"), "transform fails" + ELEVEN + "KeyError: 'b'"),
    "transform exits": (hook("transform(frame)", "raise SystemExit(1)"), "transform fails" + ELEVEN + "SystemExit"),
    "transform takes nothing": (hook("transform()", "pass"), "transform fails, project/model.py: TypeError"),
    "transform gives None": (
        hook("transform(frame)", "pass"),
        "the transformation returned NoneType, and not a DataFrame",
    ),
    "transform gives text": (hook("transform(frame)", "return 'x'"), "returned str, and not a DataFrame"),
    "transform gives a column": (hook("transform(frame)", "return frame['a']"), "returned Series"),
    "transform gives a class": (hook("transform(frame)", "return pd.DataFrame"), "returned type, and not a DataFrame"),
    "transform gives NaN": (hook("transform(frame)", "return frame * np.nan"), "made column 'a', row 1, nan"),
    "transform gives lists": (
        hook("transform(frame)", "return frame.assign(b=[[1]] * 20)"),
        "made column 'b' something else",
    ),
    "transform gives imaginary numbers": (hook("transform(frame)", "return frame * 1j"), "something else than numbers"),
    "transform gives intervals": (
        hook("transform(frame)", "return frame.assign(b=pd.cut(frame['a'], 3))"),
        "made column 'b' something else than numbers, categories or dates (interval",
    ),
    "transform mixes categories": (
        hook("transform(frame)", "return frame.assign(b=pd.Categorical([1, 'x'] * 10))"),
        "made column 'b' something else than numbers, categories or dates (object)",
    ),
    # check.
    "check raises": (hook("check(frame)", "return frame.nothing"), "check fails" + ELEVEN + "AttributeError"),
    "check gives True": (hook("check(frame)", "return True"), "check returned 'True'. Return a list of sentences"),
    "check gives text": (hook("check(frame)", "return 'x'"), "check returned \"'x'\". Return a list of sentences"),
    "check gives numbers": (hook("check(frame)", "return [1, 2]"), "check returned '[1, 2]'"),
    "check gives NaN": (hook("check(frame)", "return float('nan')"), "check returned 'nan'"),
    "check gives a class": (hook("check(frame)", "return list"), "check returned \"<class 'list'>\""),
    "check gives one by one": (hook("check(frame)", "yield 'x'"), "check returned '<generator object check"),
    "check says something": (
        hook("check(frame)", "return ['Too few rows. Give more.']"),
        "t.csv: Too few rows. Give more.",
    ),
}

TRAINING: dict[str, tuple[str, str]] = {
    # build and its estimator.
    "build raises": ("def build(parameters): return 1 / 0\n", "build fails" + TEN + "ZeroDivisionError"),
    "build takes nothing": ("def build(): pass\n", "build fails, project/model.py: TypeError"),
    "build gives None": ("def build(parameters): pass\n", "project/model.py: build returned 'None', " + NO_ESTIMATOR),
    "build gives text": ("def build(parameters): return 'x'\n", NO_ESTIMATOR),
    "build gives a class": ("def build(parameters): return LinearRegression\n", NO_ESTIMATOR),
    "build gives a scaler": (
        "from sklearn.preprocessing import StandardScaler\ndef build(parameters): return StandardScaler()\n",
        NO_ESTIMATOR,
    ),
    "build gives clusters": (
        "from sklearn.cluster import KMeans\ndef build(parameters): return KMeans()\n",
        "build returned KMeans, which scikit-learn knows as neither a regressor nor a classifier",
    ),
    "build gives what cannot be stored": (
        "import threading\ndef build(parameters):\n    e = Own()\n    e.lock = threading.Lock()\n    return e\n",
        "project/model.py: storing the model fails: TypeError",
    ),
    "the fit raises": (estimator("fit", "raise ValueError('no')"), "the fit of E fails" + ELEVEN + "ValueError: no"),
    "predict raises": (
        estimator("predict", "raise ValueError('no')"),
        "predict of E fails" + ELEVEN + "ValueError: no",
    ),
    "predict gives None": (estimator("predict", "return None"), "predict of E fails"),
    "predict gives two columns": (estimator("predict", "return np.zeros((len(X), 2))"), "predict of E fails"),
    "predict gives three rows": (estimator("predict", "return np.zeros(3)"), "predict of E fails"),
    "predict gives text": (
        estimator("predict", "return np.array(['x'] * len(X))"),
        "predict of E gives \"'x'\" for a held-out row",
    ),
    "predict gives NaN": (
        estimator("predict", "return np.full(len(X), np.nan)"),
        "predict of E gives nan for a held-out row",
    ),
    "a problem of another kind": (
        BUILD + "PROBLEM = 'binary'\n",
        "PROBLEM is binary, and LinearRegression is a regressor",
    ),
    # Metrics.
    "a metric raises": (
        hook("m(t, p)", "return t.no") + "METRICS = {'m': maximize(m)}\n",
        "the metric m fails" + ELEVEN,
    ),
    "a metric gives text": (
        BUILD + "METRICS = {'m': maximize(lambda t, p: 'x')}\n",
        "the metric m gave \"'x'\". Return one",
    ),
    "a metric gives True": (BUILD + "METRICS = {'m': maximize(lambda t, p: True)}\n", "the metric m gave 'True'"),
    "a metric gives a row each": (BUILD + "METRICS = {'m': maximize(lambda t, p: p)}\n", "the metric m gave 'array("),
    "a metric gives a class": (BUILD + "METRICS = {'m': maximize(lambda t, p: float)}\n", 'the metric m gave "<class'),
    "a metric gives NaN": (
        BUILD + "METRICS = {'m': maximize(lambda t, p: np.nan)}\n",
        "the metric m is nan, which is not",
    ),
    "a metric gives too much": (
        BUILD + "METRICS = {'m': maximize(lambda t, p: 10**400)}\n",
        "the metric m is inf, which",
    ),
    "a metric of probabilities that are none": (
        BUILD + "METRICS = {'m': maximize(len, response='predict_proba')}\n",
        "the metric m needs probabilities, and LinearRegression gives none",
    ),
    # plots.
    "plots raises": (hook("plots(e, f, t)", "return e.no"), "plots fails" + ELEVEN + "AttributeError"),
    "plots gives text": (hook("plots(e, f, t)", "return 'x'"), "plots returned \"'x'\". Return a dict"),
    "plots gives a class": (hook("plots(e, f, t)", "return dict"), "plots returned \"<class 'dict'>\""),
    "plots gives NaN": (hook("plots(e, f, t)", "return {'a': [1, np.nan]}"), "plots: a has nan in it"),
    "plots gives an object": (hook("plots(e, f, t)", "return {'a': e}"), "plots: a has 'LinearRegression()' in it"),
    "plots gives a huge number": (hook("plots(e, f, t)", "return {'a': 10**400}"), "a whole number of 401 digits"),
    "plots gives itself": (hook("plots(e, f, t)", "d = {}; d['d'] = d; return d"), "more than 20 deep"),
    "plots gives too much": (hook("plots(e, f, t)", "return {'a': [0.5] * 99999}"), "and 65536 are kept"),
    # explain.
    "explain raises": (hook("explain(e, f, t)", "return e.no"), "explain fails" + ELEVEN + "AttributeError"),
    "explain gives a list": (hook("explain(e, f, t)", "return [1]"), "explain returned '[1]'. Return a dict"),
    "explain gives text": (hook("explain(e, f, t)", "return {'a': 'x'}"), "explain has something else than a number"),
    "explain gives True": (hook("explain(e, f, t)", "return {'a': True}"), "explain has something else than a number"),
    "explain gives three each": (hook("explain(e, f, t)", "return {'a': np.zeros(3)}"), "something else than a number"),
    "explain gives NaN": (hook("explain(e, f, t)", "return {'a': np.nan}"), "explain: a has nan in it"),
    "explain gives a class": (hook("explain(e, f, t)", "return dict"), "explain returned \"<class 'dict'>\""),
}

STRUCT = "from bulkhead.parameters import TrainingParameters\nclass Parameters(TrainingParameters):\n    "
PARAMETERS: dict[str, tuple[str, str]] = {
    "a syntax error": ("class (\n", "cannot be imported, project/parameters.py, line 1: SyntaxError"),
    "raising": ("1 / 0\n", "cannot be imported, project/parameters.py, line 1: ZeroDivisionError"),
    "no such type": (STRUCT + "depth: Nothing = 1\n", "cannot be imported, project/parameters.py, line 3: NameError"),
    "nothing": ("", "project/parameters.py has no class Parameters. Add one"),
    "a class of nothing": ("class Parameters: pass\n", "Parameters must be a class of its own that extends"),
    "no default": (STRUCT + "depth: int\n", "project/parameters.py: the parameter depth has no default"),
    "a list": (STRUCT + "depth: list[int] = []\n", "the parameter depth is no number, text, truth value or choice"),
    "a dict": (
        STRUCT + "depth: dict[str, int] = {}\n",
        "the parameter depth is no number, text, truth value or choice",
    ),
    "a default of another type": (
        STRUCT + "depth: int = 'x'\n",
        "depth has a default that it does not take: Expected `int`",
    ),
    "a name that is taken": (STRUCT + "environment: str = 'x'\n", "environment has a name that the trigger form uses"),
}


def assert_one_refusal_and_nothing_published(project: Project, task: str, fragment: str, *flags: str) -> None:
    ended = project.trainer(task, *flags)
    # A hook's own sentence, and some errors' texts, end as they like: what to do next is looked at elsewhere.
    assert ended.code == 1, ended.err
    assert len(ended.said) == 1, ended.err
    assert ended.said[0].startswith(f"{task}: refused: ")
    assert fragment in ended.said[0]
    (record,) = lines_of(project.registry.training_journal)
    assert (record["step"], record["cause"]) == (task, "refused")
    assert record["detail"] == ended.said[0].removeprefix(f"{task}: refused: ")
    assert project.model_files() == []
    project.assert_nothing_half_written()


@pytest.mark.parametrize(("body", "fragment"), PREPROCESSING.values(), ids=PREPROCESSING)
def test_wrong_code_is_refused_by_preprocessing(body: str, fragment: str, project: Project, code: ProjectFiles) -> None:
    code.put("model.py", HEAD + body)
    project.put("t.csv", TABLE)
    assert_one_refusal_and_nothing_published(project, "preprocessing", fragment, "--source", "t.csv")


@pytest.mark.parametrize(("body", "fragment"), TRAINING.values(), ids=TRAINING)
def test_wrong_code_is_refused_by_train_model(body: str, fragment: str, project: Project, code: ProjectFiles) -> None:
    code.put("model.py", HEAD + body)
    project.put("t.csv", TABLE)
    project.done("trainer", "preprocessing", "--source", "t.csv")
    assert_one_refusal_and_nothing_published(project, "train_model", fragment)


@pytest.mark.parametrize(("content", "fragment"), PARAMETERS.values(), ids=PARAMETERS)
def test_wrong_parameters_are_refused_by_train_model_whatever_it_is_given(
    content: str, fragment: str, project: Project, code: ProjectFiles
) -> None:
    code.put("model.py", HEAD + BUILD)
    code.put("parameters.py", content)
    project.put("t.csv", TABLE)
    project.done("trainer", "preprocessing", "--source", "t.csv")
    assert_one_refusal_and_nothing_published(project, "train_model", fragment, "--seed", "3", "--depth", "4")


@pytest.mark.parametrize("error", ["ValueError('no')", "SystemExit(0)"])
def test_an_estimator_that_fails_at_inference_alone_predicts_nothing(
    error: str, project: Project, code: ProjectFiles
) -> None:
    code.put(
        "model.py", HEAD + estimator("predict", f'return np.zeros(len(X)) if len(X) < 9 else exec("raise {error}")')
    )
    project.put("t.csv", TABLE)
    project.train("--source", "t.csv")
    project.prepare_inference("t.csv")
    ended = project.inference("model_inference")
    (record,) = lines_of(project.registry.inference_journal)
    assert project.predictions_files() == []
    if "System" in error:  # as any crash: it has a record
        assert (ended.code, record["cause"], record["error_message"]) == (70, "crashed", "SystemExit: 0")
    else:
        assert (ended.code, record["cause"], len(ended.said)) == (1, "refused", 1)
        assert "does not predict from this table: ValueError: no. Fix the table, or train" in record["error_message"]


def test_a_check_that_says_something_of_the_new_table_refuses_the_inference(
    project: Project, code: ProjectFiles
) -> None:
    code.put(
        "model.py", HEAD + hook("check(frame)", "return ['Too many rows. Give fewer.'] if len(frame) > 20 else []")
    )
    project.put("t.csv", TABLE)
    project.put("new.csv", "a\n" + "1\n" * 21)
    project.train("--source", "t.csv")
    assert len(project.infer("t.csv")["predictions"]) == 20
    (project.shared / project.predictions_files()[0]).unlink()
    ended = project.inference("generate_inf_data", "--source", "new.csv")
    project.assert_refused(ended, "generate_inf_data", "new.csv: Too many rows. Give fewer.")


def test_half_a_character_in_a_plot_keeps_no_model_out(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", HEAD + hook("plots(e, f, t)", "return {'\\udcff': ['\\udcff', np.int64(1), True, None]}"))
    project.put("t.csv", TABLE)
    assert project.train("--source", "t.csv").plots == {"?": ["?", 1, True, None]}


def test_a_number_that_explain_gives_whole_is_recorded_as_a_number(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", HEAD + hook("explain(e, f, t)", "return {'a': np.int64(3), 'b': 1}"))
    project.put("t.csv", TABLE)
    assert project.train("--source", "t.csv").importances == {"a": 3.0, "b": 1.0}
