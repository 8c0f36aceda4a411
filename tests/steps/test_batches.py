"""However a table is cut into batches, the steps make the same of it."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import in_batches_of

from bulkhead.prediction.inferring import Guess
from modeling import held_out
from modeling.held_out import HeldOut

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

ROWS = 60
MODEL = """
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from bulkhead.columns import boolean, category, date, identifier, number
COLUMNS = {
    "who": identifier(), "plan": category(missing=True), "age": number(missing=True), "size": number(),
    "active": boolean(), "since": date(missing=True),
}
def transform(frame):
    days = (frame["since"] - frame["since"].dt.floor("D")).dt.total_seconds()
    return frame.assign(since=days, twice=frame["size"] * 2)
def build(parameters):
    words = OneHotEncoder(handle_unknown="ignore")
    numbers = make_column_transformer(
        (words, ["plan"]), (SimpleImputer(keep_empty_features=True), ["age", "size", "active", "since"])
    )
    return make_pipeline(numbers, ESTIMATOR(max_depth=3, random_state=0))
"""


def table_of_all_kinds() -> pa.Table:
    """What the first rows are, the later ones are not: fractions, words and empty cells come late."""
    rows = range(ROWS)
    moments = pd.date_range("2026-01-01 12:30", periods=ROWS, freq="h").astype("datetime64[us]")
    return pa.table(
        {
            "who": [f"c{i:03}" for i in rows],
            "plan": [f"p{i % 5}" if i < 40 else None if i < 50 else f"late {i}" for i in rows],
            "age": [i if i % 7 or i < 30 else None for i in rows],
            "size": [float(i) if i < 45 else i + 0.25 for i in rows],
            "active": [i % 3 == 0 for i in rows],
            "since": pa.array([None if 20 <= i < 30 else one for i, one in enumerate(moments)], pa.timestamp("us")),
            "target": [i * i % 17 + 0.5 for i in rows],
            "kind": ["low" if i % 4 else "high" for i in rows],
        }
    )


def as_csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer)
    return buffer.getvalue().replace(b" 1", b"T1").replace(b" 2", b"T2").replace(b" 0", b"T0")


def as_parquet(table: pa.Table, rows: int) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=rows)
    return buffer.getvalue()


FILES: dict[str, Any] = {
    "t.csv": as_csv,
    "t.csv.gz": lambda table: gzip.compress(as_csv(table)),
    "one.parquet": lambda table: as_parquet(table, ROWS),
    "many.parquet": lambda table: as_parquet(table, 11),
}
TRAININGS = [
    *((name, "target", "DecisionTreeRegressor") for name in FILES),
    ("t.csv", "kind", "DecisionTreeClassifier"),
    ("many.parquet", "kind", "DecisionTreeClassifier"),
]


def outcome(project: Project, name: str, target: str) -> dict[str, Any]:
    """All that a training and an inference leave which the size of batches might touch."""
    other = "kind" if target == "target" else "target"
    record = project.train("--source", name, "--target", target, fraction="0.3", seed="3")
    assert other in (record.left_out or [])
    inferred = project.infer(name)
    prepared = pd.read_parquet(project.shared / "preprocessing.parquet")
    predictions = pd.read_parquet(project.shared / inferred["predictions_path"].rpartition("/")[2])
    kept = ("features", "dtypes", "missing", "categories", "identifier", "input_example", "classes", "importances")
    given = msgspec.to_builtins(record)
    return {name: given.get(name) for name in (*kept, "metrics", "model_hash", "gate")} | {
        "data": record.data,
        "prepared": [[None if pd.isna(cell) else cell for cell in row] for row in prepared.to_numpy().tolist()],
        "predictions": predictions.to_numpy().tolist(),
        "names": [*prepared.columns, *predictions.columns],
    }


def numbers(metrics: dict[str, Any] | None) -> dict[str, float]:
    return {name: value for name, value in (metrics or {}).items() if isinstance(value, int | float)}


@pytest.mark.parametrize(("name", "target", "estimator"), TRAININGS)
def test_any_size_of_batches_gives_one_record_one_table_and_the_same_predictions(
    name: str, target: str, estimator: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.put("model.py", MODEL.replace("ESTIMATOR", estimator))
    project.put(name, FILES[name](table_of_all_kinds()))
    whole = outcome(project, name, target)
    in_batches_of(7, monkeypatch)
    cut = outcome(project, name, target)
    for one, value in whole.items():
        if one in {"metrics", "gate", "importances"}:
            continue
        assert cut[one] == value, one
    assert numbers(cut["metrics"]) == pytest.approx(numbers(whole["metrics"]), rel=1e-12)


def test_csv_and_parquet_give_one_model(project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    code.put("model.py", MODEL.replace("ESTIMATOR", "DecisionTreeRegressor"))
    in_batches_of(9, monkeypatch)
    hashes = set()
    for name, made in FILES.items():
        project.put(name, made(table_of_all_kinds()))
        hashes.add(project.train("--source", name).model_hash)
    assert len(hashes) == 1


def test_the_model_that_comes_with_bulkhead_is_the_same_of_batches_to_twelve_digits(
    project_with_a_table: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_with_a_table
    whole = project.train("--source", "table.csv")
    again = project.train("--source", "table.csv")
    in_batches_of(3, monkeypatch)
    cut = project.train("--source", "table.csv")
    assert whole.model_hash == again.model_hash
    assert numbers(cut.metrics) == pytest.approx(numbers(whole.metrics), rel=1e-9, abs=1e-9)
    assert cut.coefficients == pytest.approx(whole.coefficients, rel=1e-12)


@pytest.mark.parametrize("declared", ["COLUMNS = {'plan': category(missing=True), 'x': number()}", ""])
def test_words_that_come_late_and_batches_without_any_are_no_other_column(
    declared: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of 100 words and one of 200 have one type, and so has one whose cells are all empty."""
    code.put(
        "model.py",
        "from sklearn.dummy import DummyRegressor\nfrom bulkhead.columns import category, number\n"
        f"{declared}\ndef build(parameters):\n    return DummyRegressor()\n",
    )
    words = [f"w{i % 100}" if i < 400 else "" if i < 800 else f"w{i % 200}" for i in range(1600)]
    project.put("t.csv", "plan,x,target\n" + "".join(f"{word},{i},{i}\n" for i, word in enumerate(words)))
    in_batches_of(300, monkeypatch)
    monkeypatch.setattr("tabular.csv_file._BLOCK", 4000)
    record = project.train("--source", "t.csv")
    assert record.categories == {"plan": 200}
    assert project.infer("t.csv")["rows"] == 1600


