"""The picture of the metrics: legible at any number of models, and right."""

from __future__ import annotations

import math

import pytest

from bulkhead.index.state_reader import ModelSummary

DAY = 86_400_000_000
NOON = 1_767_268_800_000_000


def points(values: list[float | None], environment: str = "prd") -> list[ModelSummary]:
    return [
        ModelSummary(
            model_hash="h", model_filename="m", training_timestamp="t", environment=environment, offset=0,
            number=number, time=NOON + number * DAY, metrics={} if value is None else {"r2": value},
        )
        for number, value in enumerate(values)
    ]  # fmt: skip


def test_ten_thousand_models_are_a_few_hundred_columns_that_tell_their_range() -> None:
    from models_page import plot

    drawn = plot.chart(points([0.5 + 0.1 * math.sin(i) for i in range(10_000)]), "r2", ["prd"])
    assert drawn is not None
    assert 100 < len(drawn.columns) <= plot.WIDTH / plot.COLUMN
    (series,) = drawn.series
    assert series.dots == []
    assert len(series.line.split()) == len(drawn.columns)
    assert len(series.band.split()) == 2 * len(drawn.columns)
    told = [column.title for column in drawn.columns]
    assert all("median of" in title for title in told)
    assert "10,000 models" in drawn.summary


def test_few_models_are_a_dot_each_higher_where_the_metric_is() -> None:
    from models_page import plot

    drawn = plot.chart(points([0.1, 0.3, None, 0.2]), "r2", ["dev", "prd"])
    assert drawn is not None
    (series,) = drawn.series
    first, second, third = series.dots
    assert first.x < second.x < third.x
    assert second.y < third.y < first.y
    assert "r2 0.3" in second.title
    assert "2026-01-02" in second.title


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1e308, -1e308], [1e308] * 200, [-1e-320, 0.0]])
def test_every_coordinate_is_in_the_picture(values: list[float | None]) -> None:
    from models_page import plot

    drawn = plot.chart(points(values), "r2", ["prd"])
    assert drawn is not None
    for series in drawn.series:
        for pair in series.line.split() + series.band.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= plot.WIDTH
            assert 0 <= y <= plot.HEIGHT


def test_one_far_out_model_of_many_does_not_flatten_the_others() -> None:
    from models_page import plot

    drawn = plot.chart(points([-1000.0, *[0.4 + 0.2 * (i % 2) for i in range(100)]]), "r2", ["prd"])
    assert drawn is not None
    heights = sorted({dot.y for dot in drawn.series[0].dots})
    assert heights[-1] <= plot.HEIGHT
    assert abs(heights[0] - heights[1]) > plot.HEIGHT / 3


def test_without_a_number_there_is_no_picture() -> None:
    from models_page import plot

    assert plot.chart(points([None, None]), "r2", ["prd"]) is None
    assert plot.chart([], "rmse", ["prd"]) is None


def test_a_plot_of_lists_of_one_length_is_a_curve_of_each_over_the_first() -> None:
    from models_page import plot
    from models_page.curves import curve

    drawn = curve("calibration", {"predicted": [0.0, 0.5, 1.0], "observed": [0, 0.4, 1], "ideal": [0, 0.5, 1]})
    assert drawn is not None
    assert [one.environment for one in drawn.series] == ["observed", "ideal"]
    first, middle, last = (tuple(map(float, point.split(","))) for point in drawn.series[0].line.split())
    assert plot.LEFT < first[0] < middle[0] < last[0] < plot.WIDTH
    assert first[1] > middle[1] > last[1]
    assert "3 points" in drawn.summary


@pytest.mark.parametrize(
    "content",
    [
        {"x": [1.0, 2.0]},
        {"x": [1.0, 2.0], "y": [1.0]},
        {"x": [1.0], "y": [1.0]},
        {"x": [1.0, 2.0], "y": ["1", "2"]},
        {"x": [1.0, 2.0], "y": [True, False]},
        {"x": [1.0, 2.0], "y": [1e300, 2.0]},
        {"x": list(range(6000)), "y": list(range(6000))},
        {"x": 1.0, "y": 2.0},
        [1.0, 2.0],
        None,
    ],
)
def test_what_is_no_curve_is_not_drawn(content: object) -> None:
    from models_page.curves import curve

    assert curve("p", content) is None


def test_a_curve_that_stands_still_has_an_axis_all_the_same() -> None:
    from models_page.curves import curve

    drawn = curve("p", {"x": [1, 1], "y": [0, 0]})
    assert drawn is not None
    assert len(drawn.across) == len(drawn.up) == 4
