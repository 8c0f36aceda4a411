"""A try that lets go of its container, and one that comes back to it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.engine.support import Host

from bulkhead.registrar_protocol import Concluded
from engine import step_run
from engine.caller import StepFailedError, StepLeftError
from engine.deferral import Due, StepDeferredError
from engine.external_id import container_of
from engine.output import Follower
from engine.waiting import Waited

if TYPE_CHECKING:
    from pathlib import Path

AFTER = 0.05


def running(_: str) -> None:
    """The work of a container that does not end."""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.engine.work = running
    return made


def let_go(host: Host) -> StepDeferredError:
    """A step that was let go after a while."""
    attempt, container = host.begun(1, defer_after=AFTER, seconds=1e9)
    with pytest.raises(StepDeferredError) as caught:
        attempt.follow(container, is_deferrable=True)
    return caught.value


def test_a_step_that_runs_for_long_is_let_go_and_runs_on(host: Host) -> None:
    deferred = let_go(host)
    wanted = deferred.wanted
    assert wanted.container == container_of(deferred.external_id)
    assert (wanted.seconds, wanted.disk, wanted.kept) == (1e9, 20 << 30, "1g")
    assert wanted.folder == str(host.settings.folder / host.identity.run_path)
    assert host.engine.containers[wanted.container]["State"]["Status"] == "running"
    assert (host.engine.stopped, host.registrar.failures, host.registrar.concluded) == ([], [], [])


@pytest.mark.parametrize(("after", "is_deferrable"), [(0, True), (AFTER, False)])
def test_who_may_not_or_must_not_let_go_follows_on(host: Host, after: float, *, is_deferrable: bool) -> None:
    attempt, container = host.begun(1, defer_after=after, seconds=1e9)
    looked = []

    def look(name: str) -> dict[str, object]:
        looked.append(name)
        if len(looked) > 2000:
            host.engine.end(container_of(container), host.succeed(container_of(container)))
        return host.engine.containers[container_of(container)]

    host.engine.inspect_container = look  # type: ignore[method-assign]
    attempt.follow(container, is_deferrable=is_deferrable)
    assert len(looked) > 2000


def test_a_task_that_is_told_to_end_as_it_lets_go_leaves_its_container(host: Host) -> None:
    attempt, container = host.begun(1, defer_after=AFTER, seconds=1e9)
    attempt._left = True
    with pytest.raises(StepLeftError):
        attempt.follow(container, is_deferrable=True)


def test_the_task_that_comes_back_judges_and_records_what_has_ended(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    host.engine.print(1, "one\n")
    deferred = let_go(host)
    host.engine.print(2, "two\n")
    host.engine.print(3, "three\n")
    host.engine.end(deferred.wanted.container, host.succeed(deferred.wanted.container))
    attempt = host.attempt(1)
    assert not attempt.look()
    attempt.connect()
    waited = Waited(why="it has ended", position=deferred.wanted.position, peak_memory_bytes=7)
    ending = attempt.follow(deferred.external_id, waited, is_deferrable=True)
    assert ending.peak_memory_bytes == 7
    attempt.conclude(deferred.external_id, ending)
    assert host.registrar.concluded == [deferred.wanted.container]
    assert [line for line in caplog.messages if line in {"one", "two", "three"}] == ["one", "two", "three"]


def test_the_rest_of_the_output_is_told_though_the_outcome_is_recorded_already(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """By the registrar's round, which was there before the task."""
    caplog.set_level("INFO")
    host.engine.print(1, "one\n")
    deferred = let_go(host)
    host.engine.print(2, "two, without an end")
    host.engine.end(deferred.wanted.container)
    host.registrar.outcome = Concluded(verdict="adopted", facts={"made": 1})
    attempt = host.attempt(1)
    assert attempt.look()
    attempt.tell_rest(deferred.external_id, Waited(why="it has ended", position=deferred.wanted.position))
    assert [line for line in caplog.messages if line[:3] in {"one", "two"}] == ["one", "two, without an end"]
    host.reachable = False
    attempt.tell_rest(deferred.external_id, Waited(why="it has ended"))
    assert host.registrar.failures == []


def test_a_limit_that_is_over_meanwhile_is_judged_by_the_task_that_comes_back(host: Host) -> None:
    deferred = let_go(host)
    attempt = host.attempt(1, seconds=5)
    attempt.look()
    attempt.connect()
    ending = attempt.follow(deferred.external_id, Waited(why="its time is over"), is_deferrable=True)
    with pytest.raises(StepFailedError, match="timed_out"):
        attempt.conclude(deferred.external_id, ending)
    assert host.engine.stopped == [deferred.wanted.container]
    assert host.causes() == ["timed_out"]


