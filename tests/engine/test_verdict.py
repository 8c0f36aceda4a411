"""Why a step ended as it did, as the operator judges it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.project import identity

from bulkhead.protocol import PROTOCOL
from bulkhead.registry.proposals import FailureProposal
from bulkhead.step.result import StepResult
from engine import verdict
from engine.settings import Settings

CONTAINER = "4f5e6d7c8b9a" + "0" * 52
SETTINGS = Settings(host_folder="/project", memory="2g")


def result_by(
    container: str, protocol: int = PROTOCOL, image: str | None = None, proposal: FailureProposal | None = None
) -> StepResult:
    return StepResult(
        proposal=proposal,
        protocol=protocol,
        identity=identity(image=image),
        environment="dev",
        container=container,
        started="s",
        finished="f",
    )


OWN = result_by(CONTAINER[:12])


def judged(code: int, result: StepResult | None = None, tail: tuple[str, ...] = (), **state: Any) -> Any:
    return verdict.judge({"ExitCode": code, "OOMKilled": False, **state}, result, CONTAINER, tail, SETTINGS)


def test_exit_0_with_the_result_of_this_very_container_is_success() -> None:
    assert judged(0, OWN) is OWN


def test_where_the_engine_was_away_at_the_end_the_result_alone_is_the_proof() -> None:
    assert judged(255, OWN) is OWN
    assert judged(255, result_by("0123456789ab")).cause == "crashed"
    failure = result_by(CONTAINER, proposal=FailureProposal(cause="refused", detail="no"))
    assert judged(255, failure).cause == "crashed"


def test_a_crash_has_the_steps_own_words() -> None:
    failure = result_by(CONTAINER, proposal=FailureProposal(cause="crashed", detail="ValueError: a bug"))
    assert "It said: ValueError: a bug" in judged(70, failure).detail
    threads = result_by(CONTAINER, proposal=FailureProposal(cause="crashed", detail="can't start new thread"))
    assert (judged(70, threads).retry, "BULKHEAD_STEP_PIDS" in judged(70, threads).detail) == (False, True)
    memory = result_by(CONTAINER, proposal=FailureProposal(cause="out_of_memory", detail="memory ran out"))
    assert judged(70, memory).cause == "out_of_memory"


@pytest.mark.parametrize(
    "result",
    [None, result_by("0123456789ab"), result_by(CONTAINER[1:13]), result_by(CONTAINER + "0"), result_by("")],
    ids=["none", "another container", "a piece from its middle", "longer than the id", "nobody"],
)
def test_exit_0_without_the_proof_of_this_very_container_is_a_failure_that_may_be_retried(
    result: StepResult | None,
) -> None:
    failed = judged(0, result, ("done",))
    assert isinstance(failed, verdict.Failed)
    assert (failed.cause, failed.retry) == ("no_result", True)
    assert "It said: done" in failed.detail


@pytest.mark.parametrize("code", [1, 2, 70, 125, 126, 127, 137, 139, 143])
def test_another_exit_code_is_a_failure_even_with_a_result(code: int) -> None:
    assert isinstance(judged(code, OWN), verdict.Failed)


def test_a_wrong_command_line_is_told_by_the_step_itself() -> None:
    """An engine that goes away while a container starts leaves exit code 2 as well, and no word."""
    failed = judged(2, tail=("Usage: trainer train_model", "Error: No such option: --sed"))
    assert (failed.cause, failed.retry) == ("wrong_usage", False)
    assert "the command line is wrong" in failed.detail


@pytest.mark.parametrize(
    ("code", "cause", "retry", "fragment"),
    [
        (1, "refused", False, "exit code 1"),
        (2, "crashed", True, "exit code 2"),
        (70, "crashed", True, "exit code 70"),
        (125, "crashed", True, "exit code 125"),
        (127, "crashed", True, "exit code 127"),
        (134, "crashed", True, "exit code 134"),
        (137, "killed", True, "SIGKILL"),
        (139, "crashed", True, "exit code 139"),
        (143, "killed", True, "SIGTERM"),
        (255, "crashed", True, "exit code 255"),
    ],
)
def test_each_exit_code_has_its_cause(code: int, cause: str, fragment: str, *, retry: bool) -> None:
    failed = judged(code)
    assert (failed.cause, failed.retry) == (cause, retry)
    assert fragment in failed.detail
    assert "It said" not in failed.detail


@pytest.mark.parametrize("code", [2, 70, 137, 143])
def test_what_the_step_said_last_is_quoted(code: int) -> None:
    assert "It said: last" in judged(code, tail=("first", "last")).detail


def test_a_refusals_own_sentence_is_the_detail() -> None:
    tail = ("some warning", "preprocessing: refused: t.csv: it is empty. Give a table.", "a line after it")
    failed = judged(1, tail=tail)
    assert failed.detail == "t.csv: it is empty. Give a table."
    assert not failed.retry


def test_the_last_of_two_refusals_counts() -> None:
    tail = ("preprocessing: refused: first.", "preprocessing: refused: second.")
    assert judged(1, tail=tail).detail == "second."


def test_a_refusal_that_could_not_be_recorded_is_still_the_detail() -> None:
    tail = ("preprocessing: refused: the sentence.", "preprocessing: not recorded: models/log.txt: No space left.")
    assert judged(1, tail=tail).detail == "the sentence."


@pytest.mark.parametrize("code", [1, 70, 137, 143])
def test_a_step_killed_for_memory_says_which_limit_to_raise(code: int) -> None:
    failed = judged(code, tail=("x",), OOMKilled=True)
    assert (failed.cause, failed.retry) == ("out_of_memory", False)
    assert "2g" in failed.detail
    assert "BULKHEAD_STEP_MEMORY" in failed.detail


def test_a_step_that_finished_and_proved_it_succeeded_whatever_died_for_memory_on_the_way() -> None:
    """Docker sets OOMKilled when any process of the container was killed; the model is published all the same."""
    assert judged(0, OWN, OOMKilled=True) is OWN


def test_an_engine_that_says_nothing_of_memory_is_believed() -> None:
    assert verdict.judge({"ExitCode": 0}, OWN, CONTAINER, (), SETTINGS) is OWN


@pytest.mark.parametrize(
    ("protocol", "image", "builds"),
    [
        (
            PROTOCOL - 1,
            "bulkhead/trainer:latest@sha256:1",
            "'just build-images trainer', then clear the task.",
        ),
        (PROTOCOL - 1, None, "'just build-images', then clear the task."),
        (
            PROTOCOL + 1,
            "bulkhead/trainer:latest@sha256:1",
            "'just build-images airflow' and 'just up', then clear",
        ),
    ],
    ids=["older", "older, of an unknown image", "newer"],
)
def test_a_result_of_another_version_is_a_failure_that_names_the_image_to_rebuild(
    protocol: int, image: str | None, builds: str
) -> None:
    failed = judged(0, result_by(CONTAINER[:12], protocol, image), ("done",))
    assert isinstance(failed, verdict.Failed)
    assert (failed.cause, failed.retry) == ("wrong_protocol", False)
    assert f"a result of version {protocol}, and Airflow reads version {PROTOCOL}. Run {builds}" in failed.detail


def test_a_result_of_another_version_that_another_container_left_is_none() -> None:
    assert judged(0, result_by("0123456789ab", PROTOCOL + 1)).cause == "no_result"


def test_a_step_that_failed_is_judged_by_its_exit_code_whatever_the_version_of_its_result() -> None:
    assert judged(137, result_by(CONTAINER[:12], PROTOCOL + 1)).cause == "killed"


def failed_by(container: str, cause: str, detail: str) -> StepResult:
    return result_by(container, proposal=FailureProposal(cause=cause, detail=detail))


def test_a_refusal_in_the_steps_own_result_is_the_detail() -> None:
    own = failed_by(CONTAINER[:12], "refused", "t.csv: it is empty. Give a table.")
    failed = judged(1, own, ("preprocessing: refused: as printed.",))
    assert (failed.cause, failed.detail, failed.retry) == ("refused", "t.csv: it is empty. Give a table.", False)


def test_a_refusal_that_another_container_left_is_not_this_ones() -> None:
    other = failed_by("0123456789ab", "refused", "another's sentence.")
    assert judged(1, other, ("preprocessing: refused: its own.",)).detail == "its own."


def test_a_refusal_in_many_lines_and_without_end_is_one_line() -> None:
    failed = judged(1, failed_by(CONTAINER[:12], "refused", "a\nb\x1b[2J" + "x" * 1_000_000))
    assert "\n" not in failed.detail
    assert "\x1b" not in failed.detail
    assert len(failed.detail) < 2100


def test_a_step_cannot_call_its_crash_a_success() -> None:
    failed = judged(70, failed_by(CONTAINER[:12], "none", "all is well"))
    assert (failed.cause, failed.retry) == ("crashed", True)


@pytest.mark.parametrize(
    ("code", "tail"),
    [
        (70, "OSError: [Errno 28] No space left on device: '/shared/x'"),
        (70, "OSError: [Errno 27] File too large"),
        (70, "pyarrow.lib.ArrowIOError: Error writing bytes to file. Detail: [errno 28] No space left on device"),
        (153, ""),
    ],
)
def test_a_disk_that_is_full_has_a_cause_of_its_own_and_names_the_limit(code: int, tail: str) -> None:
    failed = judged(code, tail=(tail,) if tail else ())
    assert (failed.cause, failed.retry) == ("disk_full", False)
    assert "20g" in failed.detail
    assert "BULKHEAD_STEP_DISK" in failed.detail


def test_a_full_disk_in_the_steps_own_result_is_believed() -> None:
    own = failed_by(CONTAINER[:12], "disk_full", "/shared: File too large.")
    failed = judged(1, own)
    assert failed.cause == "disk_full"
    assert failed.detail.startswith("/shared: File too large.")


def test_a_run_folder_that_is_still_held_is_tried_again() -> None:
    failed = judged(75)
    assert (failed.cause, failed.retry) == ("busy", True)
    assert "an earlier container of this task still runs here" in failed.detail
