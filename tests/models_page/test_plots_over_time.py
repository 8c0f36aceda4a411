"""Pictures of what changes over time: metrics of versions, and drift. Legible at any number of points, and right."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from tests.models_page.figures import assert_sound

from bulkhead.index.filling import moment
from bulkhead.index.state_reader import ModelSummary

DAY = 86_400_000_000
NOON = 1_767_268_800_000_000
HOSTILE = "<script>\u202e\x00\n" * 2000


def points(values: list[float | None], environment: str = "prd", **changes: Any) -> list[ModelSummary]:
    given: dict[str, Any] = {"model_hash": "h", "training_timestamp": "t", "environment": environment, "offset": 0}
    return [
        ModelSummary(
            number=number, version=number + 1, model_filename=f"model_{number}.joblib", time=NOON + number * DAY,
            metrics={} if value is None else {"r2": value}, **given, **changes,
        )
        for number, value in enumerate(values)
    ]  # fmt: skip


def test_ten_thousand_models_are_a_few_hundred_columns_that_tell_their_range() -> None:
    from models_page.plots import over_time
    from models_page.plots.figure import MOST_ROWS, Band, Line

    drawn = over_time.of_metric(points([0.5 + 0.1 * math.sin(i) for i in range(10_000)]), "r2", ["prd"])
    assert drawn is not None
    assert_sound(drawn)
    band, line = drawn.marks
    assert isinstance(band, Band)
    assert isinstance(line, Line)
    assert 100 < len(band.points) == len(line.points) <= over_time.COLUMNS
    for (x, low, high), (same, middle) in zip(band.points, line.points, strict=True):
        assert x == same
        assert low < middle < high
    assert min(low for _, low, _ in band.points) == pytest.approx(0.4, abs=1e-3)
    assert max(high for _, _, high in band.points) == pytest.approx(0.6, abs=1e-3)
    assert "10,000 models" in drawn.summary
    assert len(drawn.rows) == MOST_ROWS
    assert drawn.more == 10_000 - MOST_ROWS


def test_few_models_are_a_dot_each_higher_where_the_metric_is_and_lead_to_their_pages() -> None:
    from models_page.plots import over_time
    from models_page.plots.figure import Dots, Line, Link

    drawn = over_time.of_metric(points([0.1, 0.3, None, 0.2]), "r2", ["dev", "prd"])
    assert drawn is not None
    assert_sound(drawn)
    line, dots = drawn.marks
    assert isinstance(line, Line)
    assert isinstance(dots, Dots)
    assert line.points == [point[:2] for point in dots.points]
    assert [point[1] for point in dots.points] == [0.1, 0.3, 0.2]
    assert [point[0] for point in dots.points] == [(NOON + day * DAY) / 1000 for day in (0, 1, 3)]
    assert dots.points[1][2:] == ("model #2, prd, 2026-01-02 12:00:00: r2 0.3", "/models/model_1.joblib")
    assert drawn.has_links
    assert drawn.series == ["prd"]
    assert drawn.header == ["Published (UTC)", "Environment", "Version", "r2"]
    assert drawn.rows[0] == ["2026-01-04 12:00:00", "prd", Link("model #4", "/models/model_3.joblib"), "0.2"]
    assert "from 0.1 to 0.3" in drawn.summary


def test_each_environment_is_a_series_of_its_own() -> None:
    from models_page.plots import over_time

    of_both = [*points([0.1, 0.2]), *points([0.5], "dev")]
    drawn = over_time.of_metric(of_both, "r2", ["dev", "other", "prd"])
    assert drawn is not None
    assert_sound(drawn)
    assert drawn.series == ["dev", "prd"]
    assert [(mark["mark"], mark["series"]) for mark in drawn.drawing["marks"]] == [
        ("line", 0), ("dots", 0), ("line", 1), ("dots", 1),
    ]  # fmt: skip


VALUES = [
    [1.0],
    [0.0, 0.0],
    [1e308, -1e308],
    [1e308] * 200,
    [-1e-320, 0.0],
    [0.5, -1e300] * 100,
    [-1e300] + [0.5] * 500,
]


@pytest.mark.parametrize("values", VALUES, ids=range(len(VALUES)))
def test_every_coordinate_is_in_the_picture(values: list[float | None]) -> None:
    from models_page.plots import over_time

    drawn = over_time.of_metric(points(values), "r2", ["prd"])
    assert drawn is not None
    assert_sound(drawn)


@pytest.mark.parametrize("count", [100, 1000])
def test_one_far_out_model_of_many_does_not_flatten_the_others(count: int) -> None:
    from models_page.plots import over_time

    drawn = over_time.of_metric(points([-1000.0, *[0.4 + 0.2 * (i % 2) for i in range(count)]]), "r2", ["prd"])
    assert drawn is not None
    assert_sound(drawn)
    assert drawn.up is not None
    assert drawn.up.domain is not None
    low, high = drawn.up.domain
    assert high - low < 0.6  # of which the others take a third at least
    assert "from -1000 to 0.6" in drawn.summary  # what is cut off is said


def test_without_a_number_there_is_no_picture() -> None:
    from models_page.plots import over_time

    assert over_time.of_metric(points([None, None]), "r2", ["prd"]) is None
    assert over_time.of_metric([], "rmse", ["prd"]) is None
    assert over_time.figures(points([None]), ["model"], ["prd"]) == []


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", HOSTILE])
def test_whatever_a_version_is_called_and_whenever_it_was_made_it_is_a_line_of_text(time: str) -> None:
    from models_page.plots import over_time

    (one,) = points([0.5], HOSTILE, model_name=HOSTILE)
    odd = msgspec.structs.replace(
        one, model_filename=HOSTILE, goals={HOSTILE: "maximize"}, metrics={HOSTILE: 0.5}, time=moment(time, 0)
    )
    (drawn,) = over_time.figures([odd], [HOSTILE], [HOSTILE])
    assert_sound(drawn)
    assert not drawn.has_links  # nobody can ask for a page at such an address


def test_only_so_many_models_have_pictures_each_of_its_two_leading_metrics() -> None:
    from models_page.plots import over_time

    goals = {"r2": "maximize", "rmse": "minimize", "mae": "minimize"}
    names = [f"m{number}" for number in range(40)]
    given = {"model_hash": "h", "training_timestamp": "t", "environment": "prd", "offset": 0, "number": 1, "time": NOON}
    of_each = [
        ModelSummary(
            model_name=name,
            model_filename=name,
            metrics=dict.fromkeys(goals, 0.5),
            goals=goals,
            **given,  # type: ignore[arg-type]
        )
        for name in names
    ]
    drawn = over_time.figures(of_each, names, ["prd"])
    assert [one.title for one in drawn[:3]] == ["r2 of m0", "rmse of m0", "r2 of m1"]
    assert len(drawn) == 24


def drifted(psi: list[float], of: str = "churn in prd") -> dict[str, Any]:
    from models_page.plots.drift_over_time import DriftPoint

    return {
        of: [
            DriftPoint(NOON + at * DAY, value, f"c{at}", f"/inferences/{at}", "model_x.joblib")
            for at, value in enumerate(psi)
        ]
    }


def test_drift_over_time_leads_to_each_inference_and_marks_the_limit() -> None:
    from models_page.plots import drift_over_time
    from models_page.plots.figure import Dots, Link, Rule

    drawn = drift_over_time.figure_of(drifted([0.05, 0.3, 0.1]), 0.2)
    assert drawn is not None
    assert_sound(drawn)
    assert drawn.series == ["churn in prd"]
    assert "3 inferences of churn in prd" in drawn.summary
    assert "the newest 0.1 (c2)" in drawn.summary
    (dots,) = [mark for mark in drawn.marks if isinstance(mark, Dots)]
    assert [point[3] for point in dots.points] == ["/inferences/0", "/inferences/1", "/inferences/2"]
    assert dots.points[1][2] == "2026-01-02 12:00:00: c1 0.3"
    assert Rule(0.2, "limit") in drawn.marks
    assert drawn.rows[0][0] == Link("2026-01-03 12:00:00", "/inferences/2")
    assert drawn.up is not None
    assert drawn.up.domain is not None
    assert drawn.up.domain[1] > 0.3


def test_a_drift_that_is_but_rounding_is_none() -> None:
    from models_page.plots import drift_over_time

    drawn = drift_over_time.figure_of(drifted([3e-12, 0.1234567]), 0.2)
    assert drawn is not None
    assert [row[1] for row in drawn.rows] == ["0.123457", "0"]
    assert drawn.across is not None
    assert drawn.across.label == "UTC"


@pytest.mark.parametrize(("psi", "shown"), [(1e-12, "0"), (-1e-12, "0"), (0.25, "0.25"), (1e300, "1e+300")])
def test_an_index_has_six_decimals(psi: float, shown: str) -> None:
    from models_page import filters

    assert filters.psi(psi) == shown


def test_models_and_environments_have_lines_of_their_own() -> None:
    from models_page.plots import drift_over_time
    from models_page.plots.figure import Line

    drawn = drift_over_time.figure_of({**drifted([0.1, 0.1]), **drifted([0.9], "fraud in dev")}, None)
    assert drawn is not None
    assert_sound(drawn)
    assert drawn.series == ["churn in prd", "fraud in dev"]
    assert [(mark.series, [y for _, y in mark.points]) for mark in drawn.marks if isinstance(mark, Line)] == [
        (0, [0.1, 0.1]), (1, [0.9]),
    ]  # fmt: skip
    many = {name: own for at in range(9) for name, own in drifted([0.1], f"m{at} in prd").items()}
    few = drift_over_time.figure_of(many, None)
    assert few is not None
    assert len(few.series) == 4


@pytest.mark.parametrize("limit", [None, 0.0, 0.2, 50.0, 1e300, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("psi", [[0.0], [0.0] * 100, [1e300, 0.1], [-1.0, 0.1], [1e14] * 3, [0.1, math.nan]])
def test_drift_of_any_size_is_within_its_picture(psi: list[float], limit: float | None) -> None:
    from models_page.plots import drift_over_time

    drawn = drift_over_time.figure_of(drifted(psi, HOSTILE), limit)
    assert drawn is not None
    assert_sound(drawn)


def test_without_a_drift_there_is_no_picture() -> None:
    from models_page.plots import drift_over_time

    assert drift_over_time.figure_of({}, 0.2) is None
    assert drift_over_time.figure_of(drifted([math.inf, math.nan]), 0.2) is None
