"""verify beside writers at work: what is in the making is no finding."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.at_work import at_work
from tests.support.project import publish
from tests.support.registry_project import BY_HAND, DECIDED, RegistryProject

from bulkhead.maintenance.gc import GarbageCollector, RetentionRule
from bulkhead.maintenance.repair import Repair
from bulkhead.maintenance.verify import journal_lines, model_files, verify
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from pathlib import Path

MONTH = timedelta(days=30)


@pytest.fixture(autouse=True)
def patience(little_patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here writers are at work, and slow ones on a busy machine: what they leave undone for a while is waited for."""
    del little_patience  # which this one comes after
    monkeypatch.setattr(journal_lines, "PATIENCE_SECONDS", 30)


def test_a_registry_that_is_written_all_the_time_is_clean_at_every_moment(clean_project: RegistryProject) -> None:
    def train_and_infer() -> None:
        clean_project.infer(clean_project.publish("dev"))

    def train() -> None:
        publish(clean_project.registry, "prd", dag_id=None)

    with at_work(train_and_infer, train):
        for _ in range(25):
            assert clean_project.damage() == []
    assert len(list(clean_project.models.glob("model_*"))) > 10


def test_a_registry_that_is_cleaned_up_all_the_time_is_clean_at_every_moment(clean_project: RegistryProject) -> None:
    def collect() -> None:
        list(GarbageCollector(clean_project.registry, clean_project.shared, RetentionRule(1, MONTH)).collect(DECIDED))

    for number in range(60):
        clean_project.republished(clean_project.publish("dev"), 90 - number / 10)
        path = clean_project.shared / "runs" / "a_dag" / f"r{number}"
        path.mkdir(parents=True)
        (path / "x.json").touch()
    for _ in range(2):
        clean_project.publish("dev")
    clean_project.age(60)
    with at_work(collect):
        for _ in range(15):
            assert clean_project.damage() == []
    assert len(list((clean_project.shared / "runs" / "a_dag").iterdir())) == 1


def test_a_model_between_its_file_and_its_record_is_no_orphan(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """verify takes no lock, so it looks again until the publisher has written its record."""
    linked, go_on = threading.Event(), threading.Event()
    real = os.link

    def slow(source: Path, target: Path) -> None:
        real(source, target)
        linked.set()
        go_on.wait(30)

    monkeypatch.setattr(os, "link", slow)
    found: list[list[str]] = []
    publisher = threading.Thread(target=lambda: clean_project.publish("dev"))
    checker = threading.Thread(target=lambda: found.append(clean_project.damage()))
    publisher.start()
    assert linked.wait(30)
    checker.start()
    checker.join(0.3)
    assert checker.is_alive()
    go_on.set()
    publisher.join()
    checker.join(30)
    assert found == [[]]


def test_an_orphan_is_not_waited_for_when_it_is_old(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_lines, "PATIENCE_SECONDS", 300)
    monkeypatch.setattr(journal_lines, "IN_THE_MAKING", -1)
    (clean_project.models / "model_20260101T000000000000Z_abc.joblib").write_bytes(b"x")
    assert clean_project.damage() == ["orphan_model"]


@pytest.mark.parametrize("when", ["before the look", "after the look"])
def test_a_model_that_is_published_during_the_look_at_the_files_is_no_finding(
    when: str, clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model_files.entries

    def published_meanwhile(folder: Path) -> dict[str, model_files.Entry]:
        if when == "before the look":
            clean_project.publish()
            return real(folder)
        seen = real(folder)
        clean_project.publish()
        return seen

    monkeypatch.setattr(model_files, "entries", published_meanwhile)
    assert clean_project.damage() == []


@pytest.mark.parametrize("what", ["a model", "predictions"])
def test_what_is_removed_while_verify_is_under_way_is_no_finding_when_it_was_recorded(
    what: str, clean_project: RegistryProject
) -> None:
    model = clean_project.publish("dev")
    record = clean_project.infer(model)
    clean_project.publish("dev")

    def remove(_size: int) -> None:
        """Called for the first time when log.txt has been read and no file has been looked at."""
        folder = (clean_project.folder / str(record.predictions_path)).parent
        if what == "a model" and clean_project.file_of(model).exists():
            clean_project.removed(f"models/{model.model_filename}")
            clean_project.file_of(model).unlink()
        elif what == "predictions" and folder.exists():
            clean_project.removed(f"shared/runs/dev_inference_pipe_dag/{folder.name}")
            shutil.rmtree(folder)

    found = list(verify(Registry(clean_project.models), clean_project.shared, progress=remove))
    assert [one for one in found if one.is_damage] == []


def test_what_is_quarantined_while_verify_is_under_way_is_no_finding(clean_project: RegistryProject) -> None:
    model = clean_project.publish("dev")
    clean_project.publish("dev")
    clean_project.alter(clean_project.file_of(model))
    fixer, found = Repair(clean_project.registry, DECIDED), clean_project.the("altered_model")
    assert [
        one.kind
        for one in verify(clean_project.registry, clean_project.shared, progress=lambda _: fixer.fix(found))
        if one.kind not in BY_HAND
    ] == []
