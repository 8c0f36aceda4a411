"""What a cell may be in a column of each kind, what the model's code gets of it, and what is refused, with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

if TYPE_CHECKING:
    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

MODEL = """
from sklearn.dummy import DummyRegressor
from bulkhead.columns import boolean, category, date, identifier, number, text
{columns}
def build(parameters):
    return DummyRegressor()
"""
NAN = float("nan")


def declare(code: ProjectFiles, columns: str | None) -> None:
    """The model's file; ``columns`` is what it says of ``a``, None: nothing of any column."""
    said = "" if columns is None else f"COLUMNS = {{'a': {columns}, 'x': number()}}"
    code.put("model.py", MODEL.format(columns=said))


def table(cells: list[str]) -> str:
    return "a,x,target\n" + "".join(f"{cell},{i},{i}\n" for i, cell in enumerate(cells))


def prepared(project: Project) -> pd.DataFrame:
    return pd.read_parquet(project.shared / "preprocessing.parquet")


def seen(column: pd.Series[Any]) -> list[Any]:
    """The cells of a column, dates as text, and what is empty as None."""
    shown = column.dt.strftime("%Y-%m-%dT%H:%M:%S.%f") if pd.api.types.is_datetime64_dtype(column) else column
    return [None if pd.isna(one) else one for one in shown]


GOOD: dict[str, tuple[str, list[str], list[Any]]] = {
    "numbers": ("number()", ["1", "-2.5", "+3", "4e2"], [1.0, -2.5, 3.0, 400.0]),
    "numbers, some missing": ("number(missing=True)", ["1", "", '""', " "], [1.0, None, None, None]),
    "numbers, none there": ("number(missing=True)", ["", "", ""], [None, None, None]),
    "words": ("category()", ["red", " blue ", '"a, b"', "größe"], ["red", "blue", "a, b", "größe"]),
    "words that are numbers": ("category()", ["1", "02", "1.0", "1.50", "True"], ["1", "02", "1", "1.50", "true"]),
    "words that mean nothing to others": (
        "category()",
        ["nan", "NULL", "None", "#N/A"],
        ["nan", "NULL", "None", "#N/A"],
    ),
    "words, some missing": ("category(missing=True)", ["red", "", "red"], ["red", None, "red"]),
    "words, none there": ("category(missing=True)", ["", ""], [None, None]),
    "true and false": ("boolean()", ["true", "FALSE", "True", "fAlse"], [1.0, 0.0, 1.0, 0.0]),
    "yes and no": ("boolean()", ["yes", "NO", "Yes", " no "], [1.0, 0.0, 1.0, 0.0]),
    "one and zero": ("boolean()", ["1", "0", "1"], [1.0, 0.0, 1.0]),
    "all ways mixed": ("boolean(missing=True)", ["1", "no", "TRUE", ""], [1.0, 0.0, 1.0, None]),
    "truth, none there": ("boolean(missing=True)", ["", ""], [None, None]),
    "days": ("date()", ["2026-11-30", "1969-02-28"], ["2026-11-30T00:00:00.000000", "1969-02-28T00:00:00.000000"]),
    "moments": (
        "date()",
        ["2026-11-30T12:34:56", "2026-11-30 12:34:56.789012", "2026-11-30"],
        ["2026-11-30T12:34:56.000000", "2026-11-30T12:34:56.789012", "2026-11-30T00:00:00.000000"],
    ),
    "moments of zones": (
        "date()",
        ["2026-11-30T12:00:00Z", "2026-11-30T12:00:00+01:00", "2026-11-30T12:00:00-0530"],
        ["2026-11-30T12:00:00.000000", "2026-11-30T11:00:00.000000", "2026-11-30T17:30:00.000000"],
    ),
    "days, some missing": ("date(missing=True)", ["2026-11-30", ""], ["2026-11-30T00:00:00.000000", None]),
    "days, none there": ("date(missing=True)", ["", ""], [None, None]),
}


@pytest.mark.parametrize(("columns", "cells", "expected"), GOOD.values(), ids=GOOD)
def test_the_models_code_gets_what_the_cells_say(
    columns: str, cells: list[str], expected: list[Any], project: Project, code: ProjectFiles
) -> None:
    declare(code, columns)
    project.put("t.csv", table(cells))
    project.done("trainer", "preprocessing", "--source", "t.csv")
    assert seen(prepared(project)["a"]) == expected


