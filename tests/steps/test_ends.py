"""Every way a step can end: one exit code, one record, nothing half-written."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from tests.helpers import NEXT, Project, files_in, lines_of

from bulkhead import log, run_folder
from bulkhead.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = [
    ("trainer", "preprocessing"),
    ("trainer", "train_model"),
    ("inference", "generate_inf_data"),
    ("inference", "preprocess_inf_data"),
    ("inference", "model_inference"),
]
"""In the order of both pipelines."""

WORK = {
    "preprocessing": "trainer.preprocessing.preprocess",
    "train_model": "trainer.training.train_and_publish",
    "generate_inf_data": "inference.data.generate",
    "preprocess_inf_data": "inference.data.preprocess",
    "model_inference": "inference.prediction.predict",
}

each_step = pytest.mark.parametrize(("image", "task"), STEPS, ids=[task for _, task in STEPS])


def done_before(project: Project, task: str) -> None:
    """Everything that ``task`` needs is there."""
    for image, earlier in STEPS:
        if earlier == task:
            return
        project.done(image, earlier)


def log_of(project: Project, image: str) -> Path:
    return project.registry.trainings if image == "trainer" else project.registry.inferences


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_arguments: Any, **_named: Any) -> NoReturn:
        raise error

    return fail


def assert_only_this_failure_was_left(project: Project, image: str, task: str, cause: str) -> dict[str, Any]:
    """One record in the right log; no result, no output, no model, nothing half-written."""
    own = [line for line in lines_of(log_of(project, image)) if "cause" in line]
    other = project.registry.inferences if image == "trainer" else project.registry.trainings
    assert [(line["cause"], line["step"], line["environment"]) for line in own] == [(cause, task, "dev")]
    assert [line for line in lines_of(other) if "cause" in line] == []
    assert not (project.shared / f"{task}.json").exists()
    project.assert_nothing_half_written()
    assert len(project.model_files()) == (0 if task in {"preprocessing", "train_model"} else 1)
    assert project.predictions_files() == []
    return own[0]


@each_step
def test_a_bug_keeps_its_traceback_and_is_recorded_as_a_crash(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    monkeypatch.setattr(WORK[task], raising(ZeroDivisionError("a bug\nof two lines")))
    ended = project.run(image, [task])
    assert ended.code == 70
    assert "Traceback (most recent call last):" in ended.err
    assert ended.said[-1] == f"{task}: crashed: ZeroDivisionError: a bug\\nof two lines"
    record = assert_only_this_failure_was_left(project, image, task, "crashed")
    assert (record.get("detail") or record["error_message"]) == "ZeroDivisionError: a bug\\nof two lines"


@each_step
def test_a_step_that_runs_out_of_memory_says_so_without_a_traceback(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    monkeypatch.setattr(WORK[task], raising(MemoryError("unable to allocate 9 GiB")))
    ended = project.run(image, [task])
    assert (ended.code, len(ended.said)) == (70, 1)
    assert ended.said[0].startswith(f"{task}: out_of_memory: ")
    assert_only_this_failure_was_left(project, image, task, "out_of_memory")


@each_step
def test_a_step_that_fails_takes_away_the_result_of_an_earlier_attempt(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    project.done(image, task)
    seen: list[bool] = []

    def look_and_fail(*_arguments: Any, **_named: Any) -> NoReturn:
        seen.append((project.shared / f"{task}.json").exists())
        raise RuntimeError

    monkeypatch.setattr(WORK[task], look_and_fail)
    assert project.run(image, [task]).code == 70
    assert seen == [False], "gone as soon as the step starts"
    assert not (project.shared / f"{task}.json").exists()


def terminate(*_arguments: Any, **_named: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@each_step
def test_sigterm_during_the_work_ends_with_143_and_nothing_stored(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    monkeypatch.setattr(WORK[task], terminate)
    ended = project.run(image, [task])
    assert (ended.code, len(ended.said)) == (143, 1)
    assert ended.said[0].startswith(f"{task}: killed: SIGTERM")
    assert NEXT.search(ended.said[0])
    assert_only_this_failure_was_left(project, image, task, "killed")


@pytest.mark.parametrize(
    ("image", "task"), [STEPS[0], STEPS[2], STEPS[3]], ids=["preprocessing", "generate_inf_data", "preprocess_inf_data"]
)
def test_sigterm_while_an_output_is_written_leaves_no_half_of_it(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    real = os.fchmod

    def terminate_in_the_middle(descriptor: int, mode: int) -> None:
        real(descriptor, mode)
        if "parquet" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            terminate()

    monkeypatch.setattr(os, "fchmod", terminate_in_the_middle)
    assert project.run(image, [task]).code == 143
    assert_only_this_failure_was_left(project, image, task, "killed")
    assert f"{task}.parquet" not in files_in(project.shared)


def test_sigterm_while_publishing_waits_until_the_model_is_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is also proven by a result file: the step ends well."""
    project.done("trainer", "preprocessing")
    real = os.link

    def terminate_after(*names: Path) -> None:
        real(*names)
        terminate()

    monkeypatch.setattr(os, "link", terminate_after)
    project.done("trainer", "train_model")
    record = project.registry.latest("dev")
    assert project.registry.load(record).coef_.shape == (2,)
    assert (project.shared / "train_model.json").exists()


