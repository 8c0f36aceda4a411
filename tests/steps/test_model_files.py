"""What a model's files may hold: rows stay in their place, caches and siblings go along, and words are words."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from tests.support.project import lines_of

from bulkhead import parameters
from bulkhead.errors import Refused
from bulkhead.prediction import cells
from modeling.fingerprint import fingerprint

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

    from bulkhead.columns import Column

LINEAR = """
from sklearn.linear_model import LinearRegression
def build(parameters): return LinearRegression()
"""
LOGISTIC = """
from sklearn.linear_model import LogisticRegression
def build(parameters): return LogisticRegression()
"""
NUMBERS = "a,b,target\n" + "".join(f"{(i * 7) % 40},{i % 5},{i}\n" for i in range(40))


@pytest.mark.parametrize("moved", ["frame.sort_values('a')", "frame.iloc[::-1]", "frame.reindex(frame.index[::-1])"])
def test_a_transformation_that_moves_rows_is_refused(moved: str, project: Project, code: ProjectFiles) -> None:
    code.put("model.py", f"{LINEAR}def transform(frame): return {moved}\n")
    project.put("t.csv", NUMBERS)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    project.assert_refused(ended, "preprocessing", "its rows may be in another order")


@pytest.mark.parametrize("classes", [("healthy", "infected"), ("18-25", "26-40"), ("3rd", "first"), ("nan", "Nancy")])
@pytest.mark.parametrize("declared", ["", "PROBLEM = 'binary'\n"])
def test_classes_that_begin_like_numbers_are_words(
    classes: tuple[str, str], declared: str, project: Project, code: ProjectFiles
) -> None:
    code.put("model.py", LOGISTIC + declared)
    rows = "".join(f"{i},{classes[i % 2]}\n" for i in range(40))
    project.put("t.csv", f"a,target\n{rows}")
    assert sorted(project.train("--source", "t.csv").classes or []) == sorted(classes)


def test_a_word_among_numbers_is_a_fault_where_numbers_are_predicted(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", LINEAR)
    project.put("t.csv", NUMBERS.replace("0,0,0\n", "0,0,none\n"))
    ended = project.trainer("preprocessing", "--source", "t.csv")
    project.assert_refused(ended, "preprocessing", "t.csv, line 2: column 'target', row 1: 'none' is not a number")


def test_a_positive_class_may_be_a_truth_value(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", f"{LOGISTIC}POSITIVE = False\n")
    project.put("t.csv", "a,target\n" + "".join(f"{i},{'true' if i % 3 else 'false'}\n" for i in range(40)))
    assert project.train("--source", "t.csv").classes == ["true", "false"]


CACHED = """
import functools
import pyarrow
from project._shared import twice
from sklearn.linear_model import LinearRegression

@functools.lru_cache(maxsize=7)
def once(value): return twice(value) + 1

