"""The life of a step's container, whatever dies meanwhile: one outcome, and nothing stopped that nobody stopped."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import DockerException, ImageNotFound
from tests.engine.support import Host, refusal

from bulkhead.registrar_protocol import Concluded, FailedOutcome
from engine import judging, lease, patience, step_run, telling
from engine.caller import StepFailedError, StepLeftError
from engine.external_id import ExternalId

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(patience, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(step_run, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(patience, "ENGINE_SECONDS", 0.2)
    return Host(tmp_path)


def running(_: str) -> None:
    """The work of a container that does not end."""


def test_a_proven_end_is_concluded_and_nothing_is_removed(host: Host) -> None:
    assert host.run().verdict == "recorded"
    (container,) = host.engine.containers
    assert host.registrar.concluded == [container]
    assert host.registrar.failures == []
    assert not host.engine.names()[0].endswith(".failed-000000000000")


def test_what_a_task_may_not_ask_for_is_recorded_and_nothing_is_started(host: Host) -> None:
    attempt = host.attempt()
    assert not attempt.look()
    with pytest.raises(StepFailedError) as caught:
        attempt.refuse("the conf has 'sorce'")
    assert (caught.value.failed.cause, caught.value.failed.retry) == ("refused", False)
    assert host.registrar.failures == [(None, "refused", "the conf has 'sorce'")]
    assert host.engine.created == 0


# One outcome, whichever try made it.


def test_an_outcome_that_an_earlier_try_made_is_adopted_and_nothing_is_started(host: Host) -> None:
    host.registrar.outcome = Concluded(verdict="adopted", facts={"model_filename": "m"})
    attempt = host.attempt(2)
    assert attempt.look()
    assert attempt.outcome is host.registrar.outcome
    assert host.engine.created == 0


def test_a_try_goes_on_with_the_container_that_an_earlier_one_left_running(host: Host) -> None:
    host.engine.work = running
    _, first = host.begun(1)
    attempt, second = host.begun(2)
    assert _container(first) == _container(second)
    assert attempt.status(first) == step_run.RUNNING
    assert host.engine.created == 1


def test_a_try_concludes_a_success_whose_report_was_lost(host: Host) -> None:
    """The first try died, or was refused (404), after its container had ended and before anybody heard of it."""
    _, first = host.begun(1)
    attempt, second = host.begun(2)
    assert attempt.status(first) == step_run.RUNNING  # to be followed to an end that is there
    attempt.conclude(second, attempt.follow(second))
    assert host.registrar.concluded == [_container(first)]
    assert host.engine.created == 1


def test_two_tries_that_judge_one_failure_set_it_aside_once(host: Host) -> None:
    host.engine.work = lambda _: 70
    first, container = host.begun(1)
    second, _ = host.begun(2)
    for attempt in (first, second):
        with pytest.raises(StepFailedError):
            attempt.conclude(container, attempt.follow(container))
    (name,) = host.engine.names()
    assert name.count(".failed-") == 1
    assert {container for container, _, _ in host.registrar.failures} == set(host.engine.containers)


def test_a_name_that_another_try_took_meanwhile_is_no_failure(host: Host) -> None:
    host.engine.work = running
    raced = []

    def race() -> None:
        host.engine.before_create = lambda: None
        raced.append(host.begun(1)[1])

    host.engine.before_create = race
    _, container = host.begun(2)
    assert [_container(other) for other in raced] == [_container(container)]
    assert host.registrar.failures == []


def test_a_name_that_stays_taken_is_a_failure_that_may_be_retried(host: Host) -> None:
    host.engine.refuses_to_create = [refusal(409, "taken")] * 5
    with pytest.raises(StepFailedError, match="is taken by a container") as failed:
        host.begun()
    assert failed.value.failed.retry


def test_a_superseded_container_says_so_and_is_no_failure_of_the_step(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.registrar.answer = Concluded(verdict="superseded", sentence="the task was cleared meanwhile")
    with pytest.raises(StepFailedError, match="superseded: the task was cleared meanwhile") as failed:
        host.run()
    assert not failed.value.failed.retry
    assert "superseded" in caplog.text
    assert host.registrar.failures == []


def test_a_proposal_that_the_registrar_refuses_is_a_failure_and_its_container_evidence(host: Host) -> None:
    refused = FailedOutcome(cause="refused", detail="the hash is another", retry=False)
    host.registrar.answer = Concluded(verdict="refused", failed=refused)
    with pytest.raises(StepFailedError, match="refused: the hash is another") as failed:
        host.run()
    assert not failed.value.failed.retry
    assert host.causes() == ["refused"]
    assert host.engine.names()[0].endswith(".failed-000000000000")


# A container in the way.


@pytest.mark.parametrize("work", [lambda _: 0, lambda _: 70, running], ids=["finished", "failed", "running"])
def test_a_container_of_a_closed_outcome_makes_room(host: Host, work: Any) -> None:
    """The task's success was accepted, and then a person cleared it: it has another outcome from now on."""
    host.engine.work = work
    _, old = host.begun(1)
    host.registrar.first_try = "try-2"
    host.engine.work = host.succeed
    attempt = host.attempt(2)
    attempt.look()
    attempt.connect()
    assert attempt.status(old) == step_run.FAILED
    new = attempt.find_or_start()
    assert _container(new) != _container(old)
    attempt.conclude(new, attempt.follow(new))
    assert host.registrar.concluded == [_container(new)]
    assert host.engine.stopped == ([_container(old)] if work is running else [])