def test_airflows_own_limit_stops_what_runs_and_not_what_has_ended_by_itself(host: Host) -> None:
    attempt, container = host.begun(1)
    attempt._container = container_of(container)
    host.engine.end(container_of(container), host.succeed(container_of(container)))
    attempt.conclude(container, attempt.time_out())
    assert host.registrar.concluded == [container_of(container)]
    assert host.registrar.failures == []


class TimeIsUpError(BaseException):
    """As Airflow's own: raised by a signal, wherever the process is."""


def test_airflows_own_limit_waits_for_no_output_of_what_runs_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt, container = host.begun(1)
    never = threading.Event()
    monkeypatch.setattr(Follower, "_read", lambda *_, **__: never.wait(20))

    def time_is_up(*_: object, **__: object) -> None:
        raise TimeIsUpError

    monkeypatch.setattr(host.engine, "wait", time_is_up)
    began = time.monotonic()
    with pytest.raises(TimeIsUpError):
        attempt.follow(container)
    with pytest.raises(StepFailedError, match="execution_timeout"):
        attempt.conclude(container, attempt.time_out())
    assert time.monotonic() - began < 5
    never.set()


# A person has cleared it while it waited.


def test_a_container_whose_try_was_cleared_while_it_waited_makes_room_and_is_recorded_once(host: Host) -> None:
    deferred = let_go(host)
    old = deferred.wanted.container
    host.registrar.cleared = {"try-1"}
    host.engine.work = host.succeed
    attempt = host.attempt(2)
    attempt.look()
    attempt.connect()
    assert attempt.status(deferred.external_id) == step_run.FAILED
    new = attempt.find_or_start()
    assert container_of(new) != old
    attempt.conclude(new, attempt.follow(new))
    assert [(container, cause) for container, cause, _ in host.registrar.failures] == [(old, "killed")]
    assert host.engine.containers[old]["Name"].endswith(f".failed-{old[:12]}")
    assert host.registrar.concluded == [container_of(new)]


def test_a_container_that_is_only_found_by_its_name_makes_room_too(host: Host) -> None:
    old = let_go(host).wanted.container
    host.registrar.cleared = {"try-1"}
    host.engine.work = host.succeed
    host.run(2)
    assert [container for container, _, _ in host.registrar.failures] == [old]
    assert host.engine.created == 2


def test_a_container_whose_try_nobody_has_cleared_is_gone_on_with(host: Host) -> None:
    deferred = let_go(host)
    attempt, container = host.begun(2)
    assert container_of(container) == deferred.wanted.container
    assert attempt.status(container) == step_run.RUNNING
    assert host.registrar.failures == []


# When a container is let go.


class Read:
    read_bytes = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def ages(due: Due, clock: list[float], first: float, count: int) -> list[bool]:
    """What it says every two seconds, of a container that is ``first`` seconds old at the first."""
    said = []
    for number in range(count):
        clock[0] += 2
        said.append(due(first + 2 * number))
    return said


def test_a_container_is_let_go_when_it_is_old_enough(clock: list[float]) -> None:
    assert ages(Due(6, 1e9, Read()), clock, 2, 4) == [False, False, True, True]


def test_who_comes_back_stays_for_a_while_however_old_the_container_is(clock: list[float]) -> None:
    assert ages(Due(60, 1e9, Read()), clock, 3000, 6) == [False, False, False, False, True, True]
    assert ages(Due(3, 1e9, Read()), clock, 3000, 2) == [False, True]


def test_nothing_is_ever_let_go_where_that_is_switched_off(clock: list[float]) -> None:
    assert not any(ages(Due(0, 1e9, Read()), clock, 3000, 60))


def test_a_container_whose_time_is_over_soon_is_not_let_go(clock: list[float]) -> None:
    assert ages(Due(4, 30, Read()), clock, 6, 5) == [False, True, False, False, False]


def test_who_prints_much_or_is_still_read_from_its_beginning_stays(clock: list[float]) -> None:
    output = Read()
    due = Due(2, 1e9, output)
    for _ in range(5):
        output.read_bytes += 10 << 20
        assert ages(due, clock, 3000, 1) == [False]
    assert ages(due, clock, 3010, 1) == [True]
