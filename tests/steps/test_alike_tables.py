"""CSV and Parquet of one table are one table, to the bit; and what becomes of a table that is not quite a model's."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhead.columns import boolean, category, date, identifier, number
from bulkhead.prediction.typed import TypedReader
from tabular import tables

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

    from bulkhead.columns import Column

KINDS: dict[str, tuple[Column, pa.DataType]] = {
    "whole": (number(missing=True), pa.int64()),
    "fraction": (number(missing=True), pa.float64()),
    "word": (category(missing=True), pa.string()),
    "truth": (boolean(missing=True), pa.bool_()),
    "moment": (date(missing=True), pa.timestamp("us")),
    "who": (identifier(), pa.string()),
}
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=6)
ROW = st.fixed_dictionaries(
    {
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "fraction": st.none() | st.floats(-1e150, 1e150),
        "word": st.none() | WORDS,
        "truth": st.none() | st.booleans(),
        "moment": st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001  # of no zone
        "who": st.none() | WORDS,
    }
)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(KINDS)
    for row in rows:
        cells = (row[name] for name in KINDS)
        writer.writerow("" if one is None else one.isoformat() if isinstance(one, datetime) else one for one in cells)
    return file.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    arrays = {name: pa.array([row[name] for row in rows], KINDS[name][1]) for name in KINDS}
    pq.write_table(pa.table(arrays), buffer)
    return buffer.getvalue()


@settings(max_examples=100)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_csv_and_parquet_of_one_table_are_read_as_one_frame_to_the_bit(rows: list[dict[str, Any]]) -> None:
    frames = []
    kinds = {name: column for name, (column, _) in KINDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("t.csv", as_csv(rows)), ("t.parquet", as_parquet(rows))):
            (Path(folder) / name).write_bytes(content)
            (batch,) = tables.read_source(name, Path(folder), bytes).typed(TypedReader(kinds))
            frames.append(batch.frame(list(kinds)))
    pd.testing.assert_frame_equal(frames[0], frames[1], check_exact=True)
    assert frames[0].to_parquet() == frames[1].to_parquet()


MODEL = """
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor
from bulkhead.columns import boolean, category, date, identifier, number, text

COLUMNS = {
    "who": identifier(), "whole": number(), "fraction": number(missing=True), "word": category(),
    "truth": boolean(), "moment": date(), "note": text(),
}

def transform(frame):
    return frame.assign(moment=(frame["moment"] - pd.Timestamp("2026-01-01")).dt.total_seconds())

def build(parameters):
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(
        make_column_transformer((words, ["word"]), remainder="passthrough"), DecisionTreeRegressor(random_state=0)
    )
