"""A try on one of several hosts, whose task has, or had, its container on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.engine.support import Host, refusal

from bulkhead.hosts_protocol import GivenUp
from bulkhead.registrar_protocol import Concluded
from engine import lease, step_run
from engine.caller import StepFailedError, StepLeftError
from engine.external_id import ExternalId

if TYPE_CHECKING:
    from pathlib import Path

LOST = "f" * 64
KEPT = str(ExternalId.now("ENGINE:1@one", LOST))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lease, "_SLEEP_SECONDS", 0.01)
    made = Host(tmp_path)
    made.engine.id = "ENGINE:2"
    return made


def begun(host: Host) -> step_run.StepRun:
    attempt = host.attempt(2, host="two")
    attempt.look()
    attempt.connect()
    return attempt


def test_a_container_is_kept_with_its_host(host: Host) -> None:
    kept = begun(host).find_or_start()
    assert kept.startswith("ENGINE:2@two/")
    assert ExternalId.parse(kept).host == "two"  # type: ignore[union-attr]


@pytest.mark.parametrize("kept", ["ENGINE:2@two", "ENGINE:2", "ENGINE:2@another name"])
def test_an_engine_is_known_by_its_own_id(host: Host, kept: str) -> None:
    """Whoever turns several hosts on has containers of before; and a host may get another name."""
    assert begun(host).is_here(f"{kept}/{LOST}/t")
    assert not begun(host).is_here(KEPT)


def test_a_task_goes_where_its_container_is(host: Host) -> None:
    host.registrar.given_up = [GivenUp(state="there")]
    with pytest.raises(StepLeftError, match="is on the host one, and the task goes on there"):
        begun(host).status(KEPT)
    assert host.registrar.asked_for == [("one", LOST)]
    host.registrar.elsewhere = "one"
    with pytest.raises(StepLeftError, match="is on the host one"):
        begun(host)
    assert host.engine.created == 0


def test_where_the_outcome_is_there_nobody_goes_anywhere(host: Host) -> None:
    host.registrar.elsewhere = "one"
    host.registrar.outcome = Concluded(verdict="adopted", facts={"made": 2})
    assert host.attempt(2, host="two").look()


def test_a_container_that_has_gone_leaves_the_way_free(host: Host) -> None:
    host.registrar.given_up = [GivenUp(state="gone")]
    attempt = begun(host)
    assert attempt.status(KEPT) == step_run.FAILED
    attempt.find_or_start()
    assert "is_anew" not in host.engine.requests[0]


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_lost_host_keeps_the_run_folder_where_no_other_step_needs_it(host: Host, is_alone: bool) -> None:  # noqa: FBT001
    host.registrar.given_up = [GivenUp(state="silent", seconds=0.01), GivenUp(state="lost", is_alone=is_alone)]
    attempt = begun(host)
    assert attempt.status(KEPT) == step_run.FAILED
    attempt.find_or_start()
    assert host.engine.requests[0].get("is_anew", False) == is_alone


def test_an_outcome_that_comes_while_its_host_is_silent_is_taken(host: Host) -> None:
    host.registrar.given_up = [GivenUp(state="silent", seconds=60)]

    def come() -> None:
        if host.registrar.looks == 3:
            host.registrar.outcome = Concluded(verdict="adopted", facts={"made": 2})

    host.registrar.on_look = come
    assert begun(host).status(KEPT) == step_run.SUCCEEDED
    assert host.engine.created == 0


def test_an_outcome_that_came_just_before_the_host_was_lost_is_taken(host: Host) -> None:
    attempt = begun(host)
    host.registrar.given_up = [GivenUp(state="lost")]
    host.registrar.outcome = Concluded(verdict="adopted", facts={"made": 2})
    assert attempt.status(KEPT) == step_run.SUCCEEDED


def test_a_host_that_nobody_knows_is_waited_for_as_another_engine_is(host: Host) -> None:
    host.registrar.given_up = [GivenUp(state="unknown")]
    assert begun(host).status(KEPT) == step_run.FAILED
    assert host.registrar.looks > 2


def test_a_full_host_sends_the_task_back(host: Host) -> None:
    host.engine.refuses_to_create = [refusal(429, "the host two is full")]
    with pytest.raises(StepLeftError, match="the host two is full; the task waits for room"):
        begun(host).find_or_start()
    assert host.registrar.failures == []


def test_what_never_fits_fails_for_good(host: Host) -> None:
    host.engine.refuses_to_create = [refusal(400, "it needs 64.0 GiB of memory")]
    with pytest.raises(StepFailedError, match="it needs 64") as failed:
        begun(host).find_or_start()
    assert not failed.value.failed.retry
