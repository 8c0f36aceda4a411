"""How far an inference is from what its model was trained on: PSI, what chance allows, and what the gate asks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from scipy.special import chdtri
from tests.support.project import lines_of

from bulkhead.errors import Refused
from bulkhead.registry import drift
from bulkhead.registry.drift_gate import DriftGate
from bulkhead.registry.profiles import ColumnProfile, Drift, Profile
from modeling import profiling, project_check
from modeling.comparing import Comparison, psi

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.project import Ended, Project
    from tests.support.project_files import ProjectFiles

GATE = DriftGate()
MODEL = """
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from bulkhead.columns import boolean, category, date, number
COLUMNS = {"a": number(missing=True), "word": category(missing=True), "is": boolean(), "day": date()}
def transform(frame):
    return frame.assign(a=frame["a"].fillna(0), word=frame["word"].notna().astype(float),
        day=frame["day"].astype("int64") / 1e12)
def build(parameters):
    return LinearRegression()
"""
DUMMY = """
from sklearn.dummy import DummyRegressor
def build(parameters):
    return DummyRegressor()
"""


def test_psi_is_what_is_computed_by_hand() -> None:
    profile = ColumnProfile(kind="number", rows=1000, edges=[0.0, 1.0], shares=[0.5, 0.3, 0.2])
    counts = np.array([20, 50, 30, 0])
    by_hand = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.5 - 0.3) * math.log(0.5 / 0.3) + (0.3 - 0.2) * math.log(0.3 / 0.2)
    assert psi(counts, profile) == pytest.approx(by_hand, rel=1e-12)
    assert psi(np.array([500, 300, 200, 0]), profile) == 0


def test_empty_cells_are_a_bin_and_half_a_row_stands_for_none() -> None:
    profile = ColumnProfile(kind="category", rows=50, categories=["x"], shares=[1.0, 0.0], empty=0.2)
    # Of a hundred rows 40 are x, none is another, 60 are empty; training had 0.8 and 0.2.
    found = psi(np.array([40, 0, 60]), profile)
    assert found == pytest.approx((0.4 - 0.8) * math.log(0.4 / 0.8) + (0.6 - 0.2) * math.log(0.6 / 0.2))
    # None is x, and all are another word, which training had not: half a row of a hundred, and of fifty.
    found = psi(np.array([0, 100, 0]), profile)
    expected = (
        (0.005 - 0.8) * math.log(0.005 / 0.8) + (1 - 0.01) * math.log(1 / 0.01) + (0.005 - 0.2) * math.log(0.005 / 0.2)
    )
    assert found == pytest.approx(expected)


def test_each_bin_holds_its_upper_boundary() -> None:
    profile = ColumnProfile(kind="number", rows=9, edges=[1.0, 2.0], shares=[0.3, 0.3, 0.4])
    column = pa.array([1.0, 1.5, 2.0, 2.5, -1e308, 1e308, None])
    assert profiling.counts_of(profile, column).tolist() == [2, 2, 2, 1]


@pytest.mark.parametrize("freedom", range(1, 32))
@pytest.mark.parametrize("beyond", [1e-4, 1e-5, 1e-7])
def test_the_quantile_of_chance_is_chi_squareds(freedom: int, beyond: float) -> None:
    found, exact = drift._chi_squared(beyond, freedom), chdtri(freedom, beyond)  # no ML library there
    assert exact * 0.98 < found < exact * 1.1


def of_numbers(draw: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(draw.lognormal(size=rows))


def of_words(draw: np.random.Generator, rows: int) -> pa.Array:
    return pa.array([f"w{place}" for place in np.minimum(draw.geometric(0.1, size=rows), 60)])


def of_truths(draw: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(draw.choice(["true", "false"], rows, p=[0.05, 0.95]))


def with_empty(draw: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(draw.normal(size=rows), mask=draw.random(rows) < 0.3)


def of_few(draw: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(draw.integers(1, 6, rows).astype(float))


def profile_of(column: pa.Array) -> ColumnProfile:
    if pa.types.is_string(column.type):
        return profiling.of_words(column)
    values = column.drop_null().to_numpy()
    return profiling.of_numbers(values, len(column), empty=column.null_count / len(column))


@pytest.mark.parametrize("made", [of_numbers, of_words, of_truths, with_empty, of_few])
@pytest.mark.parametrize(("trained", "rows"), [(20, 20), (16, 1), (400, 20), (2000, 20), (2000, 300), (50, 5000)])
def test_a_table_of_the_same_distribution_is_never_flagged(
    made: Callable[[np.random.Generator, int], pa.Array], trained: int, rows: int
) -> None:
    draw = np.random.default_rng(trained + rows)
    beyond_the_limit = 0
    for _ in range(300):
        profile = Profile(rows=trained, columns={"x": profile_of(made(draw, trained))})
        batch = pa.RecordBatch.from_arrays([made(draw, rows)], names=["x"])
        found = drift.judged(Comparison(profile, [batch], batch.num_rows).drift(), profile, GATE)
        beyond_the_limit += found.columns["x"] > GATE.warn
        assert found.drifted == [], (found, profile)
    if rows == 20:
        assert beyond_the_limit, "the limit alone would do, so this shows nothing of chance"


DRIFTED: dict[str, tuple[Any, Any]] = {
    "shifted numbers": (np.linspace(0, 1, 500), np.linspace(0.5, 1.5, 100)),
    "numbers of another unit": (np.linspace(0, 1, 500), np.linspace(0, 1000, 100)),
    "all of one number": (np.linspace(0, 1, 500), np.full(100, 0.5)),
    "a constant that changes a little": (np.full(500, 20.0), np.full(100, 20.1)),
    "zeros that are none": (np.zeros(500), np.full(100, 1e-3)),
    "huge numbers": (np.linspace(0, 1, 500), np.full(100, 1e150)),
    "huge numbers of the other sign": (np.linspace(1e149, 1e150, 500), np.linspace(-1e150, -1e149, 100)),
    "a number that was none of few": (np.array([1.0, 2, 3, 4, 5] * 100), np.array([1.0, 2, 3, 4, 9] * 20)),
    "new words": (np.array(["red", "blue"] * 250), np.array(["green", "blue"] * 50)),
    "a word more often": (np.array(["red", "blue"] * 250), np.array(["red"] * 90 + ["blue"] * 10)),
    "nothing but empty cells": (np.linspace(0, 1, 500), np.full(100, np.nan)),
    "twenty rows elsewhere": (np.linspace(0, 1, 500), np.linspace(5, 6, 20)),
}


@pytest.mark.parametrize(("trained", "seen"), DRIFTED.values(), ids=DRIFTED)
def test_what_has_drifted_is_flagged(trained: Any, seen: Any) -> None:
    profile = Profile(rows=len(trained), columns={"x": profile_of(pa.array(trained))})
    column = pa.array(seen, from_pandas=True)
    batch = pa.RecordBatch.from_arrays([column], names=["x"])
    found = drift.judged(Comparison(profile, [batch], batch.num_rows).drift(), profile, GATE)
    assert found.drifted == ["x"]
    assert math.isfinite(found.columns["x"])
    assert found.columns["x"] > max(found.limit or 0, found.chance)
    assert sum(found.shares["x"]) == pytest.approx(1, abs=1e-4)


def test_batches_make_no_difference() -> None:
    draw = np.random.default_rng(0)
    columns = {"n": with_empty(draw, 5000), "w": of_words(draw, 5000)}
    profile = Profile(rows=5000, columns={name: profile_of(column) for name, column in columns.items()})
    batch = pa.RecordBatch.from_arrays([with_empty(draw, 999), of_words(draw, 999)], names=["n", "w"])
    whole = Comparison(profile, [batch], batch.num_rows).drift()
    for size in (1, 7, 500):
        pieces = [batch.slice(begin, size) for begin in range(0, 999, size)]
        assert Comparison(profile, pieces, 999).drift() == whole


def test_of_many_columns_the_furthest_are_shown_in_full() -> None:
    columns = {f"c{i}": profile_of(pa.array(np.linspace(0, 1, 500))) for i in range(300)}
    profile = Profile(rows=500, columns=columns)
    shifted = [pa.array(np.linspace(0, 1, 500) + i / 1000) for i in range(300)]
    batch = pa.RecordBatch.from_arrays(shifted, list(columns))
    found = Comparison(profile, [batch], batch.num_rows).drift()
    assert len(found.columns) == 300
    assert list(found.shares) == sorted(found.columns, key=lambda name: -found.columns[name])[:20]
    said = drift.sentence(drift.judged(found, profile, GATE))
    assert said is not None
    assert said.startswith(f"drift: {next(iter(found.shares))} ")
    assert " and " in said
    assert said.endswith(" more (limit 0.25)")
    assert len(said) < 200


def test_a_column_that_is_called_prediction_is_not_taken_for_the_predictions() -> None:
    column = profile_of(pa.array(np.linspace(0, 1, 500)))
    profile = Profile(rows=500, columns={"prediction": column}, predictions=column)
    given = Drift(rows=100, sampled=100, columns={"prediction": 9.0}, predictions=0.01)
    assert drift.judged(given, profile, GATE).drifted == []
    assert drift.judged(msgspec.structs.replace(given, predictions=9.0), profile, GATE).drifted == ["prediction"]


def table(rows: int, *, shift: float = 0, word: str = "red", seed: int = 0) -> str:
    draw = np.random.default_rng(seed)
    lines = []
    for i in range(rows):
        a = draw.normal() + shift
        empty = draw.random() < 0.1
        day = f"2026-{draw.integers(1, 12):02d}-{draw.integers(1, 28):02d}"
        said = word if draw.random() < 0.5 else "blue"
        lines.append(f"{'' if empty else a},{said},{'yes' if draw.random() < 0.3 else 'no'},{day},{i}\n")
    return "a,word,is,day,target\n" + "".join(lines)


@pytest.fixture
def trained(project: Project, code: ProjectFiles) -> Project:
    """A project with a model of numbers, words, truths and dates, trained on 400 rows for dev and for prd."""
    code.put("model.py", MODEL)
    (project.models / "gate.toml").write_text("[dev]\n")
    project.put("t.csv", table(400))
    for environment in ("dev", "prd"):
        project.train("--source", "t.csv", environment=environment)
    return project


def infer(project: Project, content: str, environment: str = "dev") -> Ended:
    project.prepare_inference(project.put("new.csv", content), environment)
    return project.inference("model_inference", "--environment", environment)


def last(project: Project) -> dict[str, Any]:
    return lines_of(project.registry.inference_journal)[-1]


def test_an_inference_records_how_far_it_is_from_training(trained: Project) -> None:
    ended = infer(trained, table(200, seed=1))
    assert ended.code == 0, ended.err
    found = last(trained)["drift"]
    assert list(found["columns"]) == ["a", "word", "is", "day"]
    assert all(0 <= psi < 0.25 for psi in found["columns"].values())
    assert found["predictions"] >= 0
    assert (found["rows"], found["sampled"], found["drifted"], found["limit"]) == (200, 200, [], 0.25)
    assert "drift" not in ended.out
    assert "drift" not in msgspec.json.decode((trained.shared / "model_inference.json").read_bytes())["facts"]


def test_what_has_drifted_is_marked_and_told(trained: Project) -> None:
    ended = infer(trained, table(200, shift=2, word="green", seed=1))
    assert ended.code == 0, ended.err
    found = last(trained)["drift"]
    assert {"a", "word"} <= set(found["drifted"])
    assert found["columns"]["a"] > 1
    facts = msgspec.json.decode((trained.shared / "model_inference.json").read_bytes())["facts"]
    assert facts["drift"].startswith("drift: ")
    assert facts["drift"].endswith("(limit 0.25)")
    assert f"a {found['columns']['a']:.2f}" in facts["drift"]
    assert ended.out.rstrip().endswith(facts["drift"])


def test_shares_of_what_has_moved_stand_in_trainings_bins(trained: Project) -> None:
    assert infer(trained, table(200, word="green", seed=1)).code == 0
    shares, profile = last(trained)["drift"]["shares"], trained.registry.latest("dev").profile
    assert profile is not None
    assert set(shares) == {"word", "prediction"}  # of what has not moved, a journal has no room
    assert len(shares["word"]) == len(profile.columns["word"].shares) + 1
    assert sum(shares["prediction"]) == pytest.approx(1, abs=1e-4)
    assert shares["word"][-2] == pytest.approx(0.5, abs=0.15)  # green, which training had not


def test_a_model_that_has_no_profile_predicts_as_ever(trained: Project) -> None:
    lines = lines_of(trained.registry.training_journal)
    for line in lines:
        del line["profile"], line["evaluation"]
    trained.registry.training_journal.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    (trained.models / "gate.toml").write_text('[dev."*".drift]\nrefuse = 0.3\n')
    ended = infer(trained, table(100, shift=9))
    assert ended.code == 0, ended.err
    assert last(trained)["drift"] is None


def test_what_has_drifted_too_far_is_refused_and_leaves_no_predictions(trained: Project) -> None:
    (trained.models / "gate.toml").write_text('[dev."*".drift]\nrefuse = 1\n')
    ended = infer(trained, table(200, shift=3, seed=1))
    sentence = trained.assert_refused(ended, "model_inference", "drift.refuse for dev in models/gate.toml is 1")
    record = last(trained)
    found = record["metrics"]["drift"]
    assert f"a {found['columns']['a']:.2f}" in sentence
    assert "word" not in sentence
    assert found["columns"]["a"] > 1
    assert infer(trained, table(200, seed=1)).code == 0


def test_a_column_that_is_excepted_is_neither_marked_nor_refused(trained: Project) -> None:
    settings = '[dev.model.drift]\nwarn = 0.5\nrefuse = 1\nexcept = ["a", "prediction"]\n'
    (trained.models / "gate.toml").write_text(settings)
    assert infer(trained, table(200, shift=3, seed=1)).code == 0
    found = last(trained)["drift"]
    assert found["columns"]["a"] > 1
    assert (found["drifted"], found["limit"]) == ([], 0.5)


def test_each_environment_has_limits_of_its_own(trained: Project) -> None:
    (trained.models / "gate.toml").write_text('[dev]\n[prd."*".drift]\nrefuse = 1\n')
    drifted = table(200, shift=3, seed=1)
    assert infer(trained, drifted).code == 0
    ended = infer(trained, drifted, "prd")
    assert ended.code == 1
    assert "drift.refuse for prd" in ended.err
    assert "allow" not in ended.err


@pytest.mark.parametrize("rows", [1, 20])
def test_few_rows_cry_no_wolf(rows: int, trained: Project) -> None:
    for seed in range(1, 6):
        assert infer(trained, table(rows, seed=seed)).code == 0
        assert last(trained)["drift"]["drifted"] == []


def test_settings_that_cannot_be_meant_refuse_the_inference(trained: Project) -> None:
    (trained.models / "gate.toml").write_text('[dev."*".drift]\nwarn = -1\n')
    ended = infer(trained, table(10))
    trained.assert_refused(ended, "model_inference", "models/gate.toml: [dev.*.drift] warn is -1")


def test_a_wide_table_is_compared_as_far_as_it_was_profiled(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", DUMMY)
    draw = np.random.default_rng(0)

    def wide(rows: int, shift: float) -> str:
        lines = [",".join([f"c{i}" for i in range(3000)] + ["target"])]
        lines += [",".join(f"{one:.3f}" for one in draw.normal(size=3001) + shift) for _ in range(rows)]
        return "\n".join(lines) + "\n"

    project.put("t.csv", wide(60, 0))
    profile = project.train("--source", "t.csv").profile
    assert profile is not None
    assert profile.left_out > 2000
    assert len(profile.columns) + profile.left_out == 3000
    project.put("new.csv", wide(60, 5))
    found = project.infer("new.csv")["drift"]
    assert list(found["columns"]) == list(profile.columns)
    assert len(found["drifted"]) == len(profile.columns)
    assert len(found["shares"]) == 21


def test_a_large_input_is_compared_by_a_sample_of_it(project: Project) -> None:
    draw = np.random.default_rng(0)
    lines = [f"{one:.4f},{one:.4f}\n" for one in draw.normal(size=30_000)]
    project.put("t.csv", "a,target\n" + "".join(lines))
    profile = project.train("--source", "t.csv").profile
    assert profile is not None
    assert (profile.rows, profile.columns["a"].rows) == (30_000, 10_000)
    found = project.infer("t.csv")["drift"]
    assert (found["rows"], found["sampled"]) == (30_000, 10_000)
    assert found["columns"]["a"] < 0.01
    assert found["predictions"] < 0.01


def test_a_table_that_was_read_since_is_not_taken_for_the_one_that_is_predicted(trained: Project) -> None:
    trained.prepare_inference(trained.put("new.csv", table(50)))
    trained.done("inference", "generate_inf_data", "--source", trained.put("other.csv", table(60)))
    ended = trained.inference("model_inference")
    trained.assert_refused(ended, "model_inference", "generate_inf_data has read another table since")


def test_an_input_of_an_image_of_before_is_not_compared(trained: Project) -> None:
    trained.prepare_inference(trained.put("new.csv", table(50)))
    path = trained.shared / "generate_inf_data.json"
    result = msgspec.json.decode(path.read_bytes())
    del result["outputs"]["sample"]
    path.write_bytes(msgspec.json.encode(result))
    trained.done("inference", "model_inference")
    assert last(trained)["drift"] is None
    # Where drift is refused, what nobody can tell is refused too.
    (trained.models / "gate.toml").write_text('[dev."*".drift]\nrefuse = 5\n')
    ended = trained.inference("model_inference")
    assert ended.code == 1
    assert "does not say how far its input is from training's" in ended.err
    assert len(trained.predictions_files()) == 1


@pytest.mark.parametrize(
    ("settings", "stranger"),
    [
        ('[dev.model.drift]\nexcept = ["a", "prediction", "probability"]\n', None),
        ('[dev.model.drift]\nexcept = ["a", "aeg"]\n', "aeg"),
        ('[prd."*".drift]\nexcept = ["nobody"]\n', "nobody"),
        ("[dev.model.drift]\nwarn = 0.1\n", None),
    ],
)
def test_a_name_that_no_served_model_has_is_told_by_doctor(
    settings: str, stranger: str | None, trained: Project
) -> None:
    (trained.models / "gate.toml").write_text(settings)
    if stranger is None:
        project_check.check_gate(trained.models)
        return
    with pytest.raises(Refused, match=f"excepts '{stranger}' from the drift of"):
        project_check.check_gate(trained.models)


def test_where_nothing_is_served_no_name_is_strange(project: Project) -> None:
    (project.models / "gate.toml").write_text('[dev.model.drift]\nexcept = ["anything"]\n')
    project_check.check_gate(project.models)
