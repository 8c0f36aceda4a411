"""Data that a model was not trained for, or that is no data: refused, and nothing predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.project import lines_of

if TYPE_CHECKING:
    from tests.support.project import Project

DIFFERENT: dict[str, tuple[str, str]] = {
    "a feature missing": ("a\n1\n2\n", "missing 'b'"),
    "a feature renamed": ("a,bee\n1,2.5\n", "missing 'b'; unexpected 'bee'"),
    "a feature of another case": ("A,b\n1,2.5\n", "missing 'a'; unexpected 'A'"),
    "a column more": ("a,b,c\n1,2.5,3\n", "unexpected 'c'"),
    "another order": ("b,a\n2.5,1\n", "in the order 'b', 'a' instead of 'a', 'b'"),
    "all other columns": ("x,y\n1,2\n", "missing 'a', 'b'; unexpected 'x', 'y'"),
    "only the target": ("target\n1\n", "missing 'a', 'b'"),
    "fractions where whole numbers were": ("a,b\n1.5,2.5\n", "'a' is double, was int64"),
    "a whole number written as a fraction": ("a,b\n1,2.5\n2.0,3.5\n", "'a' is double, was int64"),
    "no header": ("1,2.5\n2,3.5\n", "missing 'a', 'b'; unexpected '1', '2.5'"),
    "semicolons": ("a;b\n", "unexpected 'a;b'"),
}

NO_DATA: dict[str, tuple[str, str]] = {
    "empty": ("", "it is empty"),
    "no rows": ("a,b\n", "no rows"),
    "text": ("a,b\n1,2.5\nx,2.5\n", "column 'a', row 2: 'x' is not a number"),
    "NaN": ("a,b\n1,2.5\n1,nan\n", "column 'b', row 2: the value is NaN"),
    "infinity": ("a,b\n1,inf\n", "column 'b', row 1: the value is infinity"),
    "an empty cell": ("a,b\n1,2.5\n2,\n", "column 'b', row 2: the cell is empty"),
    "1e308": ("a,b\n1,1e308\n", "column 'b', row 1: 1e+308 is beyond"),
    "two names the same": ("a,a\n1,2\n", "2 columns are called 'a'"),
    "a row too short": ("a,b\n1,2.5\n1\n", "Expected 2 columns, got 1"),
    "a blank cell in the only column": ("a\n1\n\n3\n", "column 'a', row 2: the cell is empty"),
}


@pytest.mark.parametrize("table", DIFFERENT)
def test_data_that_a_model_was_not_trained_for_is_refused(table: str, project_trained_on_the_table: Project) -> None:
    content, fragment = DIFFERENT[table]
    project = project_trained_on_the_table
    project.put("new.csv", content)
    ended = project.inference("generate_inf_data", "--source", "new.csv")
    sentence = project.assert_refused(ended, "generate_inf_data", fragment)
    if fragment == "no rows":
        return
    assert "shared/inputs/new.csv is not what model_" in sentence
    assert "predictions" not in lines_of(project.registry.inference_journal)[-1]


@pytest.mark.parametrize("table", NO_DATA)
def test_what_is_no_data_is_refused_before_any_model_is_asked(table: str, project: Project) -> None:
    content, fragment = NO_DATA[table]
    project.put("new.csv", content)
    project.assert_refused(project.inference("generate_inf_data", "--source", "new.csv"), "generate_inf_data", fragment)


def test_data_with_hundreds_of_other_columns_is_refused_with_what_to_do(project_trained_on_the_table: Project) -> None:
    names = [f"a column with quite a long name {number}" for number in range(500)]
    project_trained_on_the_table.put("wide.csv", ",".join(names) + "\n" + ",".join("1" * 500) + "\n")
    ended = project_trained_on_the_table.inference("generate_inf_data", "--source", "wide.csv")
    project_trained_on_the_table.assert_refused(ended, "generate_inf_data", "missing 'a', 'b'")


def test_a_prediction_that_is_not_finite_is_refused(project: Project) -> None:
    project.put("steep.csv", "a,target\n" + "".join(f"{i}e-149,{i}e149\n" for i in range(1, 9)))
    project.train("--source", "steep.csv")
    project.put("far.csv", "a\n1e-150\n1e149\n")
    project.prepare_inference("far.csv")
    ended = project.inference("model_inference")
    project.assert_refused(ended, "model_inference", "the prediction for row 2 is")


@pytest.mark.parametrize(
    "table",
    [
        "a,b\n1,2.5\n",
        "a,b\n1,2\n",
        "a,b,target\n1,2.5,3\n",
        "target,a,b\n3,1,2.5\n",
        " a , b \n 1 , 2.5 \n",
        '"a","b"\n"1","2.5"\n',
    ],
    ids=["the features", "whole numbers for fractions", "the target too", "the target first", "spaces", "quotes"],
)
def test_data_like_trainings_is_predicted(table: str, project_trained_on_the_table: Project) -> None:
    project_trained_on_the_table.put("new.csv", table)
    assert project_trained_on_the_table.infer("new.csv")["predictions"] == [pytest.approx(3)]


def test_columns_that_training_left_out_may_stay(project_with_a_table: Project) -> None:
    project_with_a_table.train("--source", "table.csv", "--features", "a")
    project_with_a_table.put("new.csv", "a,b\n1,2.5\n")
    assert project_with_a_table.infer("new.csv")["predictions"] == [pytest.approx(3)]


def test_a_chosen_order_of_features_is_not_demanded_of_the_table(project_with_a_table: Project) -> None:
    """The very table that was trained on must be fit for inference, however ``--features`` orders it."""
    project_with_a_table.train("--source", "table.csv", "--features", "b,a")
    line = project_with_a_table.infer("table.csv")
    assert line["predictions"] == pytest.approx([2 * i + 1 for i in range(20)])
