"""Containers of which nobody else takes care."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.registrar.support import Service, try_id
from tests.support.project import lines_of

from bulkhead.hosts_protocol import MAIN
from registrar.database import Away


def records(service: Service) -> list[str]:
    return [line.get("cause", "a model") for line in lines_of(service.registry.training_journal)]


def test_a_success_that_airflow_has_accepted_goes_and_is_remembered(service: Service) -> None:
    service.tries("running")
    container = service.trained()
    service.round()
    assert (records(service), service.launcher.done) == (["a model"], [])
    service.round()
    assert container in service.launcher.containers  # Airflow has not accepted it
    service.tries("success")
    service.round()
    assert service.launcher.containers == {}
    assert service.tables.accepted_tries == {try_id(1)}


def test_a_finished_step_is_not_removed_before_its_outcome_is_accepted(service: Service) -> None:
    service.tries("failed", "running")
    service.trained(1)
    for _ in range(3):
        service.round()
    assert (records(service), service.launcher.done) == (["a model"], [])


@pytest.mark.parametrize("states", [("failed",), ("failed", "restarting"), ("removed",), ()])
def test_what_runs_on_though_a_person_has_ended_it_is_stopped_recorded_and_set_aside(
    service: Service, states: tuple[str, ...]
) -> None:
    service.tries(*states)
    container = service.container(state={"Status": "running", "Running": True, "ExitCode": 0})
    service.round()
    assert service.launcher.done == [f"POST {container[:3]} stop", f"POST {container[:3]} rename"]
    assert records(service) == ["killed"]
    service.round()
    assert records(service) == ["killed"]


@pytest.mark.parametrize("states", [(), ("failed",)])
def test_what_waits_when_a_person_ends_its_task_is_stopped_and_recorded_once(
    service: Service, states: tuple[str, ...]
) -> None:
    """No process follows it: a run that was deleted, a task that was marked."""
    service.tries("deferred")
    container = service.container(state={"Status": "running", "Running": True, "ExitCode": 0})
    service.round()
    assert service.launcher.done == []
    service.tries(*states)
    for _ in range(2):
        service.round()
    assert service.launcher.done[:2] == [f"POST {container[:3]} stop", f"POST {container[:3]} rename"]
    assert records(service) == ["killed"]


def test_what_waits_when_a_person_clears_its_task_is_stopped_and_recorded_once(service: Service) -> None:
    service.tries("failed", "running")
    before, now = service.airflow.tasks[service.task("train_model")]
    service.airflow.tasks[service.task("train_model")] = [msgspec.structs.replace(before, is_cleared=True), now]
    container = service.container(state={"Status": "running", "Running": True, "ExitCode": 0})
    for _ in range(2):
        service.round()
    assert service.launcher.done[:2] == [f"POST {container[:3]} stop", f"POST {container[:3]} rename"]
    assert records(service) == ["killed"]


@pytest.mark.parametrize("states", [("running",), (None,), ("failed", "running"), ("up_for_retry",), ("queued",)])
def test_what_nobody_has_ended_runs_on(service: Service, states: tuple[str | None, ...]) -> None:
    service.tries(*states)
    service.container(state={"Status": "running", "Running": True})
    service.round()
    assert (service.launcher.done, records(service)) == ([], [])


@pytest.mark.parametrize("states", [("running",), ("up_for_retry",), ("failed", "queued")])
def test_what_failed_is_left_to_the_next_try(service: Service, states: tuple[str, ...]) -> None:
    service.tries(*states)
    service.container(state={"ExitCode": 137})
    service.round()
    assert (service.launcher.done, records(service)) == ([], [])


def test_what_a_person_has_ended_is_recorded_though_the_registrar_died_between_stop_and_record(
    service: Service,
) -> None:
    service.tries("failed")
    container = service.container(state={"ExitCode": 143})
    service.round()
    assert records(service) == ["killed"]
    assert service.launcher.done == [f"POST {container[:3]} rename"]


LEFT = {"Status": "running", "Running": True, "ExitCode": 0, "StartedAt": "2026-11-24T10:00:00.123456789Z"}


def test_a_step_whose_task_airflow_has_failed_by_itself_runs_on_and_counts(service: Service) -> None:
    """It has lost the process, and the tries were used up; nobody has ended anything."""
    service.tries("failed", "failed", "failed", by_person=False)
    container = service.trained()
    state = service.launcher.containers[container]["State"]
    ended, running = dict(state), {**LEFT, "StartedAt": datetime.now(UTC).isoformat()}
    service.launcher.containers[container]["State"] = running
    service.round()
    assert (service.launcher.done, records(service)) == ([], [])
    service.launcher.containers[container]["State"] = ended
    service.round()
    assert records(service) == ["a model"]


def test_a_step_that_nobody_follows_any_more_is_held_to_its_time(service: Service) -> None:
    service.tries("failed", by_person=False)
    container = service.container(state=LEFT)
    service.launcher.containers[container]["Config"]["Labels"]["io.bulkhead.seconds"] = "3600.0"
    service.round()
    assert records(service) == ["timed_out"]
    assert service.launcher.done == [f"POST {container[:3]} stop", f"POST {container[:3]} rename"]


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ({"ExitCode": 1}, "crashed"),
        ({"ExitCode": 137}, "killed"),
        ({"ExitCode": 137, "OOMKilled": True}, "out_of_memory"),
    ],
)
def test_the_end_of_a_step_that_nobody_follows_any_more_is_recorded_once(
    service: Service, state: dict[str, Any], cause: str
) -> None:
    service.tries("failed", by_person=False)
    service.container(state=state)
    service.round()
    service.round()
    assert records(service) == [cause]
    assert [call.split()[-1] for call in service.launcher.done][:1] == ["rename"]


def test_a_proposal_that_is_refused_when_nobody_follows_it_any_more_is_a_recorded_failure(service: Service) -> None:
    service.tries("running")
    container = service.container()
    service.leave(container, service.model(sha256="0" * 64))
    service.round()
    assert records(service) == []  # the operator tells it, while there is one
    service.tries("failed", by_person=False)  # Airflow has noticed
    service.round()
    service.round()
    assert records(service) == ["refused"]


def test_a_bug_while_it_is_recorded_does_not_keep_a_proposal_from_being_looked_at_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.tries("running")
    service.trained()
    with monkeypatch.context() as patch:
        patch.setattr(service.registrar, "conclude", lambda _: (_ for _ in ()).throw(RuntimeError("a bug")))
        service.round()
        service.round()
    service.round()
    assert records(service) == ["a model"]


def test_a_proposal_that_could_not_be_recorded_is_looked_at_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.tries("running")
    service.trained()
    with monkeypatch.context() as patch:
        patch.setattr(service.registrar, "conclude", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
        service.round()
    assert records(service) == []
    service.round()
    assert records(service) == ["a model"]


def test_what_was_superseded_is_set_aside(service: Service) -> None:
    service.tries("failed")
    container = service.trained()
    service.round()
    assert (records(service), service.launcher.done) == ([], [f"POST {container[:3]} rename"])


def test_what_never_ran_of_a_task_that_was_ended_is_removed(service: Service) -> None:
    service.tries("failed")
    container = service.container(state={"Status": "created"})
    service.round()
    assert (records(service), service.launcher.done) == ([], [f"DELETE {container[:3]}"])


def test_a_success_that_a_person_has_declared_before_it_was_recorded_keeps_its_container(service: Service) -> None:
    service.tries("success")
    container = service.trained()
    service.round()
    assert (records(service), service.launcher.done) == ([], [f"POST {container[:3]} rename"])


def test_a_bug_with_one_container_does_not_keep_the_others_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.tries("failed")
    first, other = (service.container(state={"Status": "running", "Running": True}) for _ in range(2))
    containers = service.registrar.hosts.containers(MAIN)
    stop = containers.stop

    def broken(container: Any) -> None:
        if container.id == first:
            raise OverflowError("int too large to convert to float")
        stop(container)

    monkeypatch.setattr(containers, "stop", broken)
    service.round()
    assert service.launcher.done == [f"POST {other[:3]} stop", f"POST {other[:3]} rename"]


def test_one_hostile_container_does_not_keep_the_others_waiting(service: Service) -> None:
    service.tries("success", task_id="preprocessing")
    spoiled = service.container(1, "preprocessing")
    service.launcher.containers[spoiled]["Config"]["Labels"]["io.bulkhead.try-id"] = "x"
    good = service.container(1, "preprocessing")
    service.round()
    assert service.launcher.done == [f"DELETE {good[:3]}"]


def test_while_postgres_or_the_launcher_is_away_nothing_is_done(service: Service) -> None:
    service.tries("success")
    service.trained()
    service.tables.away = Away("Postgres: gone")
    with pytest.raises(Away):
        service.round()
    service.tables.away = None
    service.launcher.away = True
    with pytest.raises(Away):
        service.round()
    assert service.launcher.done == []
