"""gc: which run folders go, and which never do."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.registry_project import DECIDED, RegistryProject

from bulkhead import clock
from bulkhead.errors import Refused
from bulkhead.maintenance import run_folders
from bulkhead.maintenance.gc import Expired, GarbageCollector, RetentionRule
from bulkhead.registry import journal
from bulkhead.registry.records import Removal
from bulkhead.step import reservation as reservations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MONTH = timedelta(days=30)


def collect(clean_project: RegistryProject, keep: int = 1) -> list[Expired]:
    return list(
        GarbageCollector(clean_project.registry, clean_project.shared, RetentionRule(keep, MONTH)).collect(DECIDED)
    )


def paths(old: list[Expired]) -> list[str]:
    return sorted(item.path.removeprefix("shared/runs/") for item in old)


def make(clean_project: RegistryProject, path: str, days: float, name: str = "preprocessing.json") -> Path:
    """A file in a run folder, last written ``days`` ago."""
    file = clean_project.shared / "runs" / path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"0123456789")
    touch(file, days)
    return file


def touch(path: Path, days: float) -> None:
    moment = (clock.now() - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment), follow_symlinks=False)


@contextmanager
def held(file: Path) -> Iterator[None]:
    with file.open("w") as opened:
        touch(file, 90)
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


@pytest.fixture
def runs_of_two_dags(tmp_path: Path) -> RegistryProject:
    clean_project = RegistryProject(tmp_path / "project")
    for number in range(4):
        make(clean_project, f"a_dag/r{number}", 90 - number)
        make(clean_project, f"b_dag/r{number}", 90 - number)
    return clean_project


def test_what_is_old_and_beyond_the_newest_of_its_dag_goes_with_one_record(runs_of_two_dags: RegistryProject) -> None:
    removed = collect(runs_of_two_dags, keep=2)
    assert paths(removed) == ["a_dag/r0", "a_dag/r1", "b_dag/r0", "b_dag/r1"]
    assert sorted(path.name for path in (runs_of_two_dags.shared / "runs").glob("*/*")) == ["r2", "r2", "r3", "r3"]
    (record,) = journal.read(runs_of_two_dags.registry.training_journal)
    assert isinstance(record, Removal)
    assert sorted(record.paths) == sorted(item.path for item in removed)
    assert record.size_bytes == 40
    assert runs_of_two_dags.verify() == []


def test_the_youngest_file_of_a_folder_is_its_age(runs_of_two_dags: RegistryProject) -> None:
    make(runs_of_two_dags, "a_dag/r0", 1, "inner/table.parquet")
    assert "a_dag/r0" not in paths(collect(runs_of_two_dags))


def test_a_run_whose_step_holds_its_lock_stays(runs_of_two_dags: RegistryProject) -> None:
    folder = runs_of_two_dags.shared / "runs" / "a_dag" / "r0"
    with held(folder / ".train_model.lock"):
        assert "a_dag/r0" not in paths(collect(runs_of_two_dags))
    assert (folder / "preprocessing.json").exists()
    touch(folder / ".train_model.lock", 90)
    assert paths(collect(runs_of_two_dags)) == ["a_dag/r0"]


def test_the_lock_that_a_step_takes_is_the_one_that_gc_looks_at(runs_of_two_dags: RegistryProject) -> None:
    folder = runs_of_two_dags.shared / "runs" / "a_dag" / "r0"
    reservation = reservations.Reservation(folder, "train_model")
    for path in folder.iterdir():
        touch(path, 90)
    assert "a_dag/r0" not in paths(collect(runs_of_two_dags))
    reservation.drop()
    assert paths(collect(runs_of_two_dags)) == ["a_dag/r0"]


def test_a_step_that_begins_while_gc_is_looking_keeps_its_folder(runs_of_two_dags: RegistryProject) -> None:
    waiting = GarbageCollector(runs_of_two_dags.registry, runs_of_two_dags.shared, RetentionRule(1, MONTH)).collect(
        DECIDED
    )
    first = next(waiting)
    last = runs_of_two_dags.shared / "runs" / "b_dag" / "r2"
    with held(last / ".train_model.lock"):
        assert "b_dag/r2" not in paths([first, *waiting])
    assert last.exists()


def test_runs_by_hand_are_a_group_of_their_own(runs_of_two_dags: RegistryProject) -> None:
    make(runs_of_two_dags, "debug", 60)
    make(runs_of_two_dags, "mine", 70)
    assert paths(collect(runs_of_two_dags, keep=4)) == []
    assert paths(collect(runs_of_two_dags, keep=1))[-1] == "mine"


@pytest.mark.parametrize("name", ["a dag", "é", "-x", ".hidden", "a\nb", "\udcff", "x" * 120])
def test_a_folder_that_is_not_called_like_a_run_is_nobodys_and_stays(
    name: str, runs_of_two_dags: RegistryProject
) -> None:
    mine = make(runs_of_two_dags, f"a_dag/{name}", 90)
    top = make(runs_of_two_dags, name, 90)
    collect(runs_of_two_dags)
    assert mine.exists()
    assert top.exists()


def test_files_beside_run_folders_stay(runs_of_two_dags: RegistryProject) -> None:
    stray = make(runs_of_two_dags, "a_dag", 90, "notes.txt")
    keep = make(runs_of_two_dags, ".", 90, ".gitkeep")
    removed = paths(collect(runs_of_two_dags))
    assert "a_dag" not in removed
    assert stray.exists()
    assert keep.exists()


def test_no_link_leads_gc_out_of_the_runs(runs_of_two_dags: RegistryProject) -> None:
    outside = runs_of_two_dags.folder / "outside" / "run"
    outside.mkdir(parents=True)
    (outside / "precious").write_bytes(b"x")
    touch(outside / "precious", 90)
    place = runs_of_two_dags.shared / "runs"
    (place / "linked_dag").symlink_to(outside.parent)
    (place / "a_dag" / "linked_run").symlink_to(outside)
    (place / "a_dag" / "r0" / "link").symlink_to(outside)
    touch(place / "a_dag" / "r0" / "link", 90)
    assert "a_dag/r0" in paths(collect(runs_of_two_dags))
    assert (outside / "precious").exists()
    assert not (place / "a_dag" / "r0").exists()


@pytest.mark.parametrize(
    "path", ["shared/runs/../../outside", "shared/runs/a_dag/../../x", "/etc", "shared/runs/", "shared/runs/a/b/c"]
)
def test_no_record_makes_gc_or_verify_look_outside_of_the_runs(path: str, runs_of_two_dags: RegistryProject) -> None:
    assert run_folders.at(path, runs_of_two_dags.shared) is None


def test_a_folder_that_is_used_again_after_its_removal_is_a_new_run(runs_of_two_dags: RegistryProject) -> None:
    assert paths(collect(runs_of_two_dags, keep=3)) == ["a_dag/r0", "b_dag/r0"]
    make(runs_of_two_dags, "a_dag/r0", -0.001)
    assert runs_of_two_dags.verify() == []
    assert paths(collect(runs_of_two_dags, keep=4)) == []


def test_two_gcs_do_not_work_at_the_same_time(runs_of_two_dags: RegistryProject) -> None:
    first = GarbageCollector(runs_of_two_dags.registry, runs_of_two_dags.shared, RetentionRule(1, MONTH)).collect(
        DECIDED
    )
    next(first)
    with pytest.raises(Refused, match="another gc is at work"):
        collect(runs_of_two_dags)
    list(first)
    assert collect(runs_of_two_dags) == []


def test_a_batch_of_run_folders_is_one_record(
    runs_of_two_dags: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkhead.maintenance.gc.BATCH", 4)
    collect(runs_of_two_dags)
    assert [
        len(r.paths) for r in journal.read(runs_of_two_dags.registry.training_journal) if isinstance(r, Removal)
    ] == [4, 2]


def test_predictions_that_gc_removed_are_no_damage(tmp_path: Path) -> None:
    clean_project = RegistryProject(tmp_path / "project")
    model = clean_project.publish()
    for _ in range(3):
        clean_project.infer(model, inference_time="2026-01-01T00:00:00.000000+00:00")
    clean_project.age(60)
    assert len(collect(clean_project)) == 2
    assert clean_project.verify() == []
