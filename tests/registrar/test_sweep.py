"""Containers of which nobody else takes care."""

from __future__ import annotations

import pytest
from tests.registrar.support import Service, try_id
from tests.support.project import lines_of

from registrar.database import Away


def records(service: Service) -> list[str]:
    return [line.get("cause", "a model") for line in lines_of(service.registry.training_journal)]


def test_a_success_that_airflow_has_accepted_goes_and_is_remembered(service: Service) -> None:
    service.tries("running")
    container = service.trained()
    service.sweep.round()
    assert (records(service), service.launcher.done) == (["a model"], [])
    service.sweep.round()
    assert container in service.launcher.containers  # Airflow has not accepted it
    service.tries("success")
    service.sweep.round()
    assert service.launcher.containers == {}
    assert service.tables.accepted_tries == {try_id(1)}


def test_a_finished_step_is_not_removed_before_its_outcome_is_accepted(service: Service) -> None:
    service.tries("failed", "running")
    service.trained(1)
    for _ in range(3):
        service.sweep.round()
    assert (records(service), service.launcher.done) == (["a model"], [])


@pytest.mark.parametrize("states", [("failed",), ("failed", "restarting"), ("removed",), ()])
def test_what_runs_on_though_a_person_has_ended_it_is_stopped_recorded_and_set_aside(
    service: Service, states: tuple[str, ...]
) -> None:
    service.tries(*states)
    container = service.container(state={"Status": "running", "Running": True, "ExitCode": 0})
    service.sweep.round()
    assert service.launcher.done == [f"POST {container[:3]} stop", f"POST {container[:3]} rename"]
    assert records(service) == ["killed"]
    service.sweep.round()
    assert records(service) == ["killed"]


@pytest.mark.parametrize("states", [("running",), (None,), ("failed", "running"), ("up_for_retry",), ("queued",)])
def test_what_nobody_has_ended_runs_on(service: Service, states: tuple[str | None, ...]) -> None:
    service.tries(*states)
    service.container(state={"Status": "running", "Running": True})
    service.sweep.round()
    assert (service.launcher.done, records(service)) == ([], [])


def test_what_failed_is_left_to_the_next_try_and_as_evidence(service: Service) -> None:
    service.tries("failed")
    service.container(state={"ExitCode": 137})
    service.sweep.round()
    assert (service.launcher.done, records(service)) == ([], [])


def test_one_hostile_container_does_not_keep_the_others_waiting(service: Service) -> None:
    service.tries("success")
    spoiled = service.container(1)
    service.launcher.containers[spoiled]["Config"]["Labels"]["io.bulkhead.try-id"] = "x"
    good = service.container(1)
    service.sweep.round()
    assert service.launcher.done == [f"DELETE {good[:3]}"]


def test_while_postgres_or_the_launcher_is_away_nothing_is_done(service: Service) -> None:
    service.tries("success")
    service.trained()
    service.tables.away = Away("Postgres: gone")
    with pytest.raises(Away):
        service.sweep.round()
    service.tables.away = None
    service.launcher.away = True
    with pytest.raises(Away):
        service.sweep.round()
    assert service.launcher.done == []
