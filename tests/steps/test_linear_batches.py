"""The linear regression of a table in batches: scikit-learn's answer, whatever batches, units and columns are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression as Sklearn
from tests.steps.test_certified import TABLES, exact

from modeling import linear
from modeling.linear import LinearRegression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pass = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


def cut(columns: np.ndarray, target: np.ndarray, rows: int) -> Pass:
    return lambda: (
        (columns[begin : begin + rows], target[begin : begin + rows]) for begin in range(0, len(columns), rows)
    )


def table(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    made = np.random.default_rng(seed)
    features = made.normal(size=(rows, columns))
    return features, features @ made.normal(size=columns) + made.normal(size=rows) + 3


@pytest.fixture(params=["refined", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small tables are refined in memory, large ones corrected in a second pass: here, tables of one size."""
    if request.param == "large":
        monkeypatch.setattr(linear, "_REFINED", 0)
    return str(request.param)


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from(["full", "twice", "constant", "zero", "sum"]),
)
def test_it_predicts_what_scikit_learn_does(
    rows: int,
    columns: int,
    seed: int,
    intercept: bool,  # noqa: FBT001  # it comes by name
    kind: str,
) -> None:
    """Also where columns depend on each other, or are more than there are rows: there it is the shortest solution."""
    features, target = table(rows, columns, seed)
    match kind:
        case "twice":
            features[:, -1] = features[:, 0]
        case "constant":
            features[:, -1] = 7
        case "zero":
            features[:, 0] = 0
        case "sum":
            features[:, -1] = features[:, :-1].sum(axis=1)
    ours = LinearRegression(fit_intercept=intercept).fit(features, target)
    theirs = Sklearn(fit_intercept=intercept).fit(features, target)
    assert ours.predict(features) == pytest.approx(theirs.predict(features), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 7, 64, 1000])
def test_the_size_of_batches_changes_no_more_than_a_billionth(
    rows: int,
    intercept: bool,  # noqa: FBT001  # it comes by name
    size: str,
) -> None:
    del size
    features, target = table(1000, 6)
    whole = LinearRegression(fit_intercept=intercept).fit_batches(cut(features, target, 1000))
    parts = LinearRegression(fit_intercept=intercept).fit_batches(cut(features, target, rows))
    assert parts.coef_ == pytest.approx(whole.coef_, rel=1e-9)
    assert parts.intercept_ == pytest.approx(whole.intercept_, rel=1e-9)


def test_the_same_batches_give_the_same_bits() -> None:
    features, target = table(5000, 9)
    one, other = (LinearRegression().fit_batches(cut(features, target, 512)) for _ in range(2))
    assert one.coef_.tobytes() == other.coef_.tobytes()
    assert one.intercept_ == other.intercept_


def test_positive_coefficients_are_scikit_learns(size: str) -> None:
    del size
    features, target = table(300, 5, seed=1)
    target -= 5 * features[:, 2]
    ours = LinearRegression(positive=True).fit_batches(cut(features, target, 37))
    theirs = Sklearn(positive=True).fit(features, target)
    assert (ours.coef_ >= 0).all()
    assert (ours.coef_ == 0).any()
    assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-9, abs=1e-12)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-9)


def test_units_do_not_count(size: str) -> None:
    """Of a column in millionths of millionths beside one in millions of millions no digit is lost."""
    del size
    features, target = table(400, 4)
    units = np.array([1e-12, 1e12, 1.0, 1e-6])
    plain = LinearRegression().fit_batches(cut(features, target, 50))
    scaled = LinearRegression().fit_batches(cut(features * units, target, 50))
    assert scaled.coef_ * units == pytest.approx(plain.coef_, rel=1e-9)
    assert scaled.rank_ == 4


@pytest.mark.parametrize("far", [1e6, 1e9, -1e9])
def test_what_is_far_from_zero_keeps_its_digits(far: float, size: str) -> None:
    """Whole numbers, so that what is far away is exact."""
    del size
    features = np.random.default_rng(0).integers(0, 100, size=(500, 3)).astype(float)
    target = features @ [1.0, 2.0, -3.0] + 5
    found = LinearRegression().fit_batches(cut(features + far, target, 64))
    assert found.coef_ == pytest.approx([1, 2, -3], rel=1e-9)
    assert found.predict(features + far) == pytest.approx(target, abs=1e-5)


