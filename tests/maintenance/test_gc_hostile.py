"""gc on run folders that a step has made hard to remove, and on what it cannot remove at all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.registry_project import DECIDED, RegistryProject

from bulkhead import clock
from bulkhead.maintenance import run_folders, tree_removal
from bulkhead.maintenance.gc import GarbageCollector, RetentionRule

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NOBODY = 65534

AS_A_USER = """
import os, sys
from pathlib import Path

from bulkhead.maintenance import tree_removal
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
elif sys.argv[2:]:
    os.geteuid = lambda: 65534  # only root can give a folder to somebody else
for left in tree_removal.remove(Path(sys.argv[1]), "runs/a_dag/r0", "shared/runs/a_dag/r0"):
    print(left.path, left.why)
"""


@pytest.fixture
def old_run(tmp_path: Path) -> RegistryProject:
    """A run folder that is old and beyond the newest of its DAG, and one that is not."""
    made = RegistryProject(tmp_path / "project")
    for name in ("r0", "r1"):
        (made.shared / "runs" / "a_dag" / name).mkdir(parents=True)
        (made.shared / "runs" / "a_dag" / name / "x.json").touch()
    aged(made, "r0", 90)
    aged(made, "r1", 80)
    return made


def aged(project: RegistryProject, run: str, days: float) -> None:
    moment = (clock.now() - timedelta(days=days)).timestamp()
    for place, _, names in os.walk(project.shared / "runs" / "a_dag" / run):
        for name in names:
            os.utime(Path(place, name), (moment, moment), follow_symlinks=False)


def collected(project: RegistryProject) -> tuple[list[str], list[str]]:
    """What is gone, and what is left."""
    collector = GarbageCollector(project.registry, project.shared, RetentionRule(1, timedelta(days=30)))
    gone = [item.path for item in collector.collect(DECIDED)]
    return gone, [left.path for left in collector.left]


def test_a_folder_deeper_than_any_path_goes(old_run: RegistryProject) -> None:
    folder = os.open(old_run.shared / "runs" / "a_dag" / "r0", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=folder)
        inner = os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("last", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    assert collected(old_run) == (["shared/runs/a_dag/r0"], [])
    assert not (old_run.shared / "runs" / "a_dag" / "r0").exists()


def test_a_folder_of_many_files_with_names_that_are_no_text_goes(old_run: RegistryProject) -> None:
    folder = os.fsencode(old_run.shared / "runs" / "a_dag" / "r0")
    for number in range(20_000):
        os.close(os.open(folder + b"/\xff\n%d" % number, os.O_CREAT | os.O_WRONLY))
    os.mkfifo(folder + b"/fifo")
    (old_run.shared / "runs" / "a_dag" / "r0" / "link").symlink_to("/etc/passwd")
    aged(old_run, "r0", 90)
    assert collected(old_run) == (["shared/runs/a_dag/r0"], [])
    assert Path("/etc/passwd").exists()


def test_a_folder_that_a_link_replaces_meanwhile_takes_gc_nowhere(
    old_run: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = old_run.folder / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    inner = old_run.shared / "runs" / "a_dag" / "r0" / "inner"
    inner.mkdir()
    (inner / "file").touch()
    aged(old_run, "r0", 90)
    real = tree_removal._Removal.folder

    def exchanged(self: tree_removal._Removal, parent: int, name: str, called: str, depth: int = 0) -> None:
        if name == "inner" and not inner.is_symlink():
            inner.rename(old_run.folder / "moved")
            inner.symlink_to(outside)
        real(self, parent, name, called, depth)

    monkeypatch.setattr(tree_removal._Removal, "folder", exchanged)
    gone, left = collected(old_run)
    assert (outside / "precious").exists()
    assert (gone, left) == ([], ["shared/runs/a_dag/r0/inner"])


@pytest.fixture
def folder_of_a_user() -> Iterator[Path]:
    """A ``shared/`` that a user without any privilege can reach, and whose run folder is that user's own."""
    with tempfile.TemporaryDirectory() as name:
        shared = Path(name)
        shared.chmod(0o755)
        (shared / "runs" / "a_dag" / "r0" / "inner").mkdir(parents=True)
        for path in (shared / "runs" / "a_dag" / "r0" / "x.json", shared / "runs" / "a_dag" / "r0" / "inner" / "y"):
            path.touch()
        if os.geteuid() == 0:
            for place, folders, names in os.walk(shared / "runs"):
                for found in [*folders, *names]:
                    os.chown(Path(place, found), NOBODY, NOBODY)
            os.chown(shared / "runs", NOBODY, NOBODY)
        yield shared
        subprocess.run(["chmod", "-R", "u+rwx", name], check=True)


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o400, 0o100])
@pytest.mark.parametrize("what", ["r0", "r0/inner"])
def test_modes_that_keep_their_owner_out_are_given_back(mode: int, what: str, folder_of_a_user: Path) -> None:
    (folder_of_a_user / "runs" / "a_dag" / what).chmod(mode)
    ended = removed_as_a_user(folder_of_a_user)
    assert (ended.stdout, ended.returncode) == ("", 0), ended.stderr
    assert not (folder_of_a_user / "runs" / "a_dag" / "r0").exists()


def test_what_is_somebody_elses_is_left_and_told_and_the_rest_goes(folder_of_a_user: Path) -> None:
    inner = folder_of_a_user / "runs" / "a_dag" / "r0" / "inner"
    if os.geteuid() == 0:
        os.chown(inner, 0, 0)
        inner.chmod(0o700)
    else:
        inner.chmod(0o000)
    ended = removed_as_a_user(folder_of_a_user, somebody_else=True)
    assert ended.stdout == "shared/runs/a_dag/r0/inner Permission denied\n", ended.stderr
    assert [path.name for path in (folder_of_a_user / "runs" / "a_dag" / "r0").iterdir()] == ["inner"]


def removed_as_a_user(shared: Path, *, somebody_else: bool = False) -> subprocess.CompletedProcess[str]:
    """What the removal of the run says, without root's right to pass every mode."""
    return subprocess.run(
        [sys.executable, "-c", AS_A_USER, str(shared), *(["else"] if somebody_else else [])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def test_a_run_that_is_closed_to_readers_is_looked_at_all_the_same(old_run: RegistryProject) -> None:
    folder = old_run.shared / "runs" / "a_dag" / "r0"
    run = run_folders.look(old_run.shared, "shared/runs/a_dag/r0", "a_dag")
    assert run is not None
    assert not run.empty
    folder.rename(old_run.folder / "elsewhere")
    folder.symlink_to(old_run.folder / "elsewhere")
    assert run_folders.look(old_run.shared, "shared/runs/a_dag/r0", "a_dag") is None


def test_a_lock_that_is_a_fifo_keeps_nobody(old_run: RegistryProject) -> None:
    path = old_run.shared / "runs" / "a_dag" / "r0" / ".train_model.lock"
    os.mkfifo(path)
    aged(old_run, "r0", 90)
    assert collected(old_run)[0] == ["shared/runs/a_dag/r0"]


def test_a_model_that_cannot_be_deleted_is_left_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = RegistryProject(tmp_path / "project")
    models = [made.republished(made.publish("dev"), 90 - day) for day in range(4)]
    real = Path.unlink

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == models[0].model_filename:
            raise PermissionError(1, "Operation not permitted", str(path))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    gone, left = collected(made)
    assert gone == [f"models/{models[1].model_filename}"]
    assert left == [f"models/{models[0].model_filename}"]
