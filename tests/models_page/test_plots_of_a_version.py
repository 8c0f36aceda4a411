"""Pictures of one version: how good it was, what it was trained on, what its own file gave; whatever those hold."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.models_page.figures import assert_sound
from tests.support.project import CHURN, lineage

from bulkhead.registry.profiles import ColumnProfile, Confusion, Evaluation, Profile

if TYPE_CHECKING:
    from bulkhead.registry.lineage import Lineage
    from models_page.plots.figure import Figure

HOSTILE = "<script>\u202e\x00\n" * 2000


def evaluated(**changes: Any) -> Lineage:
    return lineage(evaluation=Evaluation(rows=4, **changes))


def of(record: Lineage) -> dict[str, Figure]:
    """The sound figures of ``record`` by title."""
    from models_page.plots import evaluation

    drawn = evaluation.figures(record)
    for one in drawn:
        assert_sound(one)
    found = {one.title: one for one in drawn}
    assert len(found) == len(drawn)
    return found


def test_a_regression_is_predicted_against_actual_with_its_residuals() -> None:
    actual, predicted = [40.0, 50.0, 60.0], [42.0, 49.0, 61.0]
    drawn = of(
        evaluated(
            scatter={"actual": actual, "predicted": predicted},
            residuals={"edges": [-3.0, -1.0, 1.0, 3.0], "counts": [1.0, 0.0, 2.0]},
        )
    )
    assert list(drawn) == ["Predicted against actual", "Residuals"]
    diagonal, dots = drawn["Predicted against actual"].drawing["marks"]
    assert diagonal["mark"] == "diagonal"
    assert [(x, y) for x, y, _, _ in dots["points"]] == list(zip(actual, predicted, strict=True))
    assert drawn["Predicted against actual"].rows == [["40", "42"], ["50", "49"], ["60", "61"]]
    assert "actual y, 3 held-out rows" in drawn["Predicted against actual"].summary
    bars, rule = drawn["Residuals"].drawing["marks"]
    assert bars["bars"] == [(-3, -1, 1), (-1, 1, 0), (1, 3, 2)]
    assert rule == {"mark": "rule", "value": 0, "name": ""}
    assert "3 held-out rows, from -3 to 3" in drawn["Residuals"].summary
    assert drawn["Residuals"].header == ["from", "to", "rows"]


def test_a_binary_classifier_has_its_roc_calibration_and_confusion() -> None:
    drawn = of(
        evaluated(
            roc={"leaves": {"false_positive_rate": [0.0, 0.5, 1.0], "true_positive_rate": [0.0, 0.9, 1.0]}},
            calibration={"predicted": [0.1, 0.9], "observed": [0.2, 0.8], "rows": [30.0, 10.0]},
            confusion=Confusion(classes=["stays", "leaves"], counts=[[25, 5], [2, 8]]),
        )
    )
    assert list(drawn) == ["ROC", "Calibration", "Confusion matrix"]
    assert drawn["ROC"].series == ["leaves"]
    assert drawn["ROC"].rows[1] == ["leaves", "0.5", "0.9"]
    assert drawn["ROC"].drawing["marks"][1]["points"] == [(0, 0), (0.5, 0.9), (1, 1)]
    assert drawn["Calibration"].rows == [["0.1", "0.2", "30"], ["0.9", "0.8", "10"]]
    assert "33 of 40 held-out rows are right" in drawn["Confusion matrix"].summary
    assert drawn["Confusion matrix"].header == ["actual, predicted:", "stays", "leaves"]
    assert drawn["Confusion matrix"].rows == [["stays", "25", "5"], ["leaves", "2", "8"]]


def test_of_many_classes_some_curves_are_drawn_and_the_others_told() -> None:
    curve = {"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.0, 1.0]}
    drawn = of(evaluated(roc={f"class {number}": curve for number in range(10)}))["ROC"]
    assert drawn.series == [f"class {number}" for number in range(4)]
    assert "and 6 more classes not shown" in drawn.summary


def test_coefficients_and_importances_are_ranked_by_their_size_whatever_their_sign() -> None:
    record = lineage(coefficients={"a": 0.5, "b": -2.0, "c": 1.0}, importances={f"c{n}": n / 1000 for n in range(500)})
    drawn = of(record)
    (bars,) = drawn["Coefficients"].drawing["marks"]
    assert (bars["names"], bars["values"]) == (["b", "c", "a"], [[-2.0, 1.0, 0.5]])
    assert drawn["Coefficients"].rows == [["b", "-2"], ["c", "1"], ["a", "0.5"]]
    importances = drawn["Importances"]
    assert importances.drawing["marks"][0]["names"][0] == "c499"
    assert len(importances.drawing["marks"][0]["names"]) == 20
    assert (len(importances.rows), importances.more) == (200, 300)
    assert "500 columns" in importances.summary


def test_a_record_without_an_evaluation_has_no_pictures() -> None:
    assert of(lineage()) == {}
    assert of(evaluated()) == {}
    assert of(lineage(coefficients={}, importances={"a": math.nan})) == {}


LONG = [0.5] * 10_000
CURVE = {"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.0, 1.0]}
BAD_EVALUATIONS: list[dict[str, Any]] = [
    {"scatter": {"actual": [1.0], "predicted": [1.0, 2.0]}},
    {"scatter": {"actual": [], "predicted": []}},
    {"scatter": {"actual": [math.nan], "predicted": [1.0]}},
    {"scatter": {"actual": [1e300], "predicted": [1.0]}},
    {"scatter": {"actual": [True], "predicted": ["1"]}},
    {"scatter": {"actual": LONG, "predicted": LONG}},
    {"scatter": {"predicted": [1.0]}},
    {"scatter": [1.0]},
    {"scatter": "x"},
    {"residuals": {"edges": [0.0, 1.0], "counts": [1.0, 2.0]}},
    {"residuals": {"edges": [1.0, 0.0], "counts": [1.0]}},
    {"residuals": {"edges": [1.0, 1.0], "counts": [1.0]}},
    {"residuals": {"edges": [0.0], "counts": []}},
    {"residuals": {"edges": [-math.inf, 1.0], "counts": [1.0]}},
    {"residuals": {"edges": 1.0, "counts": {}}},
    {"roc": {}},
    {"roc": {"a": {"false_positive_rate": [0.0], "true_positive_rate": [0.0, 1.0]}}},
    {"roc": {"a": {"false_positive_rate": [math.nan], "true_positive_rate": [0.0]}}},
    {"roc": {"a": [0.0, 1.0]}},
    {"calibration": {"predicted": [0.1], "observed": []}},
    {"calibration": {"predicted": [None], "observed": [None]}},
    {"confusion": {"classes": ["a"], "counts": [[1, 2]]}},
    {"confusion": {"classes": ["a", "b"], "counts": [[1, 2]]}},
    {"confusion": {"classes": ["a"], "counts": [["x"]]}},
    {"confusion": {"classes": [], "counts": []}},
    {"confusion": {"classes": "ab", "counts": [[1, 2], [3, 4]]}},
    {"confusion": {"classes": [f"c{n}" for n in range(10_000)], "counts": [[0] * 3] * 10_000}},
]


@pytest.mark.parametrize("content", BAD_EVALUATIONS, ids=lambda content: str(content)[:60])
def test_what_is_no_evaluation_is_not_drawn(content: dict[str, Any]) -> None:
    assert of(evaluated(**content)) == {}


ODD_EVALUATIONS: list[dict[str, Any]] = [
    {"scatter": {"actual": [1e14, -1e14], "predicted": [0.0, 1.0]}},
    {"scatter": {"actual": [1e14, *[1.0] * 200], "predicted": [-1e14, *[1.5] * 200]}},
    {"scatter": {"actual": [7.0], "predicted": [7.0]}},
    {"residuals": {"edges": [5.0, 6.0], "counts": [-3.0]}},
    {"residuals": {"edges": [1e-300, 2e-300], "counts": [0.0]}},
    {"roc": {HOSTILE: CURVE, "": CURVE, "x" * 500: CURVE}},
    {"roc": {"a": {"false_positive_rate": [-5.0, 9e14], "true_positive_rate": [2.0, -1e14]}}},
    {"calibration": {"predicted": [-5.0, 9e14], "observed": [2.0, -1e14], "rows": [math.nan, 2.0]}},
    {"calibration": {"predicted": [0.5, 0.6], "observed": [0.5, 0.6], "rows": [1.0] * 4}},
    {"confusion": {"classes": [HOSTILE] * 30, "counts": [[10**14] * 30] * 30}},
    {"confusion": {"classes": [1, None], "counts": [[1.5, -1], [0, 0]]}},
]


@pytest.mark.parametrize("content", ODD_EVALUATIONS, ids=lambda content: str(content)[:60])
def test_an_evaluation_that_is_odd_is_drawn_within_its_picture(content: dict[str, Any]) -> None:
    odd = msgspec.structs.replace(evaluated(**content), target=HOSTILE)
    assert len(of(odd)) == 1


@pytest.mark.parametrize("value", [1e300, -1e300, math.inf, math.nan, 1e14, 0.0])
def test_a_coefficient_of_any_size_is_no_error(value: float) -> None:
    drawn = of(lineage(coefficients={HOSTILE: value, "b": 1.0, HOSTILE + "2": value}, importances={"a": value}))
    assert "Coefficients" in drawn


def number(**changes: Any) -> ColumnProfile:
    given: dict[str, Any] = {
        "kind": "number", "rows": 100, "edges": [10.0, 20.0], "shares": [0.25, 0.5, 0.25], "low": 1.0, "high": 99.0
    }  # fmt: skip
    return ColumnProfile(**{**given, **changes})


def category(**changes: Any) -> ColumnProfile:
    given: dict[str, Any] = {"kind": "category", "rows": 100, "categories": ["a", "b"], "shares": [0.5, 0.25, 0.25]}
    return ColumnProfile(**{**given, **changes})


def profiled(columns: dict[str, ColumnProfile], **changes: Any) -> Lineage:
    given = {**CHURN, "dtypes": {"day": "date"}, "profile": Profile(rows=100, columns=columns, **changes)}
    return lineage(**given)


def distributions_of(record: Lineage) -> dict[str, Figure]:
    from models_page.plots import distributions

    drawn = distributions.of_training(record)
    for one in drawn:
        assert_sound(one)
    return {one.title: one for one in drawn}


def test_each_column_and_the_predictions_are_shares_by_bin() -> None:
    drawn = distributions_of(
        profiled({"age": number(), "plan": category()}, predictions=category(), probability=number())
    )
    assert list(drawn) == ["Predictions", "Predicted probability", "age", "plan"]
    assert drawn["age"].rows == [["up to 10", "25.00%"], ["10 to 20", "50.00%"], ["above 20", "25.00%"]]
    assert "from 1 to 99 in training" in drawn["age"].summary
    assert drawn["plan"].rows == [["a", "50.00%"], ["b", "25.00%"], ["all others", "25.00%"]]
    assert drawn["plan"].series == []


def test_dates_are_read_as_dates_and_empty_cells_are_a_bin_where_there_are_some() -> None:
    day = number(edges=[20_454.0, 20_455.0], low=20_453.0, high=20_460.0, empty=0.2)
    drawn = distributions_of(profiled({"day": day, "day too": day, "plan": category(shares=[0.5, 0.5, 0.0])}))
    assert drawn["day"].rows == [
        ["up to 2026-01-01", "20.00%"], ["2026-01-01 to 2026-01-02", "40.00%"],
        ["above 2026-01-02", "20.00%"], ["empty", "20.00%"],
    ]  # fmt: skip
    assert "from 2025-12-31 to 2026-01-07 in training" in drawn["day"].summary
    assert drawn["day too"].rows[0][0] == "up to 2.045e+04"
    assert [row[0] for row in drawn["plan"].rows] == ["a", "b"]  # no others, none empty
    (whole,) = distributions_of(
        profiled({"x": number(edges=[], shares=[0.0], empty=1.0, low=None, high=None)})
    ).values()
    assert whole.rows == [["all", "0.00%"], ["empty", "100.00%"]]


@pytest.mark.parametrize("column", ["day", "age"])
@pytest.mark.parametrize("edge", [1e300, -1e300, math.nan, math.inf, -math.inf, -719_162.0, 1e7, 0.0])
def test_an_edge_of_any_size_is_a_name(column: str, edge: float) -> None:
    odd = number(edges=[edge], shares=[0.5, 0.5], low=edge, high=edge)
    (drawn,) = distributions_of(profiled({column: odd})).values()
    assert len(drawn.rows) == 2


@pytest.mark.parametrize(
    "odd",
    [
        number(shares=[0.5, 0.5]),
        number(shares=[0.5, math.nan, 0.5]),
        number(empty=math.inf),
        number(shares=[]),
        category(shares=[0.5] * 7),
        category(categories=[f"c{n}" for n in range(10_000)], shares=[0.0] * 10_001),
        category(categories=[f"c{n}" for n in range(4000)], shares=[0.0] * 4001),
    ],
)
def test_what_is_no_distribution_is_not_drawn(odd: ColumnProfile) -> None:
    assert list(distributions_of(profiled({"a": odd, "b": number()}))) == ["b"]


def test_hostile_words_are_names_and_only_so_many_columns_are_drawn() -> None:
    odd = category(categories=[HOSTILE, HOSTILE + "2"])
    drawn = distributions_of(profiled({HOSTILE + str(at): odd for at in range(500)}))
    assert 1 <= len(drawn) <= 24
    assert len(distributions_of(profiled({f"c{at}": odd for at in range(500)}))) == 24


PLOTS: list[Any] = [
    {"x": [1.0, 2.0]},
    {"x": [1.0, 2.0], "y": [1.0]},
    {"x": [1.0], "y": [1.0]},
    {"x": [1.0, 2.0], "y": ["1", "2"]},
    {"x": [1.0, 2.0], "y": [True, False]},
    {"x": [1.0, 2.0], "y": [1e300, 2.0]},
    {"x": [1.0, 2.0], "y": [math.nan, 2.0]},
    {"x": list(range(6000)), "y": list(range(6000))},
    {"x": 1.0, "y": 2.0},
    {"x": [], "y": []},
    {},
    [],
    [1.0, 2.0],
    [[HOSTILE] * 5000] * 50,
    {HOSTILE: [HOSTILE] * 5000},
    {HOSTILE: {HOSTILE: [HOSTILE]}},
    {str(at): at for at in range(5000)},
    HOSTILE,
    10**30,
    10**4000,
    [10**4000, -(10**4000)],
    {"x": [10**4000, 1], "y": [1, 2]},
    None,
]


@pytest.mark.parametrize("content", PLOTS, ids=range(len(PLOTS)))
def test_what_is_no_curve_is_a_table_alone(content: object) -> None:
    from models_page.plots import own

    (drawn,) = own.figures({HOSTILE: content})
    assert_sound(drawn)
    assert drawn.marks == []


def test_a_plot_of_lists_of_one_length_is_a_curve_of_each_over_the_first() -> None:
    from models_page.plots import own

    given = {"predicted": [0.0, 0.5, 1.0], "observed": [0, 0.4, 1], "ideal": [0, 0.5, 1]}
    (drawn,) = own.figures({"calibration": given})
    assert_sound(drawn)
    assert drawn.series == ["observed", "ideal"]
    assert [mark["points"] for mark in json.loads(json.dumps(drawn.drawing["marks"]))] == [
        [[0, 0], [0.5, 0.4], [1, 1]], [[0, 0], [0.5, 0.5], [1, 1]],
    ]  # fmt: skip
    assert (drawn.header, drawn.rows[1]) == (["predicted", "observed", "ideal"], ["0.5", "0.4", "0.5"])
    assert "3 rows" in drawn.summary
    assert drawn.across is not None
    assert drawn.across.label == "predicted"


def test_a_curve_that_stands_still_is_one_all_the_same() -> None:
    from models_page.plots import own

    (drawn,) = own.figures({"p": {"x": [1, 1], "y": [0, 0]}})
    assert_sound(drawn)
    assert len(drawn.marks) == 1


def test_only_the_first_plots_are_drawn() -> None:
    from models_page.plots import own

    assert len(own.figures({str(at): [1] for at in range(5000)})) == 12
    assert own.figures(None) == []
