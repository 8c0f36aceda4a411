"""Full disks, missing and foreign folders: a sentence each, and nothing stored."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.steps.support import WORK, done_before, each_step, journal_of, raising
from tests.support.project import Project, files_in, lines_of

from bulkhead import paths

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("where", ["the error names the file", "the error names no file"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["full disk", "used-up quota"])
@each_step
def test_a_disk_that_fills_up_is_a_sentence_that_says_where(
    image: str, task: str, number: int, where: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write knows no file name; the sentence has one all the same."""
    done_before(project, task)
    folder = project.models if task == "train_model" else project.shared
    named = (str(folder / "big"),) if where == "the error names the file" else ()
    real = os.fsync

    def fail(descriptor: int) -> None:
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name.endswith(".tmp") and not name.rpartition("/")[2].startswith(f".{task}.json"):
            raise OSError(number, os.strerror(number), *named)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    ended = project.run(image, [task])
    sentence = project.assert_refused(ended, task, f"{os.strerror(number)}. ", cause="disk_full")
    assert "None" not in sentence
    assert sentence.startswith("models" if named and task == "train_model" else "shared/runs/debug"), sentence
    assert str(project.folder) not in sentence
    assert len(project.model_files()) == (0 if image == "trainer" else 1)


@each_step
def test_a_disk_without_room_for_a_result_refuses_before_any_work(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    monkeypatch.setattr(os, "posix_fallocate", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    monkeypatch.setattr(WORK[task], raising(AssertionError("it worked")))
    ended = project.run(image, [task])
    sentence = project.assert_refused(ended, task, "No space left on device", cause="disk_full")
    assert "None" not in sentence


def test_a_full_disk_under_the_inference_log_leaves_no_predictions(
    trained_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_project.prepare_inference()
    real = os.write
    writes = 0

    def first_write_is_short(descriptor: int, data: bytes) -> int:
        nonlocal writes
        writes += 1
        return real(descriptor, data[:10] if writes == 1 else data)

    monkeypatch.setattr(os, "write", first_write_is_short)
    ended = trained_project.inference("model_inference")
    fragment = "models/log_inference.txt: No space left on device"
    trained_project.assert_refused(ended, "model_inference", fragment, cause="disk_full")


def test_a_failure_that_cannot_be_recorded_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    ended = project.trainer("preprocessing", "--source", "missing.csv")
    assert ended.code == 1
    first, second = ended.said
    assert first.startswith("preprocessing: refused: source 'missing.csv'")
    assert second.startswith("preprocessing: not recorded: models/log.txt: No space left on device.")
    assert lines_of(project.registry.training_journal) == []


@each_step
def test_a_missing_registry_is_a_sentence_with_the_mount_to_add(image: str, task: str, project: Project) -> None:
    done_before(project, task)
    project.models.rename(project.folder / "elsewhere")
    ended = project.run(image, [task])
    assert ended.code == 1
    assert ended.said[0].startswith(f"{task}: refused: no registry at {project.models}: nothing is mounted there.")
    assert '-v "$PWD/models:' in ended.said[0]
    assert "Traceback" not in ended.err
    assert not project.models.exists(), "it is not made up"


@each_step
def test_a_missing_run_folder_is_a_sentence_with_the_mount_to_add(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    gone = project.folder / "gone"
    monkeypatch.setattr(paths, "SHARED", str(gone))
    sentence = project.assert_refused(project.run(image, [task]), task, f"no run folder at {gone}")
    assert '-v "$PWD/shared/runs/debug:' in sentence
    assert not gone.exists(), "it is not made up"


@pytest.mark.parametrize("which", ["SHARED", "MODELS"])
def test_a_file_where_a_folder_should_be_is_a_sentence(
    which: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.folder / "file").touch()
    monkeypatch.setattr(paths, which, str(project.folder / "file"))
    ended = project.trainer("preprocessing")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "nothing is mounted there" in ended.said[0]


@pytest.fixture
def project_of_another_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_identity: None
) -> Iterator[Project]:
    """A trained project, seen by a user who may read it all and write none of it."""
    del no_identity
    umask, handler = os.umask(0o022), signal.getsignal(signal.SIGTERM)
    # Not in tmp_path, whose parents are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        project = Project(Path(folder), capsys)
        monkeypatch.setattr(paths, "SHARED", str(project.shared))
        monkeypatch.setattr(paths, "MODELS", str(project.models))
        monkeypatch.setattr(paths, "INPUTS", str(project.inputs))
        project.train()
        project.infer()
        root = os.geteuid() == 0
        for path in (project.shared, project.models):
            for inner in path.iterdir():
                inner.chmod(0o444)
            path.chmod(0o555)
        if root:  # to whom modes mean nothing
            os.seteuid(65534)
        yield project
        if root:
            os.seteuid(0)
        for path in (project.shared, project.models):
            path.chmod(0o755)
    os.umask(umask)
    signal.signal(signal.SIGTERM, handler)


@each_step
def test_the_wrong_user_is_told_whom_to_run_as(image: str, task: str, project_of_another_user: Project) -> None:
    before = [files_in(project_of_another_user.shared), files_in(project_of_another_user.models)]
    logs = [journal_of(project_of_another_user, name).read_bytes() for name in ("trainer", "inference")]
    ended = project_of_another_user.run(image, [task])
    assert ended.code == 1
    name = "log.txt" if image == "trainer" else "log_inference.txt"
    assert ended.said[0].startswith(f"{task}: refused: models/{name}: Permission denied. ")
    assert "docker run --user" in ended.said[0]
    assert "Traceback" not in ended.err
    assert [files_in(project_of_another_user.shared), files_in(project_of_another_user.models)] == before
    assert [journal_of(project_of_another_user, name).read_bytes() for name in ("trainer", "inference")] == logs


@each_step
def test_a_run_folder_of_another_user_is_a_recorded_sentence(
    image: str, task: str, project_of_another_user: Project
) -> None:
    """The registry may be written, the run folder may not."""
    root = os.geteuid() != os.getuid()
    if root:
        os.seteuid(0)
    project_of_another_user.models.chmod(0o777)
    for path in project_of_another_user.models.iterdir():
        path.chmod(0o666)
    if root:
        os.seteuid(65534)
    ended = project_of_another_user.run(image, [task])
    assert ended.code == 1
    assert len(ended.said) == 1
    assert ended.said[0].startswith(f"{task}: refused: shared/runs/debug")
    assert "Permission denied" in ended.said[0]
    assert lines_of(journal_of(project_of_another_user, image))[-1]["cause"] == "refused"


@each_step
def test_a_registry_mounted_read_only_is_a_sentence(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    real = os.open

    def read_only(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if Path(path).is_relative_to(project.models) and flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", read_only)
    ended = project.run(image, [task])
    assert ended.code == 1
    name = "log.txt" if image == "trainer" else "log_inference.txt"
    assert ended.said[0].startswith(f"{task}: refused: models/{name}: Read-only file system. ")
    assert "mount it without ':ro'" in ended.said[0]
    assert "Traceback" not in ended.err