def test_a_column_that_is_constant_in_the_first_batch_alone_counts(size: str) -> None:
    del size
    features, target = table(400, 3)
    features[:100, 1] = 5
    target += features[:, 1]
    ours = LinearRegression().fit_batches(cut(features, target, 100))
    assert ours.coef_ == pytest.approx(Sklearn().fit(features, target).coef_, rel=1e-9)


def test_a_table_in_the_order_of_time_keeps_its_digits(size: str) -> None:
    """Its first batch tells nothing of where the last one is."""
    del size
    seconds = np.arange(2000.0) * 3600 + 1.7e9
    features = np.column_stack([seconds, np.arange(2000) % 24])
    target = 2e-6 * (seconds - 1.7e9) + features[:, 1] * 0.5
    found = LinearRegression().fit_batches(cut(features, target, 100))
    assert found.coef_ == pytest.approx([2e-6, 0.5], rel=1e-9)


@pytest.mark.parametrize("rows", [300, 4096])
@pytest.mark.parametrize("name", ["Longley", "Norris", "Wampler1", "Wampler2", "Wampler5"])
def test_a_certified_table_that_comes_again_and_again_keeps_its_digits(
    name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table many times over has the coefficients of the table; it is too large to be refined to nine digits."""
    monkeypatch.setattr(linear, "_REFINED", 0)
    once = TABLES[name]()
    numbers = np.array(once, dtype=float)
    many = np.tile(numbers, (1 + 20_000 // len(numbers), 1))
    found = LinearRegression().fit_batches(cut(many[:, 1:], many[:, 0], rows))
    right = [float(value) for value in exact(once)]
    assert [found.intercept_, *found.coef_] == pytest.approx(right, rel=1e-6, abs=0)


def test_more_than_a_million_rows_drop_no_direction_that_is_there() -> None:
    """What is dropped as rounding does not grow with the rows."""
    numbers = np.array(TABLES["Filip's shape"](), dtype=float)
    passes = 1 + 1_200_000 // len(numbers)
    block = np.tile(numbers, (1 + 60_000 // len(numbers), 1))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(passes * len(numbers) // len(block)):
            yield block[:, 1:], block[:, 0]

    assert LinearRegression().fit_batches(batches).rank_ == 10


def test_a_column_that_is_another_in_other_units_is_dropped_however_many_rows_there_are() -> None:
    features, target = table(20_000, 3)
    features[:, 2] = features[:, 0] * 2.54 - features[:, 1] / 3
    found = LinearRegression().fit_batches(cut(features, target, 128))
    assert found.rank_ == 2
    assert np.abs(found.coef_).max() < 10


def test_names_of_columns_are_kept_and_batches_may_be_frames() -> None:
    features, target = table(50, 2)
    frame = pd.DataFrame(features, columns=["a", "b"])
    found = LinearRegression().fit_batches(lambda: iter([(frame[:20], target[:20]), (frame[20:], target[20:])]))
    assert found.feature_names_in_.tolist() == ["a", "b"]
    assert found.coef_ == pytest.approx(Sklearn().fit(features, target).coef_, rel=1e-9)


def test_few_rows_of_many_columns_cost_no_more_than_the_rows_have_directions() -> None:
    """A square of the columns would be 800 MB, and take minutes."""
    random = np.random.default_rng(7)
    table, target = random.normal(size=(16, 10_000)), random.normal(size=16)
    model = LinearRegression().fit(table, target)
    assert (model.rank_, len(model.singular_)) == (15, 15)
    assert np.abs(model.predict(table) - target).max() < 1e-10
    assert np.abs(model.predict(table) - Sklearn().fit(table, target).predict(table)).max() < 1e-10


def test_no_rows_are_told() -> None:
    with pytest.raises(ValueError, match="no rows"):
        LinearRegression().fit_batches(lambda: iter([]))