def test_a_container_that_never_ran_is_started_by_the_next_try(host: Host) -> None:
    """Nor is it removed: the try that made it may be about to start it."""
    first = host.attempt(1)
    first.look()
    first.connect()
    first.interrupt()  # between create and start
    created = first.find_or_start()
    with pytest.raises(StepLeftError):
        first.follow(created)
    host.run(2)
    assert host.engine.created == 1
    assert host.registrar.concluded == [_container(created)]
    assert host.registrar.failures == []


def test_a_container_that_goes_before_it_is_started_is_made_again(host: Host) -> None:
    start = host.engine.start
    gone: list[str] = []

    def start_once_gone(container: str) -> None:
        if not gone:
            gone.append(container)
            host.engine.remove_container(container)
        start(container)

    host.engine.start = start_once_gone  # type: ignore[method-assign]
    host.run()
    assert host.engine.created == 2
    assert host.registrar.concluded != gone
    assert host.registrar.failures == []


# Failures.


def test_a_crash_is_recorded_and_its_container_set_aside(host: Host) -> None:
    host.engine.work = lambda _: 70
    with pytest.raises(StepFailedError, match=r"train_model: crashed: exit code 70 after 1\.5 s") as failed:
        host.run()
    assert failed.value.failed.retry
    assert host.causes() == ["crashed"]
    assert host.engine.names()[0].endswith(".failed-000000000000")


def test_the_next_try_starts_afresh_after_a_crash(host: Host) -> None:
    host.engine.work = lambda _: 70
    with pytest.raises(StepFailedError):
        host.run()
    host.engine.work = host.succeed
    host.run(2)
    assert host.causes() == ["crashed"]
    assert host.engine.created == 2


def test_a_refusal_is_not_to_be_retried(host: Host) -> None:
    host.engine.work = lambda _: 1
    with pytest.raises(StepFailedError) as failed:
        host.run()
    assert not failed.value.failed.retry


