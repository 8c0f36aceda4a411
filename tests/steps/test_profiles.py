"""What training keeps of its columns: bins and shares, in bounded memory and size, the same however it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from bulkhead.columns import Column, boolean, category, date, number
from bulkhead.prediction.typed import TypedBatch, TypedReader
from bulkhead.registry import bounded
from bulkhead.registry.profiles import LARGEST, Profile
from modeling import profiling, sampling
from modeling.profiling import Profiler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

DRAW = np.random.default_rng(3)
NORMAL = DRAW.normal(size=5000)


def profile_of(columns: Mapping[str, Any], kinds: Mapping[str, Column], at_once: int | None = None) -> Profile:
    """The profile of columns of Arrow's, read ``at_once`` rows at a time."""
    profiler = Profiler(kinds)
    rows = len(next(iter(columns.values())))
    step = at_once or rows
    for begin in range(0, rows, step):
        profiler.add(TypedBatch({name: one.slice(begin, step) for name, one in columns.items()}, kinds, begin))
    return profiler.profile()


@pytest.mark.parametrize("at_once", [1, 7, 512, 49_999])
def test_the_profile_does_not_depend_on_the_batches(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_ROWS", 300)
    rows = 50_000 if at_once > 7 else 1500
    draw = np.random.default_rng(0)
    columns = {
        "x": pa.array(draw.normal(size=rows), mask=draw.random(rows) < 0.1),
        "word": pa.array(draw.choice(["red", "green", "blue"], rows)),
    }
    kinds = {"x": number(missing=True), "word": category()}
    found = profile_of(columns, kinds, at_once)
    assert found == profile_of(columns, kinds)
    assert found.columns["x"].rows == 300
    assert found.columns["x"].empty == pytest.approx(0.1, abs=0.02)  # of all rows, and not of the sample
    assert found.columns["x"].low == pytest.approx(columns["x"].to_pandas().min(), rel=1e-5)


def test_the_sample_is_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_ROWS", 1000)
    sampler = sampling.Sampler({"x": number()}, seed=5)
    for begin in range(0, 100_000, 1000):
        sampler.add(TypedBatch({"x": pa.array(np.arange(begin, begin + 1000))}, {"x": number()}))
    taken = sampler.taken().column(0).to_numpy()
    assert len(set(taken)) == len(taken) == 1000
    assert np.all(np.diff(taken) > 0)
    tenths = np.bincount((taken // 10_000).astype(int), minlength=10)
    assert tenths.sum() == 1000
    assert ((tenths - 100) ** 2 / 100).sum() < 27.9  # chi-squared of nine degrees, beyond which is one in a thousand


BINS: dict[str, tuple[list[float], list[float], list[float]]] = {
    "a constant": ([5.0] * 20, [4.9995, 5.0005], [0, 1, 0]),
    "zeros": ([0.0] * 20, [-1e-9, 1e-9], [0, 1, 0]),
    "one number": ([-3.0], [-3.0003, -2.9997], [0, 1, 0]),
    "numbers that differ by rounding alone": ([0.3, 0.1 + 0.2] * 10, [0.29997, 0.30003], [0, 1, 0]),
    "two numbers": ([1.0, 2.0] * 10, [0.5, 1.5, 2.5], [0, 0.5, 0.5, 0]),
    "huge numbers": ([1e150, -1e150] * 10, [-2e150, 0, 2e150], [0, 0.5, 0.5, 0]),
    "tiny numbers": ([5e-324, 0.0] * 10, [-1e-9, 1e-9], [0, 1, 0]),
    "twenty numbers": ([float(i) for i in range(20)], [4.5, 9.5, 14.5], [0.25] * 4),
    "numbers with much in common": (
        [float(2_026_000_000 + i) for i in range(100)],
        [2_026_000_009.5 + 10 * i for i in range(9)],
        [0.1] * 10,
    ),
    "many ties": (
        [0.0] * 60 + [float(i) for i in range(-20, 0)] + [float(i) for i in range(1, 21)],
        [-10.5, -0.5, 0.5, 10.5],
        [0.1, 0.1, 0.6, 0.1, 0.1],
    ),
}


@pytest.mark.parametrize(("values", "edges", "shares"), BINS.values(), ids=BINS)
def test_bins_lie_between_numbers_and_ties_merge_them(
    values: list[float], edges: list[float], shares: list[float]
) -> None:
    found = profiling.of_numbers(np.array(values), len(values))
    assert found.edges == pytest.approx(edges, rel=1e-9, abs=1e-12)
    assert found.shares == pytest.approx(shares, abs=1e-6)
    bounded.profile(Profile(rows=len(values), columns={"x": found}))


def test_ten_bins_of_many_numbers_hold_a_tenth_each() -> None:
    found = profiling.of_numbers(NORMAL, len(NORMAL))
    assert len(found.shares) == 10
    assert found.shares == pytest.approx([0.1] * 10, abs=1e-3)
    assert all(len(str(abs(edge)).replace(".", "").lstrip("0")) <= 7 for edge in found.edges or [])


def test_each_kind_of_column_is_profiled_as_it_is_typed() -> None:
    kinds = {"day": date(missing=True), "is": boolean(), "word": category(missing=True), "none": number(missing=True)}
    cells = {
        "day": ["1970-01-02", "1970-01-03T12:00:00", "", "1969-12-31"] * 5,
        "is": ["yes", "no", "1", "true"] * 5,
        "word": ["red", "", "a\0b", "x" * 101] * 5,
        "none": [""] * 20,
    }
    typed = TypedReader(kinds).read(pa.table({name: pa.array(words) for name, words in cells.items()}))
    profiler = Profiler(kinds)
    profiler.add(typed)
    found = profiler.profile().columns
    assert (found["day"].low, found["day"].high, found["day"].empty) == (-1.0, 2.5, 0.25)
    assert (found["is"].categories, found["is"].shares) == (["true", "false"], [0.75, 0.25, 0.0])
    # Of the words, one is too long, and one holds what no record can; both are among all others.
    assert (found["word"].categories, found["word"].empty) == (["red"], 0.25)
    assert found["word"].shares == pytest.approx([1 / 3, 2 / 3], abs=1e-6)
    assert (found["none"].empty, found["none"].edges, found["none"].shares) == (1.0, [], [0.0])
    assert (found["none"].low, found["none"].high) == (None, None)
    bounded.profile(profiler.profile())


def test_of_many_words_the_commonest_are_kept_and_the_rest_counted_together() -> None:
    words = [f"w{i:03d}" for i in range(100) for _ in range(i + 1)]
    found = profiling.of_words(pa.array(words))
    assert found.categories == [f"w{i:03d}" for i in range(99, 69, -1)]
    assert found.shares[-1] == pytest.approx(sum(range(1, 71)) / 5050, abs=1e-6)


def test_words_that_come_seldom_are_among_all_others() -> None:
    found = profiling.of_words(pa.array(["often"] * 15 + list("abcde")))
    assert (found.categories, found.shares) == (["often"], [0.75, 0.25])
    known = profiling.of_words(pa.array(["often"] * 19 + ["seldom"]), known=["often", "seldom", "never"])
    assert (known.categories, known.shares) == (["often", "seldom", "never"], [0.95, 0.05, 0, 0])


@pytest.mark.parametrize("name", ["c", "ä" * 300])
def test_a_wide_table_is_profiled_as_far_as_there_is_room(name: str) -> None:
    draw = np.random.default_rng(0)
    kinds = {f"{name}{i}": number() for i in range(5000)}
    values = draw.normal(size=(700, 5000))
    columns = {one: pa.array(values[:, i]) for i, one in enumerate(kinds)}
    found = profile_of(columns, kinds, 100)
    size = len(msgspec.json.encode(found))
    assert LARGEST - 1000 < size <= LARGEST
    assert list(found.columns) == list(kinds)[: len(found.columns)]
    assert len(found.columns) + found.left_out == 5000
    assert len(found.columns) > 60


def test_memory_does_not_grow_with_rows_or_columns() -> None:
    kinds = {f"c{i}": number() for i in range(5000)}
    sampler = sampling.Sampler(kinds)
    draw = np.random.default_rng(0)
    for _ in range(8):
        values = draw.normal(size=(4096, 1))
        sampler.add(TypedBatch(dict.fromkeys(kinds, pa.array(values[:, 0])), kinds))
        held = sum(one.nbytes for one in sampler._pieces)  # what it keeps
        assert held <= 2 * 8 * (1 << 21) + 4096 * 8 * 400


MODEL = """
from sklearn.linear_model import {estimator}
from bulkhead.columns import number
{more}
def build(parameters):
    return {estimator}()
"""


def test_a_models_record_has_the_profile_of_what_it_was_trained_on(project: Project, code: ProjectFiles) -> None:
    code.put(
        "model.py", MODEL.format(estimator="LinearRegression", more="def transform(frame):\n    return frame * 100")
    )
    rows = "".join(f"{i},{(7 * i) % 100},{3 * i}\n" for i in range(100))
    project.put("t.csv", "a,b,target\n" + rows)
    profile = project.train("--source", "t.csv").profile
    assert profile is not None
    assert (profile.rows, profile.left_out, list(profile.columns)) == (100, 0, ["a", "b"])
    assert (profile.columns["a"].low, profile.columns["a"].high) == (0, 99)  # before the transformation
    assert profile.predictions is not None
    assert (profile.predictions.kind, profile.predictions.rows, profile.probability) == ("number", 20, None)


def test_of_a_binary_classifier_classes_and_probabilities_are_profiled(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", MODEL.format(estimator="LogisticRegression", more=""))
    project.put("t.csv", "a,target\n" + "".join(f"{i},{'yes' if i % 10 > 4 else 'no'}\n" for i in range(200)))
    profile = project.train("--source", "t.csv").profile
    assert profile is not None
    assert profile.predictions is not None
    assert profile.probability is not None
    assert sorted(profile.predictions.categories or []) == ["no", "yes"]
    assert profile.probability.rows == profile.predictions.rows == 40
    assert 0 <= (profile.probability.low or 0) <= (profile.probability.high or 0) <= 1


def test_predictions_are_those_of_the_rows_that_trained_where_none_were_held_out(project: Project) -> None:
    record = project.train(fraction="0")
    assert record.profile is not None
    assert record.profile.predictions is not None
    assert record.profile.predictions.rows == 20
    assert record.profile.predictions.low == pytest.approx(40, abs=1e-3)
    assert record.evaluation is None


def test_a_profile_that_is_not_what_preprocessing_wrote_is_refused(project: Project) -> None:
    project.done("trainer", "preprocessing")
    (project.shared / "preprocessing.profile.json").write_text('{"rows":20,"columns":{}}')
    project.assert_refused(project.trainer("train_model"), "train_model", "preprocessing.profile.json has changed")


def test_what_preprocessing_left_before_there_were_profiles_is_trained_on(project: Project) -> None:
    project.done("trainer", "preprocessing")
    path = project.shared / "preprocessing.json"
    result = msgspec.json.decode(path.read_bytes())
    del result["outputs"]["profile"]
    path.write_bytes(msgspec.json.encode(result))
    project.done("trainer", "train_model")
    assert project.registry.latest("dev").profile is None
