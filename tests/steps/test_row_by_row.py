"""A transformation that needs other rows than the one it transforms is refused at training, whatever the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.batches import in_batches_of

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

MODEL = """
import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
def transform(frame):
    return {body}
def build(parameters):
    return DummyRegressor()
"""
# a has five values, x fifty, and all comes again after fifty rows: halves of it have one mean.
TABLE = "a,x,target\n" + "".join(f"{i * 7 % 5},{i % 50 * 1.5},{i}\n" for i in range(200))

OTHER_ROWS = {
    "the mean": ("frame - frame.mean()", "beside a row"),
    "the largest": ("(frame + 1) / (frame + 1).max()", "beside a row"),
    "a rank": ("frame.rank()", "beside a row"),
    "a sum of those before": ("frame.cumsum()", "beside a row"),
    "the row before": ("frame.shift(1).fillna(0)", "beside a row"),
    "the row after": ("frame.shift(-1).fillna(0)", "beside a row"),
    "quantiles": ("frame.assign(a=frame['x'].rank(pct=True))", "beside a row"),
    "codes of quantiles": ("frame.assign(a=pd.qcut(frame['x'], 4, labels=False))", "transform"),
    "a column for each word": ("pd.get_dummies(frame['a'].astype(int).astype(str))", "beside a row"),
    "words numbered as they come": ("frame.assign(a=pd.factorize(frame['a'])[0])", "beside a row"),
    "from the least to the largest": ("(frame - frame.min()) / (frame.max() - frame.min())", "Fix transform"),
    "the number of rows": ("frame.assign(n=len(frame))", "beside a row"),
    "the row's number": ("frame.assign(n=range(len(frame)))", "beside a row"),
    "whether it was there before": ("frame.assign(n=frame.duplicated())", "beside a row"),
    "chance": ("frame.assign(n=np.random.default_rng(0).normal(size=len(frame)))", "beside a row"),
    "fewer rows": ("frame.drop_duplicates()", "it must keep each row"),
    "another order": ("frame.sort_values('a')", "another index"),
    "another order, told as the old": ("frame.sort_values('a').reset_index(drop=True)", "beside a row"),
}
ITS_OWN_ROW = {
    "a logarithm": "np.log1p(frame.abs())",
    "a column for each of a list": "frame.assign(**{f'is_{i}': frame['a'] == i for i in range(5)})",
    "words of a list": "frame.assign(a=pd.Categorical(frame['a'].astype(int).astype(str), categories=list('01234')))",
    "words as they come": "frame.assign(a=frame['a'].astype(int).astype(str).astype('category'))",
    "float32": "frame.astype('float32')",
    "bins": "frame.assign(a=pd.cut(frame['a'], [-1, 1, 3, 9], labels=False))",
    "a sum over columns in float32": "(frame / 3).astype('float32').assign(n=lambda f: f.sum(axis=1))",
    "words mapped to numbers, some to one": (
        "frame.assign(a=frame['a'].astype('category').map({0: 1, 1: 1, 2: 2, 3: 3, 4: 4}))"
    ),
}


def preprocessed(body: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch, rows: int) -> str:
    code.put("model.py", MODEL.format(body=body))
    project.put("t.csv", TABLE)
    if rows:
        in_batches_of(rows, monkeypatch)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    if ended.code == 0:
        return "done"
    return project.assert_refused(ended, "preprocessing", "Fix")


@pytest.mark.parametrize("rows", [0, 120])
@pytest.mark.parametrize("what", OTHER_ROWS)
def test_what_needs_other_rows_is_refused(
    what: str, rows: int, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, fragment = OTHER_ROWS[what]
    assert fragment in preprocessed(body, project, code, monkeypatch, rows)


@pytest.mark.parametrize("rows", [0, 120])
@pytest.mark.parametrize("what", ITS_OWN_ROW)
def test_what_needs_its_own_row_alone_is_taken(
    what: str, rows: int, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preprocessed(ITS_OWN_ROW[what], project, code, monkeypatch, rows) == "done"


def test_rows_that_a_later_batch_loses_are_told(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = preprocessed("frame[frame['x'] < 60]", project, code, monkeypatch, 40)
    assert "it must keep each row" in said


def test_a_row_of_a_later_batch_is_told_by_its_number_in_the_table(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = preprocessed("frame.assign(a=1 / (frame['x'] - 73.5))", project, code, monkeypatch, 7)
    assert "column 'a', row 50, inf" in said


def test_check_rows_sees_every_row_once_with_its_number(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.put(
        "model.py",
        "from sklearn.dummy import DummyRegressor\nseen = []\n"
        "def check_rows(frame):\n    seen.extend(frame.index)\n"
        "    return [f'row {row} has a 7' for row in frame.index[frame['a'] == 7]]\n"
        "def build(parameters):\n    return DummyRegressor()\n",
    )
    project.put("good.csv", TABLE)
    project.put("bad.csv", TABLE + "7,1,1\n1,1,1\n7,1,1\n")
    in_batches_of(7, monkeypatch)
    project.done("trainer", "preprocessing", "--source", "good.csv")
    import sys

    assert sys.modules["project.model"].seen == [*range(1, 201)]
    ended = project.trainer("preprocessing", "--source", "bad.csv")
    assert "bad.csv: row 201 has a 7" in ended.err
