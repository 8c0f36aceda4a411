"""Every way a step can end: one exit code, one record, nothing half-written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.steps.support import STEPS, WORK, done_before, each_step, journal_of, raising
from tests.support.project import NEXT, Project, files_in, lines_of

from bulkhead.registry import journal
from bulkhead.registry.store import Registry


def assert_only_this_failure_was_left(project: Project, image: str, task: str, cause: str) -> dict[str, Any]:
    """One record in the right log; no result, no output, no model, nothing half-written."""
    own = [line for line in lines_of(journal_of(project, image)) if "cause" in line]
    other = project.registry.inference_journal if image == "trainer" else project.registry.training_journal
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
    assert project.registry.load(record)[-1].coef_.shape == (2,)
    assert (project.shared / "train_model.json").exists()


def test_sigterm_while_an_inference_is_recorded_waits_until_it_is(
    trained_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_project.prepare_inference()
    real = journal.append

    def terminate_before(*arguments: Any) -> None:
        terminate()
        real(*arguments)

    monkeypatch.setattr(journal, "append", terminate_before)
    trained_project.done("inference", "model_inference")
    assert len(lines_of(trained_project.registry.inference_journal)) == 1
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
    from project import model

    def careless(frame: Any) -> Any:
        with contextlib.suppress(Exception):
            terminate()
        return frame

    monkeypatch.setattr(model, "transform", careless)
    assert project.trainer("preprocessing").code == 143
    assert_only_this_failure_was_left(project, "trainer", "preprocessing", "killed")


SLEEPER = """
import sys, time
from bulkhead import paths
paths.SHARED, paths.MODELS, paths.INPUTS = sys.argv[1:4]
from project import model
from trainer import cli
def sleep(*arguments):
    print("working", flush=True)
    time.sleep(60)
model.transform = sleep
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
