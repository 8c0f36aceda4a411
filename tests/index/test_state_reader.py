"""The state in memory: what the whole log says, however it was read and whatever happened to it."""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.generated import TIME, anything, model, write
from tests.support.project import LEGACY_TRAININGS, publish

from bulkhead.index import state_reader
from bulkhead.index.filling import moment
from bulkhead.index.state_reader import StateReader
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registry import metrics, record_lines
from bulkhead.registry.serving import RegistryState
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import Record
    from bulkhead.registry.store import Registry

Told = dict[str, Any]


def told(state: RegistryState | None) -> Told:
    """Everything that a state says."""
    assert state is not None
    return {
        "environments": state.environments,
        "order": {
            " of ".join(place) if place[1] != DEFAULT_NAME else place[0]: [
                one.model_filename for one in state.serving_order(*place)
            ]
            for place in state.places
        },
        "states": [(one.model_filename, one.environment, state.state_of(one)) for one in state.records],
        "gone": {name: known.out_of_service for name, known in state.models.items()},
        "decisions": {
            name: [record_lines.encode(one) for one in known.decisions] for name, known in state.models.items()
        },
    }


def read(reader: StateReader) -> Told:
    reader.wait()
    with reader.reading() as state:
        return told(state)


@given(written=st.lists(anything, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=3))
def test_a_log_read_in_pieces_says_what_it_says_read_at_once(
    tmp_path_factory: pytest.TempPathFactory, written: list[Record], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("models")
    reader = StateReader(folder)
    edges = [0, *sorted(cuts), max([len(written), *cuts])]
    for begin, end in itertools.pairwise(edges):
        write(folder / "log.txt", written[begin:end])
        reader.wait()
    assert read(reader) == told(RegistryState(written))


@pytest.mark.parametrize("how", ["replaced", "cut", "edited", "removed"])
def test_a_log_that_was_changed_by_hand_is_read_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log.txt"
    write(path, [model(name, "dev") for name in ("a", "b", "c")])
    reader = StateReader(tmp_path)
    assert read(reader)["order"] == {"dev": ["c", "b", "a"]}
    content = path.read_bytes()
    if how == "replaced":
        other = tmp_path / "other"
        other.write_bytes(content + record_lines.encode(model("d", "prd")))
        other.replace(path)
    elif how == "cut":
        os.truncate(path, content.index(b"\n") + 1)
    elif how == "edited":
        path.write_bytes(content.replace(b'"dev"', b'"prd"'))
    else:
        path.unlink()
    expected = {
        "replaced": {"dev": ["c", "b", "a"], "prd": ["d"]},
        "cut": {"dev": ["a"]},
        "edited": {"prd": ["c", "b", "a"]},
        "removed": {},
    }
    assert read(reader)["order"] == expected[how]


def test_a_large_log_is_read_by_a_thread_and_says_nothing_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_reader, "_AT_ONCE", 2_000)
    go_on = threading.Event()
    monkeypatch.setattr("time.sleep", lambda _seconds: go_on.wait(60))
    written = [model(f"model_{number}.joblib", "dev") for number in range(200)]
    write(tmp_path / "log.txt", written)
    reader = StateReader(tmp_path)
    assert reader.refresh() < 100
    with reader.reading() as state:
        assert state is None
    go_on.set()
    assert read(reader) == told(RegistryState(written))
    # What is appended later is caught up with beside what is known already.
    go_on.clear()
    write(tmp_path / "log.txt", [model(f"later_{number}.joblib", "dev") for number in range(200)])
    assert reader.refresh() < 100
    with reader.reading() as state:
        assert state is not None
        assert 200 <= len(state.records) < 400
    go_on.set()
    assert len(read(reader)["states"]) == 400
    reader.close()


def test_a_log_that_ends_with_a_piece_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "log.txt", [model("a", "dev"), model("b", "dev")])
    monkeypatch.setattr(state_reader, "_AT_ONCE", (tmp_path / "log.txt").stat().st_size - 1)
    reader = StateReader(tmp_path)
    assert reader.refresh() == 100
    with reader.reading() as state:
        assert state is not None
        assert len(state.records) == 2
    assert reader.refresh() == 100


def test_a_log_that_cannot_be_read_keeps_what_was_read(registry_with_a_model: Registry) -> None:
    reader = StateReader(registry_with_a_model.folder)
    before = read(reader)
    registry_with_a_model.training_journal.unlink()
    registry_with_a_model.training_journal.mkdir()  # root may read any file, and no folder
    with pytest.raises(Untrusted):
        reader.refresh()
    with reader.reading() as state:
        assert told(state) == before


def test_a_registry_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(StateReader(tmp_path / "nowhere"))["environments"] == []


def test_a_torn_line_becomes_a_model_once_it_is_whole(tmp_path: Path) -> None:
    line = record_lines.encode(model("a", "dev"))
    (tmp_path / "log.txt").write_bytes(line[:20])
    reader = StateReader(tmp_path)
    assert read(reader)["states"] == []
    with (tmp_path / "log.txt").open("ab") as file:
        file.write(line[20:])
    assert read(reader)["states"] == [("a", "dev", "served")]


def test_wide_records_leave_no_more_in_memory_than_narrow_ones(empty_registry: Registry) -> None:
    wide = {f"feature{number}": 0.5 for number in range(1000)}
    published = publish(
        empty_registry, "prd", metrics={"r2": 0.25, "rmse": "none"}, coefficients=wide, features=[*wide]
    )
    reader = StateReader(empty_registry.folder)
    reader.wait()
    with reader.reading() as state:
        assert state is not None
        (summary,) = state.summaries
    assert summary.metrics == {"r2": 0.25}
    assert (summary.coefficients, summary.features) == (None, None)
    line = empty_registry.training_journal.read_bytes()[summary.offset :]
    assert record_lines.decode(line) == published


def test_legacy_records_are_served(empty_registry: Registry) -> None:
    empty_registry.training_journal.write_bytes(LEGACY_TRAININGS)
    assert [*read(StateReader(empty_registry.folder))["order"]] == ["dev", "prd"]


def test_a_time_that_is_none_is_filed_under_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "log.txt", [model("a", "dev"), model("b", "dev", training_timestamp="yesterday")])
    reader = StateReader(tmp_path)
    reader.wait()
    with reader.reading() as state:
        assert state is not None
        first, second = state.summaries
    assert first.time == second.time == moment(TIME.format(0), 0)


@pytest.mark.parametrize("value", ["0.5", None, True, [1], {}, 10**400])
def test_a_metric_that_is_no_number_is_none(value: object) -> None:
    assert metrics.finite(value) is None


def test_of_very_many_metrics_and_goals_the_first_are_kept(empty_registry: Registry) -> None:
    many = {f"metric{number}": 0.5 for number in range(1000)}
    published = publish(
        empty_registry, "prd", model_name="churn", metrics=many, goals=dict.fromkeys(["unmeasured", *many], "maximize")
    )
    reader = StateReader(empty_registry.folder)
    reader.wait()
    with reader.reading() as state:
        assert state is not None
        (summary,) = state.summaries
    assert (published.name, summary.name, summary.serve) == ("churn", "churn", None)
    assert list(summary.metrics) == [f"metric{number}" for number in range(19)]
    assert summary.goals is not None
    assert len(summary.goals) == 20
