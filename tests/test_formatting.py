"""Numbers, sizes, durations and times as people read them."""

from __future__ import annotations

import pytest

from bulkhead import formatting


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_250_000, "1.2 MiB"), (2 << 30, "2.0 GiB"),
        (5 << 40, "5.0 TiB"), (10**400, "1,099,511,627,776.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_are_in_the_units_of_memory_limits(count: int | None, text: str) -> None:
    assert formatting.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (1.5, "1.50 s"), (600, "10 min"), (3600, "1 h"), (86_400, "1 d"), (864_000, "10 d")],
)
def test_durations_are_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (442, "442"), (1_000_000, "1,000,000"), (0.33222222, "0.332222"), (1e308, "1e+308")],
)
def test_numbers_are_short_and_thousands_stand_apart(value: float | None, text: str) -> None:
    assert formatting.number(value) == text


def test_a_number_without_end_is_cut() -> None:
    assert len(formatting.number(10**400)) == 40


@pytest.mark.parametrize(("value", "text"), [(0.33222222, "0.3322"), (None, "-"), ("0.5", "-"), ([1.0], "-")])
def test_a_metric_has_four_digits_and_is_a_number(value: object, text: str) -> None:
    assert formatting.metric(value) == text


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        (None, "-"),
        ("2026-11-23T06:36:24.171553+00:00", "2026-11-23 06:36:24"),
        ("2026-11-23T06:36:24+02:00", "2026-11-23 04:36:24"),
        ("2024-01-31:23-59-59", "2024-01-31 23:59:59"),
        ("yesterday\x1b", "yesterday\\x1b"),
    ],
)
def test_times_are_utc_to_the_second_and_other_text_is_shown_as_it_is(recorded: str | None, text: str) -> None:
    assert formatting.time(recorded) == text


def test_a_time_of_the_index_is_shown_as_that_of_its_record() -> None:
    assert formatting.moment(1_700_000_000_000_000) == formatting.time("2023-11-14T22:13:20+00:00")


@pytest.mark.parametrize(("count", "text"), [(0, "0 rows"), (1, "1 row"), (20_000, "20,000 rows")])
def test_what_is_counted_is_one_or_many(count: int, text: str) -> None:
    assert formatting.count(count, "row") == text
