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