def transform(frame): return frame.assign(a=frame["a"].map(once))
def build(parameters): return LinearRegression()
"""


def test_a_cached_function_and_what_models_share_are_in_the_file(project: Project, code: ProjectFiles) -> None:
    code.put("_shared.py", "def twice(value):\n    import narwhals\n    return 2 * value\n")
    code.put("model.py", CACHED)
    project.put("t.csv", NUMBERS)
    record = project.train("--source", "t.csv")
    predicted = project.infer("t.csv")["predictions"]
    # What shared code imports when it is called counts, too.
    assert {"pyarrow", "narwhals"} <= set(record.libraries or {})
    script = (
        "import sys, joblib, pandas as pd\n"
        "class Block:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.partition('.')[0] in ('project', 'modeling'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "model = joblib.load(sys.argv[1])\n"
        "print(*model.predict(pd.read_csv(sys.argv[2])[['a', 'b']].astype(float)))\n"
    )
    file = project.models / record.model_filename
    command = [sys.executable, "-c", script, str(file), str(project.inputs / "t.csv")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert list(map(float, ended.stdout.split())) == predicted


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.py", "# an edit\n"),
        ("_shared.py", "X = 2\n"),
        ("sibling.py", "Y = 3\n"),
        ("lib/deep.py", "Z = 4\n"),
        ("lib/data.csv", "1\n"),
    ],
)
def test_an_edit_of_any_file_of_a_model_changes_its_fingerprint(file: str, content: str, code: ProjectFiles) -> None:
    code.put("_shared.py", "X = 1\n")
    code.put("sibling.py", "Y = 1\n")
    code.put("lib/deep.py", "Z = 1\n")
    code.put("lib/data.csv", "0\n")
    code.put("model.py", "def transform(frame):\n    from project.sibling import Y\n    return frame * Y\n")
    before = fingerprint("model")
    code.put(file, content)
    assert fingerprint("model") != before


@pytest.mark.parametrize("file", ["other.py", "parameters.py", "requirements.in", "tests/test_model.py", "README.md"])
def test_an_edit_of_what_is_not_a_models_leaves_its_fingerprint(file: str, code: ProjectFiles) -> None:
    code.put("model.py", LINEAR)
    before = fingerprint("model")
    code.put(file, "# new\n")
    assert fingerprint("model") == before


@pytest.mark.parametrize("name", ["prediction", "probability_yes"])
def test_an_identifier_that_is_called_like_a_prediction_is_refused(
    name: str, project: Project, code: ProjectFiles
) -> None:
    columns = f"from bulkhead.columns import identifier, number\nCOLUMNS = {{{name!r}: identifier(), 'a': number()}}\n"
    code.put("model.py", LINEAR + columns)
    project.put("t.csv", f"{name},a,target\n" + "".join(f"x{i},{i},{i}\n" for i in range(20)))
    project.assert_refused(project.trainer("preprocessing", "--source", "t.csv"), "preprocessing", "Rename it")


def test_whole_numbers_beside_empty_cells_stay_whole_numbers_in_pandas_and_parquet(
    project: Project, code: ProjectFiles
) -> None:
    code.put(
        "model.py",
        "from sklearn.ensemble import HistGradientBoostingRegressor\n"
        "def build(parameters): return HistGradientBoostingRegressor()\n",
    )
    project.put("t.csv", "k,target\n" + "".join(f"{'' if i % 9 == 4 else i},{i}\n" for i in range(40)))
    record = project.train("--source", "t.csv")
    assert (record.dtypes, record.missing) == ({"k": "int64"}, ["k"])
    pd.read_csv(project.inputs / "t.csv").to_parquet(project.inputs / "t.parquet")
    assert project.infer("t.parquet")["predictions"] == project.infer("t.csv")["predictions"]


def test_parameters_that_do_not_fit_together_are_told_together(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", LINEAR)
    code.put(
        "parameters.py",
        """
        from bulkhead.parameters import TrainingParameters
        class Parameters(TrainingParameters):
            low: int = 0
            high: int = 3
            def __post_init__(self):
                if self.low > self.high: raise ValueError("low is above high")
        """,
    )
    project.put("t.csv", NUMBERS)
    project.done("trainer", "preprocessing", "--source", "t.csv")
    project.done("trainer", "train_model", "--low", "5", "--high", "9")
    assert lines_of(project.registry.training_journal)[-1]["parameters"]["low"] == 5
    ended = project.trainer("train_model", "--low", "5")
    assert (ended.code, "low is above high" in ended.err) == (1, True)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_parameter_is_finite(text: str) -> None:
    with pytest.raises(Refused, match="finite"):
        parameters.from_word("x", float, text)


def test_a_column_is_looked_at_a_few_times_however_many_there_are(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five thousand columns took two minutes, where each looked at all the others."""
    looks: list[str] = []

    def look(name: str, column: Any, wanted: Column, *seen: Any) -> Any:
        looks.append(name)
        return typed(name, column, wanted, *seen)

    typed = cells.typed
    monkeypatch.setattr(cells, "typed", look)
    names = [f"c{i}" for i in range(300)]
    row = ",".join("1" for _ in names)
    project.put("t.csv", f"{','.join(names)},target\n" + "".join(f"{row},{i}\n" for i in range(10)))
    project.done("trainer", "preprocessing", "--source", "t.csv")
    assert len(names) <= len(looks) <= 3 * len(names)