def test_sigterm_while_an_inference_is_recorded_waits_until_it_is(
    trained_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_project.prepare_inference()
    real = log.append

    def terminate_before(*arguments: Any) -> None:
        terminate()
        real(*arguments)

    monkeypatch.setattr(log, "append", terminate_before)
    trained_project.done("inference", "model_inference")
    assert len(lines_of(trained_project.registry.inferences)) == 1
    assert len(trained_project.predictions_files()) == 1


def test_a_second_sigterm_does_not_cut_off_the_record_of_the_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Registry.record_failure

    def terminate_again(*arguments: Any) -> None:
        terminate()
        real(*arguments)

    monkeypatch.setattr(Registry, "record_failure", terminate_again)
    monkeypatch.setattr(WORK["preprocessing"], terminate)
    assert project.trainer("preprocessing").code == 143
    assert_only_this_failure_was_left(project, "trainer", "preprocessing", "killed")


def test_sigterm_is_not_lost_in_a_transformation_that_catches_errors(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transformation is the user's to edit, and a broad ``except`` is soon written."""
    from features import _apply

    def careless(frame: Any) -> Any:
        with contextlib.suppress(Exception):
            terminate()
        return frame

    monkeypatch.setattr(_apply, "transform", careless)
    assert project.trainer("preprocessing").code == 143
    assert_only_this_failure_was_left(project, "trainer", "preprocessing", "killed")


SLEEPER = """
import sys, time
from bulkhead import run_folder
run_folder.SHARED, run_folder.MODELS, run_folder.INPUTS = sys.argv[1:4]
from trainer import cli, preprocessing
def sleep(*arguments):
    print("working", flush=True)
    time.sleep(60)
preprocessing.transformation.apply = sleep
sys.exit(cli.main(["preprocessing"]))
"""


def test_sigterm_from_outside_ends_a_real_process_with_143(project: Project) -> None:
    folders = [str(folder) for folder in (project.shared, project.models, project.inputs)]
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, *folders], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert len(err.splitlines()) == 1
    assert err.startswith("preprocessing: killed: SIGTERM")
    assert_only_this_failure_was_left(project, "trainer", "preprocessing", "killed")
    assert files_in(project.shared) == []


# The disk.


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
    sentence = project.assert_refused(ended, task, f"{os.strerror(number)}. ")
    assert "None" not in sentence
    assert sentence.startswith("models" if task == "train_model" else "shared/runs/debug"), sentence
    assert str(project.folder) not in sentence
    assert len(project.model_files()) == (0 if image == "trainer" else 1)


@each_step
def test_a_disk_without_room_for_a_result_refuses_before_any_work(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    monkeypatch.setattr(os, "posix_fallocate", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    monkeypatch.setattr(WORK[task], raising(AssertionError("it worked")))
    sentence = project.assert_refused(project.run(image, [task]), task, "No space left on device")
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
    trained_project.assert_refused(ended, "model_inference", "models/log_inference.txt: No space left on device")


def test_a_failure_that_cannot_be_recorded_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    ended = project.trainer("preprocessing", "--source", "missing.csv")
    assert ended.code == 1
    first, second = ended.said
    assert first.startswith("preprocessing: refused: source 'missing.csv'")
    assert second.startswith("preprocessing: not recorded: models/log.txt: No space left on device.")
    assert lines_of(project.registry.trainings) == []


# The folders.


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
    monkeypatch.setattr(run_folder, "SHARED", str(gone))
    sentence = project.assert_refused(project.run(image, [task]), task, f"no run folder at {gone}")
    assert '-v "$PWD/shared/runs/debug:' in sentence
    assert not gone.exists(), "it is not made up"


@pytest.mark.parametrize("which", ["SHARED", "MODELS"])
def test_a_file_where_a_folder_should_be_is_a_sentence(
    which: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.folder / "file").touch()
    monkeypatch.setattr(run_folder, which, str(project.folder / "file"))
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
        monkeypatch.setattr(run_folder, "SHARED", str(project.shared))
        monkeypatch.setattr(run_folder, "MODELS", str(project.models))
        monkeypatch.setattr(run_folder, "INPUTS", str(project.inputs))
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
    logs = [log_of(project_of_another_user, name).read_bytes() for name in ("trainer", "inference")]
    ended = project_of_another_user.run(image, [task])
    assert ended.code == 1
    name = "log.txt" if image == "trainer" else "log_inference.txt"
    assert ended.said[0].startswith(f"{task}: refused: models/{name}: Permission denied. ")
    assert "docker run --user" in ended.said[0]
    assert "Traceback" not in ended.err
    assert [files_in(project_of_another_user.shared), files_in(project_of_another_user.models)] == before
    assert [log_of(project_of_another_user, name).read_bytes() for name in ("trainer", "inference")] == logs


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
    assert lines_of(log_of(project_of_another_user, image))[-1]["cause"] == "refused"


@each_step
def test_a_registry_mounted_read_only_is_a_sentence(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    real = os.open

    def read_only(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_relative_to(project.models) and flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    ended = project.run(image, [task])
    assert ended.code == 1
    name = "log.txt" if image == "trainer" else "log_inference.txt"
    assert ended.said[0].startswith(f"{task}: refused: models/{name}: Read-only file system. ")
    assert "mount it without ':ro'" in ended.said[0]
    assert "Traceback" not in ended.err


# The command lines.


@pytest.mark.parametrize(
    ("image", "argv"),
    [
        ("trainer", ["nonsense"]),
        ("trainer", []),
        ("trainer", ["preprocessing", "--nonsense"]),
        ("trainer", ["preprocessing", "--environment", "test"]),
        ("trainer", ["preprocessing", "--source"]),
        ("trainer", ["preprocessing", "extra"]),
        ("trainer", ["train_model", "--test-fraction", "a fifth"]),
        ("trainer", ["train_model", "--test-fraction", ""]),
        ("trainer", ["train_model", "--seed", "-1"]),
        ("trainer", ["train_model", "--seed", "4294967296"]),
        ("trainer", ["train_model", "--seed", "1.5"]),
        ("inference", ["nonsense"]),
        ("inference", ["generate_inf_data", "--target", "y"]),
        ("inference", ["model_inference", "--environment", "PRD"]),
        ("inference", ["model_inference", "--model"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_wrong_usage_is_exit_2_with_an_explanation_and_leaves_nothing(
    image: str, argv: list[str], project: Project
) -> None:
    ended = project.run(image, argv)
    assert ended.code == 2
    assert "Usage:" in ended.err or ended.err.startswith("Error: Option")
    assert "Traceback" not in ended.err
    assert files_in(project.models) == files_in(project.shared) == []


def test_a_wrong_environment_variable_is_wrong_usage(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_ENVIRONMENT", "production")
    ended = project.trainer("preprocessing")
    assert ended.code == 2
    assert "production" in ended.err


def test_a_wrong_try_number_is_a_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_TRY_NUMBER", "first")
    ended = project.trainer("preprocessing")
    assert (ended.code, len(ended.said)) == (1, 1)
    assert "BULKHEAD_TRY_NUMBER is 'first'" in ended.said[0]


def test_the_environment_variable_chooses_the_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_ENVIRONMENT", "prd")
    project.done("trainer", "preprocessing")
    project.done("trainer", "train_model")
    assert project.registry.latest("prd").environment == "prd"


@pytest.mark.parametrize(
    ("image", "argv", "words"),
    [
        ("trainer", ["--help"], ["preprocessing", "train_model", "docker run", "Exit codes"]),
        ("trainer", ["preprocessing", "--help"], ["--source", "--target", "--features", "--environment"]),
        ("trainer", ["train_model", "--help"], ["--test-fraction", "--seed", "--environment"]),
        ("trainer", ["example_data", "--help"], ["diabetes"]),
        ("inference", ["--help"], ["generate_inf_data", "preprocess_inf_data", "model_inference", "docker run"]),
        ("inference", ["generate_inf_data", "--help"], ["--source", "--environment"]),
        ("inference", ["preprocess_inf_data", "--help"], ["--environment"]),
        ("inference", ["model_inference", "--help"], ["--model", "--environment"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_help_explains_each_command_and_touches_nothing(
    image: str, argv: list[str], words: list[str], project: Project
) -> None:
    ended = project.run(image, argv)
    assert (ended.code, ended.err) == (0, "")
    assert [word for word in words if word not in ended.out] == []
    assert files_in(project.models) == files_in(project.shared) == []


@pytest.mark.parametrize("image", ["trainer", "inference"])
def test_help_imports_nothing_heavy(image: str) -> None:
    command = STEPS[0][1] if image == "trainer" else STEPS[-1][1]
    script = (
        f"import sys; from {image} import cli; cli.main(['--help']); cli.main([{command!r}, '--help'])\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'sklearn', 'joblib', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_odd_run_ids_give_a_whole_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "scheduled__2026-01-01T00:00:00+00:00 / ~é'\"\n$(x)"
    monkeypatch.setenv("BULKHEAD_DAG_ID", "prd_train_model_dag")
    monkeypatch.setenv("BULKHEAD_RUN_ID", odd)
    project.train()
    line = project.infer()
    assert line["run_id"] == odd
    assert line["predictions_path"].isascii()
    assert line["predictions_path"].startswith("shared/runs/prd_train_model_dag/scheduled__2026-01-01T00_00_00_00_00")


def test_what_the_step_says_and_what_it_records_is_one_line_whatever_the_run_is_called(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKHEAD_RUN_ID", "a\nb\x1b[2J")
    project.assert_refused(project.trainer("train_model"), "train_model", "Run preprocessing first")
