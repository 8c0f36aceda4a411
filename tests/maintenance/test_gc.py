"""gc: which model files go, and which never do."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.project import publish
from tests.support.registry_project import DECIDED, RegistryProject

from bulkhead import clock
from bulkhead.errors import NotVerified, OutOfService, Refused
from bulkhead.maintenance.gc import BATCH, Expired, GarbageCollector, RetentionRule
from bulkhead.registry import decisions, journal, record_lines
from bulkhead.registry.records import ModelRecord, Removal
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from pathlib import Path

MONTH = timedelta(days=30)


def collector(clean_project: RegistryProject, keep: int = 1, older_than: timedelta = MONTH) -> GarbageCollector:
    return GarbageCollector(clean_project.registry, clean_project.shared, RetentionRule(keep, older_than))


def collect(clean_project: RegistryProject, keep: int = 1, older_than: timedelta = MONTH) -> list[Expired]:
    return list(collector(clean_project, keep, older_than).collect(DECIDED))


def names(old: list[Expired]) -> list[str]:
    return [item.path.removeprefix("models/") for item in old]


@pytest.fixture
def aged(tmp_path: Path) -> RegistryProject:
    """Six models of dev, 95 to 90 days old: the newest is served, the one below is what a rollback takes."""
    clean_project = RegistryProject(tmp_path / "project")
    for day in range(6):
        clean_project.republished(clean_project.publish("dev"), 95 - day)
    return clean_project


def models_of(clean_project: RegistryProject) -> list[ModelRecord]:
    return [
        record for record in journal.read(clean_project.registry.training_journal) if isinstance(record, ModelRecord)
    ]


def test_what_is_old_and_beyond_the_newest_goes_and_its_record_stays(aged: RegistryProject) -> None:
    models = models_of(aged)
    planned = collector(aged, keep=3).plan()
    removed = collect(aged, keep=3)
    assert names(removed) == names(planned) == [model.model_filename for model in models[:3]]
    assert [aged.file_of(model).exists() for model in models] == [False] * 3 + [True] * 3
    assert models_of(aged) == models
    *_, record = journal.read(aged.registry.training_journal)
    assert isinstance(record, Removal)
    assert record.paths == [item.path for item in removed]
    assert (record.by, record.reason) == (DECIDED.by, DECIDED.reason)
    assert record.size_bytes == sum(item.size_bytes for item in removed) > 0
    assert aged.verify() == []
    with pytest.raises(OutOfService, match="its file was removed by a person"):
        aged.registry.find(models[0].model_filename)


def test_nothing_to_remove_is_nothing_written(tmp_path: Path) -> None:
    clean_project = RegistryProject(tmp_path / "empty")
    assert collect(clean_project) == []
    assert [path.name for path in clean_project.models.iterdir() if path.stat().st_size] == []


@pytest.mark.parametrize("name", ["log.txt", "log_inference.txt"])
def test_while_a_line_cannot_be_read_nothing_is_removed(name: str, aged: RegistryProject) -> None:
    """It may be the record that protects a model."""
    with (aged.models / name).open("ab") as file:
        file.write(b'{"model_hash": "torn')
    with pytest.raises(Refused, match="Until then nothing is removed"):
        collector(aged)
    aged.repair()
    assert len(collect(aged)) == 4


def test_a_plan_changes_nothing(aged: RegistryProject) -> None:
    before = {path: path.read_bytes() for path in aged.models.iterdir()}
    assert len(collector(aged).plan()) == 4
    assert {path: path.read_bytes() for path in aged.models.iterdir()} == before


def test_what_is_young_stays_however_many_there_are(aged: RegistryProject) -> None:
    assert collect(aged, older_than=timedelta(days=92, hours=12)) != []
    for _ in range(4):
        aged.publish("dev")
    assert len(collect(aged, older_than=timedelta(days=89))) == 3
    assert collect(aged, older_than=timedelta(days=89)) == []


def test_the_served_model_and_what_a_rollback_takes_next_stay(aged: RegistryProject) -> None:
    models = models_of(aged)
    kept_files = [model.model_filename for model in models[-2:]]
    collect(aged)
    assert sorted(path.name for path in aged.models.glob("model_*")) == kept_files
    decisions.roll_back(aged.registry, "dev", DECIDED)
    assert aged.registry.latest("dev") == models[-2]
    aged.registry.check_file(models[-2])


def test_where_the_next_one_is_damaged_the_good_one_below_stays_too(aged: RegistryProject) -> None:
    models = models_of(aged)
    aged.alter(aged.file_of(models[-2]))
    aged.file_of(models[-3]).unlink()
    collect(aged)
    assert [aged.file_of(model).exists() for model in models] == [False, False, True, False, True, True]
    assert decisions.roll_back(aged.registry, "dev", DECIDED).model_filename == models[-4].model_filename


def test_after_a_rollback_the_older_served_model_stays_and_withdrawn_ones_may_go(aged: RegistryProject) -> None:
    models = models_of(aged)
    decisions.roll_back(aged.registry, "dev", DECIDED, to=models[1].model_filename)
    collect(aged)
    assert [aged.file_of(model).exists() for model in models] == [True, True, False, False, False, True]
    assert aged.damage() == []


def test_a_promoted_model_stays(aged: RegistryProject) -> None:
    models = models_of(aged)
    aged.append(aged.promoted(models[0]))
    aged.append(aged.promoted(models[1], replaces=models[0].model_filename))
    for day in range(3):
        aged.republished(aged.publish("prd"), 80 - day)
    collect(aged)
    assert [aged.file_of(model).exists() for model in models] == [True, True, False, False, True, True]


def test_a_model_that_was_used_lately_stays(aged: RegistryProject) -> None:
    models = models_of(aged)
    aged.infer(models[0])
    aged.infer(models[1], inference_time=clock.in_record(clock.now() - timedelta(days=40)))
    aged.infer(models[2], inference_time="edited by hand")
    collect(aged)
    assert [aged.file_of(model).exists() for model in models] == [True, False, True, False, True, True]


def test_a_revoked_model_goes_by_the_same_rule_and_is_none_of_the_newest(aged: RegistryProject) -> None:
    models = models_of(aged)
    decisions.revoke(aged.registry, models[-1].model_filename, DECIDED)
    collect(aged, keep=2)
    assert [aged.file_of(model).exists() for model in models] == [False, False, False, True, True, False]


def test_a_model_whose_time_cannot_be_read_or_lies_ahead_stays(aged: RegistryProject) -> None:
    path = aged.registry.training_journal
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    models = models_of(aged)
    first = first.replace(models[0].training_timestamp.encode(), b"long ago")
    second = second.replace(models[1].training_timestamp.encode(), b"2999-01-01T00:00:00.000000+00:00")
    path.write_bytes(first + second + b"".join(rest))
    collect(aged)
    assert [aged.file_of(model).exists() for model in models] == [True, True, False, False, True, True]


def test_a_file_that_no_record_names_stays(aged: RegistryProject) -> None:
    strange = [aged.models / name for name in ("model_20200101T000000000000Z_abc.joblib", "notes.txt", "gate.toml")]
    for path in strange:
        path.write_bytes(b"x")
    collect(aged)
    assert all(path.exists() for path in strange)


@pytest.mark.parametrize("name", ["../secret", "log.txt", "..", "quarantine"])
def test_no_record_makes_gc_remove_what_is_no_model_file(name: str, aged: RegistryProject) -> None:
    (aged.folder / "secret").write_bytes(b"x")
    (aged.models / "quarantine").mkdir()
    hostile = ModelRecord(
        model_hash="h", model_filename=name, training_timestamp="2020-01-01T00:00:00+00:00", environment="dev"
    )
    path = aged.registry.training_journal
    path.write_bytes(record_lines.encode(hostile) + path.read_bytes())
    collect(aged)
    assert (aged.folder / "secret").exists()
    assert path.exists()
    assert (aged.models / "quarantine").exists()


def test_a_link_called_like_a_model_is_not_followed_and_stays(aged: RegistryProject) -> None:
    path = aged.file_of(models_of(aged)[0])
    path.rename(aged.folder / "moved")
    path.symlink_to(aged.folder / "moved")
    collect(aged)
    assert path.is_symlink()
    assert (aged.folder / "moved").exists()


def test_many_models_are_recorded_in_lines_of_sane_length(
    aged: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BATCH == 500
    monkeypatch.setattr("bulkhead.maintenance.gc.BATCH", 3)
    collect(aged)
    removals = [record for record in journal.read(aged.registry.training_journal) if isinstance(record, Removal)]
    assert [len(record.paths) for record in removals] == [3, 1]


def test_a_model_promoted_while_gc_was_looking_stays(aged: RegistryProject) -> None:
    """The decision is taken again under the lock."""
    model = models_of(aged)[0]
    waiting = collector(aged)
    assert model.model_filename in names(waiting.plan())
    aged.append(aged.promoted(model))
    assert model.model_filename not in names(list(waiting.collect(DECIDED)))
    assert aged.file_of(model).exists()


def test_a_model_used_while_gc_was_looking_stays(aged: RegistryProject) -> None:
    model = models_of(aged)[0]
    waiting = collector(aged)
    aged.infer(model)
    list(waiting.collect(DECIDED))
    assert aged.file_of(model).exists()


@pytest.mark.parametrize(
    ("keep", "older_than"), [(0, MONTH), (-1, MONTH), (1, timedelta(0)), (1, timedelta(minutes=59))]
)
def test_a_rule_that_keeps_nothing_is_refused(keep: int, older_than: timedelta) -> None:
    with pytest.raises(Refused, match=r"Give 1h? or more\.$"):
        RetentionRule(keep, older_than)


def test_publishing_while_gc_removes_loses_no_new_model(aged: RegistryProject) -> None:
    stop = threading.Event()
    published: list[ModelRecord] = []

    def publisher() -> None:
        while not stop.is_set():
            published.append(publish(aged.registry, "dev", {"weights": [len(published)]}, dag_id=None))

    thread = threading.Thread(target=publisher)
    thread.start()
    try:
        for _ in range(10):
            collect(aged)
    finally:
        stop.set()
        thread.join()
    assert published
    assert all(aged.file_of(model).exists() for model in published)
    assert aged.verify() == []


@settings(max_examples=50)
@given(data=st.data())
def test_whatever_was_decided_gc_leaves_every_environment_served_and_something_to_roll_back_to(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clean_project = RegistryProject(tmp_path_factory.mktemp("gc") / "p")
    for _ in range(data.draw(st.integers(2, 8))):
        clean_project.republished(
            clean_project.publish(data.draw(st.sampled_from(["dev", "prd"]))), data.draw(st.integers(0, 90))
        )
        models = models_of(clean_project)
        deed = data.draw(st.sampled_from(["nothing", "promote", "roll back", "revoke", "infer"]))
        try:
            model = data.draw(st.sampled_from(models))
            if deed == "promote":
                decisions.promote(clean_project.registry, model.model_filename, DECIDED, lambda _registry, _record: {})
            elif deed == "roll back":
                decisions.roll_back(clean_project.registry, model.environment, DECIDED)
            elif deed == "revoke":
                decisions.revoke(clean_project.registry, model.model_filename, DECIDED)
            elif deed == "infer":
                clean_project.infer(model)
        except Refused:
            pass
    before = RegistryState(journal.read(clean_project.registry.training_journal))
    collect(clean_project, keep=data.draw(st.integers(1, 3)), older_than=timedelta(days=data.draw(st.integers(1, 60))))
    after = RegistryState(journal.read(clean_project.registry.training_journal))
    for environment in before.environments:
        serving_order = before.serving_order(environment)
        assert after.serving_order(environment) == serving_order
        for record in serving_order[:2]:
            try:
                clean_project.registry.check_file(record)
            except NotVerified as error:
                raise AssertionError(str(error)) from None
    assert clean_project.damage() == []