def test_a_sentence_that_the_step_has_told_itself_is_not_told_again(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.engine.work = lambda _: 1
    host.engine.last_line = "train_model: refused: no rows. Give some."
    with pytest.raises(StepFailedError, match="no rows"):
        host.run()
    assert [one for one in caplog.messages if "no rows" in one] == []  # its output is followed, and tells it


def test_any_other_sentence_is_told_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.engine.work = lambda _: 70
    with pytest.raises(StepFailedError):
        host.run()
    assert [one.levelname for one in caplog.records if "crashed: " in one.getMessage()] == ["ERROR"]


@pytest.mark.parametrize(
    ("line", "is_error", "level"),
    [
        ("train_model: refused: no rows", True, "ERROR"),
        ("a warning of a library", True, "WARNING"),
        ("train_model: refused: on stdout it is but a line", False, "INFO"),
    ],
)
def test_why_a_step_refuses_is_an_error_in_the_log(
    line: str,
    is_error: bool,  # noqa: FBT001  # a case
    level: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    telling.say(logging.getLogger("step"), line, is_error)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [(level, line)]


def test_a_missing_image_names_the_command_that_builds_it(host: Host) -> None:
    host.engine.refuses_to_create = [ImageNotFound("no such image")]
    with pytest.raises(StepFailedError, match=r"no image bulkhead/trainer:latest.*just build-images"):
        host.run()
    assert host.registrar.failures[0][:2] == (None, "image_missing")


def test_a_secret_is_masked_in_the_failure_and_in_its_record(host: Host) -> None:
    host.engine.refuses_to_create = [refusal(400, "a secret mount")]
    with pytest.raises(StepFailedError, match=r"a \*\*\* mount"):
        host.run()
    assert "secret" not in str(host.registrar.failures)
    assert host.causes() == ["mount_missing"]


def test_a_container_that_somebody_removed_is_a_failure_unless_its_outcome_is_there(host: Host) -> None:
    attempt, container = host.begun()
    host.engine.containers.clear()
    with pytest.raises(StepFailedError, match="removed by somebody else"):
        attempt.conclude(container, step_run.Ending())
    host.registrar.outcome = Concluded(verdict="adopted")
    attempt.conclude(container, step_run.Ending())
    assert attempt.outcome is host.registrar.outcome


def test_a_judgement_that_takes_too_long_leaves_the_container_to_the_next_try(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, container = host.begun()
    monkeypatch.setattr(judging, "_SECONDS", 0.05)
    monkeypatch.setattr("engine.watch.last_lines", lambda *_: time.sleep(0.3))
    with pytest.raises(StepFailedError, match="could not be judged within") as failed:
        attempt.conclude(container, step_run.Ending())
    assert failed.value.failed.retry
    assert not host.engine.names()[0].endswith(".failed-000000000000")


# Who may stop a step.


@pytest.mark.parametrize("ended", ["failed", "cleared", "deleted", "removed"])
def test_a_persons_act_stops_the_container(host: Host, ended: str) -> None:
    host.engine.work = running
    attempt, container = host.begun()
    host.registrar.ended = ended
    attempt.interrupt()
    assert host.engine.stopped == [_container(container)]
    with pytest.raises(StepFailedError, match=rf"killed: the task was ended by a person \({ended}\)"):
        attempt.conclude(container, attempt.follow(container))
    assert host.causes() == ["killed"]


def test_a_step_that_says_it_has_succeeded_when_it_is_stopped_has_not(host: Host) -> None:
    host.engine.work = running
    attempt, container = host.begun(1)
    host.registrar.ended = "failed"
    stop = host.engine.stop

    def stop_politely(stopped: str, **_: Any) -> None:
        stop(stopped)
        host.engine.containers[stopped]["State"]["ExitCode"] = host.succeed(stopped)

    host.engine.stop = stop_politely  # type: ignore[method-assign, assignment]
    attempt.interrupt()
    with pytest.raises(StepFailedError, match="ended by a person"):
        attempt.conclude(container, attempt.follow(container))
    assert (host.causes(), host.registrar.concluded) == (["killed"], [])


def test_sigterm_alone_leaves_the_container_running_for_the_next_try(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """A late heartbeat: Airflow gave the task to another try, and answers this one's heartbeat with 404."""
    host.engine.work = running
    attempt, container = host.begun(1)
    attempt.interrupt()
    attempt.interrupt()
    with pytest.raises(StepLeftError, match="runs on"):
        attempt.follow(container)
    assert "its container runs on" in caplog.text
    assert (host.engine.stopped, host.registrar.failures) == ([], [])
    next_try, same = host.begun(2)
    assert _container(same) == _container(container)
    host.engine.containers[_container(same)]["State"] |= {
        "Status": "exited",
        "ExitCode": host.succeed(_container(same)),
    }
    next_try.conclude(same, next_try.follow(same))
    assert host.registrar.concluded == [_container(container)]


def test_sigterm_with_the_registrar_away_stops_nothing(host: Host) -> None:
    host.engine.work = running
    attempt, container = host.begun()
    host.registrar.absent = 1
    host.registrar.ended = "failed"  # which nobody can say now; the registrar itself stops it when it is back
    attempt.interrupt()
    assert host.engine.stopped == []
    with pytest.raises(StepLeftError):
        attempt.follow(container)


def test_a_try_that_a_person_ended_before_it_began_starts_nothing(host: Host) -> None:
    host.registrar.ended = "failed"
    with pytest.raises(StepFailedError, match=r"Airflow has ended this try \(failed\)") as failed:
        host.attempt().look()
    assert not failed.value.failed.retry
    assert host.registrar.failures == []


def test_a_step_over_its_time_limit_is_stopped_and_says_which_limit_that_was(host: Host) -> None:
    host.engine.work = running
    sources = {"seconds": "BULKHEAD_STEP_SECONDS_TRAIN_MODEL"}
    with pytest.raises(StepFailedError, match=r"not done after 5 s \(BULKHEAD_STEP_SECONDS_TRAIN_MODEL\)") as failed:
        host.run(seconds=5, sources=sources)
    assert not failed.value.failed.retry
    assert host.engine.stopped == list(host.engine.containers)
    assert host.causes() == ["timed_out"]


def test_airflows_own_time_limit_stops_the_step_too(host: Host) -> None:
    host.engine.work = running
    attempt, container = host.begun()
    with pytest.raises(StepFailedError, match="execution_timeout is over") as failed:
        attempt.conclude(container, attempt.time_out())
    assert failed.value.failed.retry
    assert host.engine.stopped == [_container(container)]
    assert host.causes() == ["timed_out"]


def test_a_step_that_fills_the_disk_is_stopped_and_says_how_much_it_took(host: Host) -> None:
    def fill(_: str) -> None:
        folder = host.settings.folder / host.identity.run_path
        folder.mkdir(parents=True)
        (folder / "large").write_bytes(b"x" * 3_000_000)

    host.engine.work = fill
    with pytest.raises(StepFailedError, match=r"disk_full: 0\.0 GB in the run folder.*at most 2m") as failed:
        host.run(disk="2m", seconds=10**9)
    assert not failed.value.failed.retry
    assert host.engine.stopped == list(host.engine.containers)


# Who may be away.


def test_a_registrar_that_is_away_is_waited_for(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    attempt, container = host.begun()
    ending = attempt.follow(container)
    host.registrar.absent = 3
    attempt.conclude(container, ending)
    assert host.registrar.concluded == [_container(container)]
    assert caplog.text.count("waiting for the registrar") == 1  # and again each minute


@pytest.mark.parametrize("code", [0, 70])
def test_a_registrar_that_stays_away_leaves_the_container_as_it_is_to_the_next_try(host: Host, code: int) -> None:
    host.engine.work = host.succeed if code == 0 else lambda _: code
    attempt, container = host.begun(1, registrar_seconds=0.05)
    ending = attempt.follow(container)
    host.registrar.absent = float("inf")
    with pytest.raises(StepFailedError, match="registrar_unreachable") as failed:
        attempt.conclude(container, ending)
    assert failed.value.failed.retry
    assert not host.engine.names()[0].endswith(".failed-000000000000")
    host.registrar.absent = 0
    second, same = host.begun(2)
    assert _container(same) == _container(container)
    if code == 0:
        second.conclude(same, second.follow(same))
        assert host.registrar.concluded == [_container(container)]
    else:
        with pytest.raises(StepFailedError, match="crashed"):
            second.conclude(same, second.follow(same))
        assert host.causes() == ["crashed"]


def test_without_the_registrar_nothing_is_started(host: Host) -> None:
    host.registrar.absent = float("inf")
    with pytest.raises(StepFailedError, match="registrar_unreachable"):
        host.attempt(registrar_seconds=0.05).look()
    assert host.engine.created == 0


def test_a_launcher_that_does_not_answer_is_a_failure_that_may_be_retried(host: Host) -> None:
    host.reachable = False
    with pytest.raises(StepFailedError, match="engine_unreachable: no socket") as failed:
        host.attempt().connect()
    assert failed.value.failed.retry
    assert host.causes() == ["engine_unreachable"]


def test_a_launcher_that_starts_anew_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "ENGINE_SECONDS", 10)
    answers = [host.engine, DockerException("starting")]
    attempt = host.attempt()

    def connect() -> Any:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(host, "connect", connect)
    attempt = host.attempt()
    attempt.connect()
    assert host.registrar.failures == []


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_engine_that_goes_away_behind_the_launcher_is_waited_for(host: Host, status: int) -> None:
    host.engine.refuses_to_create = [refusal(status, "the engine does not answer")] * 3
    host.run()
    assert (host.engine.created, host.registrar.failures) == (1, [])


def test_an_engine_that_stays_away_is_a_failure_that_may_be_retried(host: Host) -> None:
    host.engine.refuses_to_create = [refusal(503, "the engine does not answer")] * 10_000
    with pytest.raises(StepFailedError, match="engine_unreachable") as failed:
        host.run()
    assert failed.value.failed.retry


@pytest.mark.parametrize(
    ("status", "said", "cause", "is_retried"),
    [
        (500, "context deadline exceeded", "crashed", True),
        (500, "OCI runtime create failed: resource temporarily unavailable", "crashed", True),
        (500, "error while creating mount source path: no such directory", "mount_missing", False),
        (400, "invalid mount: shared/runs/d: a link", "mount_missing", False),
        (403, "no image of steps", "crashed", False),
    ],
)
def test_what_a_loaded_engine_refuses_is_tried_again_and_what_is_wrong_is_not(
    host: Host,
    status: int,
    said: str,
    cause: str,
    is_retried: bool,  # noqa: FBT001
) -> None:
    host.engine.refuses_to_create = [refusal(status, said)]
    with pytest.raises(StepFailedError) as failed:
        host.run()
    assert (failed.value.failed.cause, failed.value.failed.retry) == (cause, is_retried)


def test_a_start_whose_answer_was_lost_is_followed_and_not_made_again(host: Host) -> None:
    start = host.engine.start

    def start_and_go(container: str) -> None:
        start(container)
        host.engine.start = start  # type: ignore[method-assign]
        raise refusal(502, "the engine does not answer")

    host.engine.start = start_and_go  # type: ignore[method-assign]
    host.run()
    assert (host.engine.created, host.registrar.failures) == (1, [])


def test_a_stop_that_takes_longer_than_one_may_wait_is_no_lost_engine(host: Host) -> None:
    """The step is over its limit, and is recorded as such, though the engine is slow."""
    host.engine.work = running
    host.engine.slow_stops = 1
    attempt, container = host.begun(1, seconds=1e-9)
    with pytest.raises(StepFailedError, match="timed_out"):
        attempt.conclude(container, attempt.follow(container))
    assert host.causes() == ["timed_out"]
    assert host.engine.stopped == [_container(container)]


# Another engine.


def on_another_engine(host: Host) -> str:
    """The id that a try kept on a host which is lost since."""
    host.engine.id = "ENGINE:2"
    return str(ExternalId.now("ENGINE:1", "f" * 64))


def test_nothing_is_started_beside_another_engines_container_until_its_lease_is_over(host: Host) -> None:
    attempt = host.attempt(2)
    attempt.look()
    kept = on_another_engine(host)
    attempt.connect()
    began = time.monotonic()
    assert attempt.status(kept) == step_run.FAILED
    assert time.monotonic() - began > 0.1
    assert host.registrar.looks > 2
    attempt.find_or_start()
    assert host.engine.created == 1


def test_the_outcome_of_another_engines_container_is_adopted_when_it_comes(host: Host) -> None:
    attempt = host.attempt(2, lease_seconds=60)
    attempt.look()
    attempt.connect()
    attempt._engine = "ENGINE:2"

    def come() -> None:
        if host.registrar.looks == 3:
            host.registrar.outcome = Concluded(verdict="adopted", facts={"made": 2})

    host.registrar.on_look = come
    assert attempt.status(str(ExternalId.now("ENGINE:1", "f" * 64))) == step_run.SUCCEEDED
    assert attempt.outcome is not None
    assert attempt.outcome.facts == {"made": 2}
    assert host.engine.created == 0


def test_an_engine_that_is_exchanged_under_a_running_step_has_not_removed_its_container(host: Host) -> None:
    host.engine.work = running
    attempt, kept = host.begun(1)
    host.engine.containers.clear()
    host.engine.id = "ENGINE:2"
    with pytest.raises(StepFailedError, match=r"is on another engine .*, and its lease is over") as failed:
        attempt.conclude(kept, attempt.follow(kept))
    assert failed.value.failed.retry
    assert host.causes() == ["engine_unreachable"]


def test_the_outcome_of_a_step_whose_engine_was_exchanged_is_adopted_when_it_comes(host: Host) -> None:
    host.engine.work = running
    attempt, kept = host.begun(1, lease_seconds=60)
    host.engine.containers.clear()
    host.engine.id = "ENGINE:2"
    before = host.registrar.looks

    def come() -> None:
        if host.registrar.looks == before + 3:
            host.registrar.outcome = Concluded(verdict="adopted", facts={"made": 1})

    host.registrar.on_look = come
    attempt.conclude(kept, attempt.follow(kept))
    assert attempt.outcome is not None
    assert attempt.outcome.facts == {"made": 1}
    assert host.registrar.failures == []


@pytest.mark.parametrize("away", ["engine", "registrar"])
def test_a_try_that_waits_for_who_is_away_can_be_told_to_end_and_has_not_failed(
    host: Host, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ENGINE_SECONDS", 60)
    attempt = host.attempt(registrar_seconds=60)
    attempt.look()
    host.reachable = away != "engine"

    def told() -> None:
        attempt.interrupt()
        host.registrar.absent = float("inf") if away == "registrar" else 0

    timer = threading.Timer(0.1, told)
    host.registrar.absent = float("inf") if away == "registrar" else 0
    timer.start()
    with pytest.raises(StepLeftError):
        attempt.connect() if away == "engine" else attempt.look()
    timer.join()
    assert host.registrar.failures == []


def test_a_person_who_ends_a_try_that_waits_for_the_engine_is_who_has_ended_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ENGINE_SECONDS", 60)
    attempt = host.attempt()
    attempt.look()
    host.reachable = False
    host.registrar.ended = "failed"
    timer = threading.Timer(0.1, attempt.interrupt)
    timer.start()
    with pytest.raises(StepFailedError, match="ended by a person"):
        attempt.connect()
    timer.join()
    assert host.causes() == ["killed"]


def test_a_try_that_waits_for_a_lease_can_be_told_to_end(host: Host) -> None:
    attempt = host.attempt(2, lease_seconds=60)
    attempt.look()
    attempt.connect()
    host.registrar.on_look = lambda: attempt.interrupt() if host.registrar.looks == 2 else None
    with pytest.raises(StepLeftError):
        attempt.status(str(ExternalId.now("ENGINE:9", "f" * 64)))


@pytest.mark.parametrize("kept", ["nonsense", "a/b", "../../x"])
def test_a_kept_id_that_is_none_is_found_by_name_instead(host: Host, kept: str) -> None:
    attempt = host.attempt()
    attempt.look()
    attempt.connect()
    assert attempt.status(kept) == step_run.FAILED


def test_an_id_that_an_earlier_version_kept_is_of_this_engine(host: Host) -> None:
    host.engine.work = running
    _, container = host.begun(1)
    attempt, _ = host.begun(2)
    assert attempt.status(_container(container)) == step_run.RUNNING


def _container(external_id: str) -> str:
    kept = ExternalId.parse(external_id)
    assert kept is not None
    return kept.container
