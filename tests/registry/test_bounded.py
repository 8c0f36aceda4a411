"""A step's word on profiles, evaluations and drift: what a record cannot hold is refused, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.registry.support import AUTHOR, inference_in, model_in
from tests.support.project import lineage, publish

from bulkhead.errors import Drifted, Refused
from bulkhead.registry import record_lines, recording
from bulkhead.registry.lineage import Lineage
from bulkhead.registry.profiles import LARGEST, ColumnProfile, Confusion, Drift, Evaluation, Profile
from bulkhead.registry.proposals import InferenceProposal, ModelProposal
from bulkhead.registry.records import InferenceRecord, ModelRecord
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = ColumnProfile(kind="number", rows=100, edges=[0.0, 1.0], shares=[0.2, 0.3, 0.5], low=-1.0, high=2.0)
WORD = ColumnProfile(kind="category", rows=100, categories=["red"], shares=[0.9, 0.1], empty=0.5)
PROFILE = Profile(rows=1000, columns={"a": NUMBER, "b": WORD}, predictions=NUMBER)
EVALUATION = Evaluation(
    rows=10,
    scatter={"actual": [1.0], "predicted": [2.0]},
    residuals={"edges": [0.0, 1.0], "counts": [10]},
    roc={"x": {"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.0, 1.0]}},
    calibration={"predicted": [0.5], "observed": [0.4], "rows": [10]},
    confusion=Confusion(classes=["x", "y"], counts=[[1, 2], [3, 4]]),
)
DRIFT = Drift(
    rows=2,
    sampled=2,
    columns={"a": 0.1, "b": 0.2},
    predictions=0.3,
    shares={"a": [0.1, 0.2, 0.3, 0.4], "prediction": [1.0, 0, 0, 0]},
)
BIG = Drift(rows=90_000, sampled=10_000, columns={"a": 5.0, "b": 0.2}, predictions=0.01)


def column(**changes: Any) -> Profile:
    return Profile(rows=1, columns={"a": msgspec.structs.replace(NUMBER, **changes)})


def word(**changes: Any) -> Profile:
    return Profile(rows=1, columns={"a": msgspec.structs.replace(WORD, **changes)})


BAD_PROFILES = {
    "too large": Profile(rows=1, columns={f"{i}{'x' * 1000}": NUMBER for i in range(100)}),
    "rows below none": Profile(rows=-1, columns={}),
    "rows without end": Profile(rows=1 << 60, columns={}),
    "left out below none": Profile(rows=1, columns={}, left_out=-1),
    "no edges": column(edges=None),
    "too many edges": column(edges=[float(i) for i in range(20)], shares=[0.01] * 21),
    "edges that fall": column(edges=[1.0, 0.0]),
    "edges twice": column(edges=[1.0, 1.0]),
    "more shares than bins": column(shares=[0.1] * 4),
    "shares of more than all": column(shares=[0.5] * 3),
    "a share below nothing": column(shares=[-0.1, 0.5, 0.5]),
    "more than all empty": column(empty=1.5),
    "words beside edges": column(categories=["a"]),
    "too many words": word(categories=[str(i) for i in range(40)], shares=[0.01] * 41),
    "a word twice": word(categories=["a", "a"], shares=[0.1] * 3),
    "a long word": word(categories=["x" * 5000]),
    "a word that is none": word(categories=["a\0"]),
    "no words": word(categories=None),
    "predictions that are none": Profile(rows=1, columns={}, predictions=msgspec.structs.replace(NUMBER, shares=[])),
    "a greatest beyond all": column(high=1.7e308),
}


def evaluated(**changes: Any) -> Evaluation:
    return msgspec.structs.replace(EVALUATION, **changes)


BAD_EVALUATIONS = {
    "too large": evaluated(confusion=Confusion(classes=["x" * 4000] * 20, counts=[[0] * 20] * 20)),
    "too many points": evaluated(scatter={"actual": [0.5] * 501, "predicted": [0.5] * 501}),
    "points without a partner": evaluated(scatter={"actual": [0.5, 1.0], "predicted": [0.5]}),
    "points of something else": evaluated(scatter={"evil": [0.5], "predicted": [0.5]}),
    "counts without edges": evaluated(residuals={"edges": [0.0], "counts": [1]}),
    "no edges": evaluated(residuals={"counts": [1]}),
    "too many curves": evaluated(roc=dict.fromkeys(map(str, range(11)), (EVALUATION.roc or {})["x"])),
    "half a curve": evaluated(roc={"x": {"false_positive_rate": [0.0]}}),
    "a curve of too many points": evaluated(
        roc={"x": dict.fromkeys(("false_positive_rate", "true_positive_rate"), [0.5] * 101)}
    ),
    "half a calibration": evaluated(calibration={"predicted": [0.5]}),
    "too many classes": evaluated(confusion=Confusion(classes=[str(i) for i in range(31)], counts=[[0] * 31] * 31)),
    "no square": evaluated(confusion=Confusion(classes=["x", "y"], counts=[[1, 2], [3]])),
    "a count below none": evaluated(confusion=Confusion(classes=["x"], counts=[[-1]])),
    "a number beyond all": evaluated(scatter={"actual": [1.7e308], "predicted": [0.5]}),
    "rows below none": evaluated(rows=-1),
}


def drifted(**changes: Any) -> Drift:
    return msgspec.structs.replace(DRIFT, **changes)


BAD_DRIFTS = {
    "rows below none": drifted(rows=-1),
    "sampled without end": drifted(sampled=1 << 60),
    "columns that the model has not": drifted(columns={"a": 0.1, "b": 0.2, "evil": 0.3}),
    "many columns": drifted(columns={f"{i}{'x' * 1000}": 0.1 for i in range(500)}),
    "a column missing": drifted(columns={"a": 0.1}),
    "no predictions": drifted(predictions=None),
    "a probability that the model has not": drifted(probability=0.1),
    "below nothing": drifted(columns={"a": -0.1, "b": 0.2}),
    "chance below nothing": drifted(chance=-1.0),
    "shares of a stranger": drifted(shares={"evil": [1.0]}),
    "shares of too many bins": drifted(shares={"a": [0.001] * 500}),
    "shares of more than all": drifted(shares={"a": [1.0, 1.0, 0.0, 0.0]}),
    "shares below nothing": drifted(shares={"a": [-1.0, 1.0, 0.0, 0.0]}),
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    (tmp_path / "models").mkdir()
    return Registry(tmp_path / "models")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def proposed(run: Path, **changes: Any) -> ModelProposal:
    return model_in(run, lineage=lineage(**changes))


def recorded(registry: Registry, run: Path, given: Drift | None, profile: Profile | None = PROFILE) -> InferenceRecord:
    model = publish(registry, "prd", profile=profile)
    found = recording.record(registry, inference_in(run, model, drift=given), AUTHOR, run).record
    assert isinstance(found, InferenceRecord)
    return found


def test_what_a_record_can_hold_is_recorded_and_read_again(registry: Registry, run: Path) -> None:
    made = recording.record(registry, proposed(run, profile=PROFILE, evaluation=EVALUATION), AUTHOR, run).record
    assert isinstance(made, ModelRecord)
    (line,) = registry.training_journal.read_bytes().splitlines()
    again = record_lines.decode(line)
    assert isinstance(again, ModelRecord)
    assert (again.profile, again.evaluation) == (PROFILE, EVALUATION)
    assert registry.latest("prd").profile == PROFILE
    found = recorded(registry, run, DRIFT)
    (line,) = registry.inference_journal.read_bytes().splitlines()
    for read in (record_lines.decode(line), record_lines.decode_slim(line)):
        assert isinstance(read, InferenceRecord)
        assert read.drift == found.drift


@pytest.mark.parametrize("profile", BAD_PROFILES.values(), ids=BAD_PROFILES)
def test_a_profile_that_is_none_is_not_recorded(profile: Profile, registry: Registry, run: Path) -> None:
    with pytest.raises(Refused, match="Nothing is recorded"):
        recording.record(registry, proposed(run, profile=profile), AUTHOR, run)
    assert registry.journal_size("training") == 0


@pytest.mark.parametrize("evaluation", BAD_EVALUATIONS.values(), ids=BAD_EVALUATIONS)
def test_an_evaluation_that_is_none_is_not_recorded(evaluation: Evaluation, registry: Registry, run: Path) -> None:
    with pytest.raises(Refused, match="Nothing is recorded"):
        recording.record(registry, proposed(run, evaluation=evaluation), AUTHOR, run)
    assert registry.journal_size("training") == 0


@pytest.mark.parametrize("given", BAD_DRIFTS.values(), ids=BAD_DRIFTS)
def test_a_drift_that_is_none_is_not_recorded(given: Drift, registry: Registry, run: Path) -> None:
    with pytest.raises(Refused, match="Nothing is recorded"):
        recorded(registry, run, given)
    assert registry.journal_size("inference") == 0


def test_a_drift_from_a_profile_that_the_model_has_not_is_not_recorded(registry: Registry, run: Path) -> None:
    with pytest.raises(Refused, match=r"a profile that .* does not have"):
        recorded(registry, run, DRIFT, None)
    assert registry.journal_size("inference") == 0


def test_what_drift_means_the_gate_of_now_says_and_not_the_step(registry: Registry, run: Path) -> None:
    liar = msgspec.structs.replace(BIG, drifted=["b", "nobody"], limit=99.0, chance=99.0)
    made = recorded(registry, run, liar).drift
    assert made is not None
    assert (made.drifted, made.limit) == (["a"], 0.25)
    assert made.chance < 1
    (registry.folder / "gate.toml").write_text('[prd."*".drift]\nexcept = ["a"]\n')
    made = recorded(registry, run, liar).drift
    assert made is not None
    assert made.drifted == []


def test_what_is_beyond_refuse_is_not_recorded_whatever_the_step_says(registry: Registry, run: Path) -> None:
    (registry.folder / "gate.toml").write_text('[prd."*".drift]\nrefuse = 4\n')
    with pytest.raises(Drifted, match=r"PSI of a 5\.00, and drift\.refuse for prd in models/gate.toml is 4"):
        recorded(registry, run, msgspec.structs.replace(BIG, limit=99.0))
    assert registry.journal_size("inference") == 0


def test_a_step_that_keeps_silent_is_refused_where_drift_is(registry: Registry, run: Path) -> None:
    assert recorded(registry, run, None).drift is None
    (registry.folder / "gate.toml").write_text('[prd."*".drift]\nrefuse = 4\n')
    assert recorded(registry, run, None, None).drift is None  # of a model without a profile nobody can say it
    before = registry.journal_size("inference")
    with pytest.raises(Refused, match="does not say how far its input is"):
        recorded(registry, run, None)
    assert registry.journal_size("inference") == before


HOSTILE = [
    b'{"rows":1,"columns":{"a":{"kind":"number","rows":1,"shares":[NaN],"edges":[]}}}',
    b'{"rows":1,"columns":{"a":{"kind":"number","rows":1,"shares":[1e999],"edges":[]}}}',
    b'{"rows":1,"columns":{"a":{"kind":"evil","rows":1,"shares":[1],"edges":[]}}}',
    b'{"rows":"many","columns":{}}',
    b'{"rows":1,"columns":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    b'{"rows":1,"columns":[]}',
]


@pytest.mark.parametrize("content", HOSTILE)
def test_json_that_is_no_profile_is_no_proposal(content: bytes) -> None:
    text = (
        b'{"kind":"model","lineage":{"profile":' + content + b'},"path":"p","sha256":"","size_bytes":1,"model_hash":""}'
    )
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        msgspec.json.decode(text, type=ModelProposal | InferenceProposal)


def test_records_of_before_have_none_of_it(registry: Registry) -> None:
    plain = publish(registry)
    assert isinstance(plain, Lineage)
    assert (plain.profile, plain.evaluation) == (None, None)
    line = registry.training_journal.read_bytes().splitlines()[-1]
    content = msgspec.json.decode(line)
    del content["profile"], content["evaluation"]
    older = record_lines.decode(msgspec.json.encode(content))
    assert isinstance(older, ModelRecord)
    assert older.profile is None


def test_the_bound_of_a_profile_leaves_room_in_a_record() -> None:
    from bulkhead.registry.believable import LONGEST_RECORD

    assert 4 * LARGEST < LONGEST_RECORD