BAD: dict[str, tuple[str, list[str], str]] = {
    "a word": ("number()", ["1", "red"], "line 3: column 'a', row 2: 'red' is not a number"),
    "NaN": ("number()", ["1", "NaN"], "line 3: column 'a', row 2: the value is NaN"),
    "NaN, though some may be missing": (
        "number(missing=True)",
        ["", "NaN"],
        "line 3: column 'a', row 2: the value is NaN",
    ),
    "no number": ("number()", ["1", "2", ""], "line 4: column 'a', row 3: the cell is empty. Fill it"),
    "no word": ("category()", ["red", " "], "line 3: column 'a', row 2: the cell is empty"),
    "no truth": ("boolean()", ["yes", ""], "line 3: column 'a', row 2: the cell is empty"),
    "no date": ("date()", ["", "2026-11-30"], "line 2: column 'a', row 1: the cell is empty"),
    "no number at all": ("number()", ["", ""], "line 2: column 'a', row 1: the cell is empty"),
    "half a truth": (
        "boolean()",
        ["yes", "no", "maybe"],
        "line 4: column 'a', row 3: 'maybe' is not true or false, yes or",
    ),
    "more than a truth": ("boolean()", ["0", "1", "2"], "line 4: column 'a', row 3: '2' is not true or false"),
    "a day that is none": (
        "date()",
        ["2026-02-28", "2026-02-29"],
        "line 3: column 'a', row 2: '2026-02-29' is not a date",
    ),
    "a day of another order": (
        "date()",
        ["2026-11-30", "30.11.2026"],
        "line 3: column 'a', row 2: '30.11.2026' is not a date",
    ),
    "one moment without a zone": (
        "date()",
        ["2026-11-30T12:00:00Z", "2026-11-30T12:00:00Z", "2026-11-30T12:00:00"],
        "line 4: column 'a', row 3: '2026-11-30T12:00:00' is not a date like 2026-11-30 or 2026-11-30T12:00:00, as the",
    ),
    "a number for a date": ("date()", ["20261130"], "line 2: column 'a', row 1: '20261130' is not a date"),
    # Lines are those of the file, whatever is in its cells.
    "after a cell of three lines": ("number()", ['"1\n\n"', "x"], "line 5: column 'a', row 2: 'x' is not a number"),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize(("columns", "cells", "sentence"), BAD.values(), ids=BAD)
def test_a_cell_of_another_kind_is_refused_with_its_line(
    columns: str, cells: list[str], sentence: str, ends: str, project: Project, code: ProjectFiles
) -> None:
    declare(code, columns)
    project.put("t.csv", table(cells).replace("\n", ends))
    ended = project.trainer("preprocessing", "--source", "t.csv")
    assert project.assert_refused(ended, "preprocessing", sentence).startswith("t.csv, line ")


def test_lines_are_counted_over_blank_ones_a_byte_order_mark_and_text_of_many_lines(
    project: Project, code: ProjectFiles
) -> None:
    code.put("model.py", MODEL.format(columns="COLUMNS = {'note': text(), 'a': number()}"))
    project.put("t.csv", '\ufeffnote,a,target\r\n"one\r\ntwo",1,1\r\n\r\n\r\n"three ""3""\nfour",2,2\r\nfive,x,3\r\n')
    ended = project.trainer("preprocessing", "--source", "t.csv")
    project.assert_refused(ended, "preprocessing", "t.csv, line 8: column 'a', row 3: 'x' is not a number")


def test_a_parquet_file_has_rows_and_no_lines(project: Project, code: ProjectFiles) -> None:
    declare(code, "boolean()")
    pd.DataFrame({"a": ["yes", "maybe"], "x": [1, 2], "target": [1, 2]}).to_parquet(project.inputs / "t.parquet")
    ended = project.trainer("preprocessing", "--source", "t.parquet")
    project.assert_refused(ended, "preprocessing", "t.parquet: column 'a', row 2: 'maybe' is not true")


@pytest.mark.parametrize(
    ("columns", "cells", "expected"),
    [
        ("boolean()", pd.Series([True, False, True]), [1.0, 0.0, 1.0]),
        ("boolean(missing=True)", pd.Series([1.0, 0.0, NAN]), [1.0, 0.0, None]),
        ("category()", pd.Series([3, 1, 3]), ["3", "1", "3"]),
        ("category(missing=True)", pd.Series([3.0, 1.0, NAN]), ["3", "1", None]),
        ("category()", pd.Series(["b", "a", "b"], dtype="category"), ["b", "a", "b"]),
        ("number(missing=True)", pd.Series([1.5, NAN, 2]), [1.5, None, 2.0]),
        ("number(missing=True)", pd.Series([1, None, 2], dtype="Int64"), [1.0, None, 2.0]),
        ("date()", pd.to_datetime(pd.Series(["2026-11-30"] * 3)), ["2026-11-30T00:00:00.000000"] * 3),
        (
            "date(missing=True)",
            pd.to_datetime(pd.Series(["2026-11-30T12:00:00+01:00", None, None])),
            ["2026-11-30T11:00:00.000000", None, None],
        ),
    ],
    ids=[
        "truth",
        "truth as fractions",
        "whole words",
        "words as fractions",
        "categories",
        "NaN",
        "Int64",
        "days",
        "zones",
    ],
)
def test_a_parquet_files_own_types_are_read(
    columns: str, cells: pd.Series[Any], expected: list[Any], project: Project, code: ProjectFiles
) -> None:
    declare(code, columns)
    pd.DataFrame({"a": cells, "x": range(3), "target": range(3)}).to_parquet(project.inputs / "t.parquet")
    project.done("trainer", "preprocessing", "--source", "t.parquet")
    assert seen(prepared(project)["a"]) == expected


@pytest.mark.parametrize(
    ("columns", "cells", "sentence"),
    [
        ("boolean()", [0.5, 1.0], "column 'a', row 1: '0.5' is not true or false"),
        ("date()", [20261130, 20261201], "its type is int64, not a date"),
        ("number()", [True, False], "its type is bool, not a number"),
        ("category()", [[1], [2]], "not words. Convert it"),
        ("number()", [1.0, NAN], "column 'a', row 2"),
    ],
)
def test_a_parquet_files_types_of_another_kind_are_refused(
    columns: str, cells: list[Any], sentence: str, project: Project, code: ProjectFiles
) -> None:
    declare(code, columns)
    pd.DataFrame({"a": cells, "x": range(2), "target": range(2)}).to_parquet(project.inputs / "t.parquet")
    project.assert_refused(project.trainer("preprocessing", "--source", "t.parquet"), "preprocessing", sentence)


INFERRED: dict[str, tuple[list[str], str | None]] = {
    "whole numbers": (["1", "2", "3", "4"], "int64"),
    "fractions": (["1.5", "2", "3", "4"], "double"),
    "numbers, one missing": (["1.5", "", "3", "4"], "double, missing"),
    "ones and zeros are numbers": (["1", "0", "1", "0"], "int64"),
    "truth": (["yes", "NO", "yes", "no"], "boolean"),
    "truth, one missing": (["true", "", "false", "true"], "boolean, missing"),
    "days": (["2026-11-30", "2026-12-01", "2026-12-02", "2026-12-03"], "date"),
    "few words": (["red", "blue", "red", "blue"], "category"),
    "few words, one missing": (["red", "blue", "red", ""], "category, missing"),
    "a word in each row": (["ada", "bob", "cem", "dan"], None),
    "numbers and a word": (["1", "2", "3", "x"], None),
    "nothing": (["", "", "", ""], None),
}


@pytest.mark.parametrize(("cells", "kind"), INFERRED.values(), ids=INFERRED)
def test_what_a_column_is_is_inferred_where_nobody_says(
    cells: list[str], kind: str | None, project: Project, code: ProjectFiles
) -> None:
    declare(code, None)
    project.put("t.csv", table(cells))
    record = project.train("--source", "t.csv", fraction="0")
    if kind is None:
        assert (record.features, record.left_out) == (["x"], ["a"])
    else:
        found = (record.dtypes or {})["a"] + (", missing" if "a" in (record.missing or []) else "")
        assert (found, record.left_out) == (kind, [])


@pytest.mark.parametrize("cells", [["k1", "k2", "k3"], ["7", "8", "9"]], ids=["words", "numbers"])
def test_an_identifier_is_inferred_by_its_name_and_carried_into_the_predictions(
    cells: list[str], project: Project, code: ProjectFiles
) -> None:
    declare(code, None)
    project.put("t.csv", table(cells).replace("a,", "customer_id,", 1))
    record = project.train("--source", "t.csv", fraction="0")
    assert (record.identifier, record.features, record.left_out) == ("customer_id", ["x"], [])
    project.infer("t.csv")
    stored = pd.read_parquet(project.shared / project.predictions_files()[0])
    assert list(stored) == ["customer_id", "prediction"]
    assert list(stored["customer_id"]) == cells


def test_a_column_called_id_whose_values_repeat_is_none(project: Project, code: ProjectFiles) -> None:
    declare(code, None)
    project.put("t.csv", table(["7", "7", "8"]).replace("a,", "id,", 1))
    record = project.train("--source", "t.csv", fraction="0")
    assert (record.identifier, record.features) == (None, ["id", "x"])