@pytest.mark.parametrize(
    "body", ["astype('category')", "map({f'w{i}': i for i in range(300)})", "astype(str).astype('category')"]
)
def test_a_transformation_may_make_categories_of_ever_more_words(
    body: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.put(
        "model.py",
        "from sklearn.dummy import DummyRegressor\n"
        f"def transform(frame):\n    return frame.assign(plan=frame['plan'].{body})\n"
        "def build(parameters):\n    return DummyRegressor()\n",
    )
    words = [f"w{i % 100}" if i < 400 else f"w{i % 200}" for i in range(1200)]
    project.put("t.csv", "plan,x,target\n" + "".join(f"{word},{i},{i}\n" for i, word in enumerate(words)))
    in_batches_of(300, monkeypatch)
    monkeypatch.setattr("tabular.csv_file._BLOCK", 4000)
    project.done("trainer", "preprocessing", "--source", "t.csv")


def guessed(cells: list[str], rows: int) -> str:
    guess = Guess(["id"])
    for begin in range(0, len(cells), rows):
        guess.look(pa.RecordBatch.from_pydict({"id": cells[begin : begin + rows]}))
    return guess.columns()["id"].kind


CELLS = st.sampled_from(["1", "2", "01", "1.0", "2.5", "x", "y", "", "true", "2026-01-01", "2026-01-01T00:00:00Z"])


@given(st.lists(CELLS, min_size=1, max_size=10), st.integers(1, 10))
def test_what_a_column_seems_to_be_does_not_depend_on_the_batches(cells: list[str], rows: int) -> None:
    assert guessed(cells, rows) == guessed(cells, len(cells))


@given(
    st.lists(st.sampled_from("abc"), min_size=2, max_size=60),
    st.floats(0, 0.9),
    st.integers(0, 99),
    st.lists(st.integers(1, 20), min_size=1),
    st.booleans(),
)
def test_which_rows_are_held_out_does_not_depend_on_the_batches(
    words: list[str],
    share: float,
    seed: int,
    sizes: list[int],
    by_class: bool,  # noqa: FBT001  # hypothesis gives it by name
) -> None:
    target = np.array(words, dtype=object)
    counts = {one: words.count(one) for one in sorted(set(words))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out, "_BLOCK", 16)
        held = HeldOut(len(words), share, seed, counts if by_class else None)
        whole = held.begin().mask(target)
        draw, begin = held.begin(), 0
        parts: list[np.ndarray] = []
        while begin < len(target):
            size = sizes[len(parts) % len(sizes)]
            parts.append(draw.mask(target[begin : begin + size]))
            begin += size
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert int(whole.sum()) == held.count == int(np.ceil(len(words) * share))


def test_each_class_gives_its_share_of_the_rows_that_are_held_out() -> None:
    held = HeldOut(1000, 0.2, 7, {"a": 900, "b": 100})
    target = np.array(["a"] * 900 + ["b"] * 100, dtype=object)
    mask = held.begin().mask(target)
    assert [int(mask[target == one].sum()) for one in "ab"] == [180, 20]