"""


def rows_of(number_of_rows: int) -> pd.DataFrame:
    places = range(number_of_rows)
    return pd.DataFrame(
        {
            "who": [f"k{i:03}" for i in places],
            "whole": [i * 7 % 31 for i in places],
            "fraction": [None if i % 5 == 0 else i / 3 for i in places],
            "word": [("red", "blue", "grün")[i % 3] for i in places],
            "note": [f"said on day {i}" for i in places],
            "truth": [i % 4 == 0 for i in places],
            "moment": [pd.Timestamp("2026-01-01") + pd.Timedelta(hours=7 * i) for i in places],
            "target": [i % 3 + i / 10 for i in places],
        }
    )


@pytest.fixture
def trained(project: Project, code: ProjectFiles) -> pd.DataFrame:
    """A model of every kind of column is served in dev; the table that it was trained on."""
    code.put("model.py", MODEL)
    frame = rows_of(60)
    frame.to_csv(project.inputs / "t.csv", index=False)
    project.train("--source", "t.csv")
    return frame


def put(project: Project, frame: pd.DataFrame) -> None:
    frame.to_csv(project.inputs / "new.csv", index=False)


def predicted(project: Project, source: str) -> pd.DataFrame:
    line = project.infer(source)
    return pd.read_parquet(project.shared / line["predictions_path"].rpartition("/")[2])


def test_csv_and_parquet_of_one_table_are_predicted_alike_to_the_bit(project: Project, trained: pd.DataFrame) -> None:
    trained.to_parquet(project.inputs / "t.parquet")
    found = [predicted(project, name) for name in ("t.csv", "t.parquet")]
    assert list(found[0]) == ["who", "prediction"]
    assert list(found[0]["who"]) == list(trained["who"])
    assert found[0]["prediction"].nunique() > 10
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)


def test_csv_and_parquet_of_one_table_train_one_model(project: Project, trained: pd.DataFrame) -> None:
    trained.to_parquet(project.inputs / "t.parquet")
    first, second = project.registry.latest("dev"), project.train("--source", "t.parquet")
    assert first.model_hash == second.model_hash
    assert (first.dtypes, first.missing, first.metrics) == (second.dtypes, second.missing, second.metrics)


def test_the_record_says_what_each_column_was(project: Project, trained: pd.DataFrame) -> None:
    record = project.registry.latest("dev")
    kinds = {"whole": "int64", "fraction": "double", "word": "category", "truth": "boolean", "moment": "date"}
    assert (record.dtypes, record.features) == (kinds, list(kinds))
    assert (record.identifier, record.left_out, record.missing) == ("who", ["note"], ["fraction"])
    assert record.categories == {"word": trained["word"].nunique()}
    assert (record.input_example or {})["moment"] == "2026-01-01T00:00:00"


def test_a_word_that_training_had_not_is_predicted_as_the_estimator_has_it(
    project: Project, trained: pd.DataFrame
) -> None:
    put(project, trained.assign(word="mauve"))
    assert predicted(project, "new.csv")["prediction"].notna().all()


def test_a_word_that_the_estimator_refuses_is_a_sentence(project: Project, code: ProjectFiles) -> None:
    code.put(
        "model.py",
        """
        from sklearn.linear_model import LinearRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder
        from bulkhead.columns import category
        COLUMNS = {"word": category()}
        def build(parameters):
            return make_pipeline(OneHotEncoder(), LinearRegression())
        """,
    )
    project.put("t.csv", "word,target\n" + "red,1\nblue,2\n" * 5)
    project.put("new.csv", "word\nmauve\n")
    project.train("--source", "t.csv")
    project.prepare_inference("new.csv")
    ended = project.inference("model_inference")
    sentence = project.assert_refused(
        ended, "model_inference", "does not predict from this table: ValueError: Found unk"
    )
    assert "'mauve'" in sentence


def test_a_category_that_is_numbers_now_is_of_other_words(project: Project, trained: pd.DataFrame) -> None:
    """Whole numbers are words too, so it is for the model to say what it makes of them."""
    put(project, trained.assign(word=range(60)))
    assert len(predicted(project, "new.csv")) == 60


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a number that is missing": (
        {"whole": [1, None] * 30},
        "new.csv, line 3: column 'whole', row 2: the cell is empty",
    ),
    "a word that is missing": (
        {"word": ["red", None] * 30},
        "new.csv, line 3: column 'word', row 2: the cell is empty",
    ),
    "a truth that is missing": (
        {"truth": ["yes", None] * 30},
        "new.csv, line 3: column 'truth', row 2: the cell is empty",
    ),
    "a date that is missing": (
        {"moment": ["2026-01-01", None] * 30},
        "line 3: column 'moment', row 2: the cell is empty",
    ),
    "a truth that is text": ({"truth": "perhaps"}, "line 2: column 'truth', row 1: 'perhaps' is not true or false"),
    "a truth that is counted": ({"truth": range(60)}, "line 4: column 'truth', row 3: '2' is not true or false"),
    "a date that is text": ({"moment": "soon"}, "line 2: column 'moment', row 1: 'soon' is not a date"),
    "a number that is a date": ({"whole": "2026-01-01"}, "line 2: column 'whole', row 1: '2026-01-01' is not a number"),
    "a number that is text": ({"whole": "many"}, "'whole' is text, was int64"),
    "a whole number that is a fraction": ({"whole": 1.5}, "'whole' is double, was int64"),
    "a column more": ({"extra": 1}, "unexpected 'extra'"),
}


@pytest.mark.parametrize(("changes", "fragment"), REFUSED.values(), ids=REFUSED)
def test_a_table_whose_cells_have_become_something_else_is_refused(
    changes: dict[str, Any], fragment: str, project: Project, trained: pd.DataFrame
) -> None:
    put(project, trained.assign(**changes))
    ended = project.inference("generate_inf_data", "--source", "new.csv")
    project.assert_refused(ended, "generate_inf_data", fragment)


def test_identifier_and_text_may_be_missing_and_the_target_there(project: Project, trained: pd.DataFrame) -> None:
    expected = predicted(project, "t.csv")["prediction"]
    put(project, trained.drop(columns=["who", "note", "target"]))
    without = predicted(project, "new.csv")
    assert without["who"].isna().all()
    assert list(without["prediction"]) == list(expected)
