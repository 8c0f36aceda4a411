"""``[<environment>.<name>.drift]`` of models/gate.toml: what it says, and what is refused of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bulkhead import environments
from bulkhead.errors import Drifted, Refused
from bulkhead.registry import drift, quality_gate
from bulkhead.registry.drift_gate import DriftGate
from bulkhead.registry.profiles import ColumnProfile, Drift, Profile
from bulkhead.registry.quality_gate import MetricGate

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, settings: str, environment: str = "prd", name: str = "churn") -> DriftGate:
    (folder / "gate.toml").write_text(settings)
    return quality_gate.read(folder, environment, name).drift


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", (0.25, None, [])),
        ("[prd]\n", (0.25, None, [])),
        ("[prd]\nmin_r2 = 0.5\n", (0.25, None, [])),
        ("[prd.churn.drift]\n", (0.25, None, [])),
        ("[prd.churn.drift]\nwarn = 0.1\n", (0.1, None, [])),
        ("[prd.churn.drift]\nwarn = 0\nrefuse = 0\n", (0, 0, [])),
        ('[prd.churn.drift]\nrefuse = 1\nexcept = ["day", "prediction"]\n', (0.25, 1, ["day", "prediction"])),
        ('[prd."*".drift]\nwarn = 0.1\nrefuse = 2\n[prd.churn.drift]\nwarn = 0.3\n', (0.3, 2, [])),
        ('[prd."*".drift]\nexcept = ["day"]\n[prd.churn.drift]\nexcept = []\n', (0.25, None, [])),
        ("[prd.other.drift]\nwarn = 0.1\n", (0.25, None, [])),
        ("[dev.churn.drift]\nwarn = 0.1\n", (0.25, None, [])),
        ("[prd.churn.r2]\nlimit = 0.1\n", (0.25, None, [])),
    ],
)
def test_what_is_left_out_is_as_the_table_below_it_says(
    settings: str, expected: tuple[float, float | None, list[str]], tmp_path: Path
) -> None:
    gate = read(tmp_path, settings)
    assert (gate.warn, gate.refuse, gate.excepted) == expected


def test_each_environment_warns_without_a_file(tmp_path: Path) -> None:
    assert all(quality_gate.read(tmp_path, name).drift == DriftGate() for name in environments.NAMES)


def test_the_file_that_comes_with_the_project_shows_the_defaults(pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.rootpath / "models"
    assert ".drift]" in (folder / "gate.toml").read_text()
    assert quality_gate.read(folder, "prd").drift == DriftGate()


BAD = {
    "a negative limit": ("warn = -0.1", "[prd.churn.drift] warn is -0.1, and must be a number from 0 on"),
    "no number": ("warn = nan", "[prd.churn.drift] warn is nan"),
    "no end": ("refuse = inf", "[prd.churn.drift] refuse is inf"),
    "refused before it is marked": ("warn = 0.5\nrefuse = 0.4", "refuse is 0.4, and must not be below warn, 0.5"),
    "refused before it is marked by default": ("refuse = 0.2", "refuse is 0.2, and warn 0.25"),
    "text": ('warn = "low"', "Expected `float"),
    "true": ("warn = true", "Expected `float"),
    "one name": ('except = "day"', "Expected `array"),
    "numbers for names": ("except = [1]", "Expected `str"),
    "a key that is none": ("limits = 1", "unknown field `limits`"),
    "the field's own name": ('excepted = ["day"]', "unknown field `excepted`"),
}


@pytest.mark.parametrize(("settings", "fragment"), BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_refused(settings: str, fragment: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        read(tmp_path, f"[prd.churn.drift]\n{settings}\n")
    assert fragment in str(caught.value)
    assert str(caught.value).startswith("models/gate.toml: ")


def test_a_metric_that_is_called_drift_goes_on_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("[prd.churn.drift]\nlimit = 0.7\nworse_by = 0.1\n")
    gate = quality_gate.read(tmp_path, "prd", "churn")
    assert gate.metrics["drift"] == MetricGate(limit=0.7, worse_by=0.1)
    assert (gate.own, gate.drift) == (["drift"], DriftGate())
    (tmp_path / "gate.toml").write_text("[prd.churn.drift]\nlimit = 0.7\nwarn = 0.5\n")
    gate = quality_gate.read(tmp_path, "prd", "churn")
    assert (gate.metrics["drift"].limit, gate.drift.warn) == (0.7, 0.5)


COLUMN = ColumnProfile(kind="number", rows=10_000, edges=[0.0], shares=[0.5, 0.5])
PROFILE = Profile(rows=10_000, columns={"a": COLUMN, "b": COLUMN}, predictions=COLUMN)
DRIFT = Drift(rows=1000, sampled=1000, columns={"a": 0.41, "b": 0.1}, predictions=0.31)


def test_what_is_beyond_the_limit_is_marked_the_furthest_first() -> None:
    judged = drift.judged(DRIFT, PROFILE, DriftGate())
    assert (judged.drifted, judged.limit) == (["a", "prediction"], 0.25)
    assert drift.sentence(judged) == "drift: a 0.41, prediction 0.31 (limit 0.25)"
    assert drift.judged(DRIFT, PROFILE, DriftGate(warn=0.41)).drifted == []
    assert drift.judged(DRIFT, PROFILE, DriftGate(excepted=["a", "nobody"])).drifted == ["prediction"]
    assert drift.sentence(drift.judged(DRIFT, PROFILE, DriftGate(warn=9))) is None


def test_what_few_rows_may_reach_by_chance_is_neither_marked_nor_refused() -> None:
    few = msgspec.structs.replace(DRIFT, rows=20, sampled=20)
    judged = drift.judged(few, PROFILE, DriftGate())
    assert judged.drifted == []
    assert judged.chance > 0.41
    drift.refuse(few, PROFILE, DriftGate(refuse=0.25), "prd", "models/gate.toml")


def test_what_is_beyond_refuse_is_refused_with_its_figures() -> None:
    drift.refuse(DRIFT, PROFILE, DriftGate(refuse=0.5), "prd", "models/gate.toml")
    with pytest.raises(
        Drifted, match=r"PSI of a 0\.41, and drift\.refuse for prd in models/gate\.toml is 0\.4"
    ) as caught:
        drift.refuse(DRIFT, PROFILE, DriftGate(refuse=0.4), "prd", "models/gate.toml")
    assert caught.value.metrics["drift"]["columns"] == {"a": 0.41, "b": 0.1}
    drift.refuse(DRIFT, PROFILE, DriftGate(refuse=0.4, excepted=["a"]), "prd", "models/gate.toml")


def test_a_name_that_could_be_taken_for_something_else_is_in_quotes() -> None:
    profile = Profile(rows=10_000, columns={"a, b 9": COLUMN})
    given = Drift(rows=1000, sampled=1000, columns={"a, b 9": 0.5})
    assert drift.sentence(drift.judged(given, profile, DriftGate())) == "drift: 'a, b 9' 0.50 (limit 0.25)"
