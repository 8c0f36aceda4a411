"""Hosts die, are cut off, stand still, and come back: each run is green, with one outcome."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults.acts import wait_until_followed
from tests.faults.support import TRAIN, verify, wait_until
from tests.hosts.support import LEASE, Cluster

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from tests.hosts.machine import Machine

SETTINGS = {"BULKHEAD_DEFER_AFTER": "0"}
WITHIN = LEASE + 60


def begun(cluster: Cluster, machine: Machine) -> str:
    """A run whose train_model waits on this host."""
    with cluster.only(machine):
        run_id = cluster.airflow.trigger(TRAIN)
        machine.wait_for_step(run_id)
    return run_id


def ends_green(cluster: Cluster, run_id: str, *, on: str, failures: list[str], since: float) -> None:
    """The run ends well, with one model that was made there, and these failures; soon enough."""
    *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 300)
    took = time.monotonic() - since
    assert state == "success", cluster.trainings(run_id)
    (model,) = cluster.published(run_id)
    assert model["host"] == on
    assert [one["cause"] for one in cluster.failures(run_id)] == failures
    assert took < WITHIN, f"{took:.0f} s"
    verify(cluster)


def is_set_aside(machine: Machine, container: str) -> bool:
    return all(one["Id"] != container or ".failed-" in one["Name"] for one in machine.step_containers())


def test_a_worker_that_is_killed_comes_back_and_its_step_goes_on(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    since = time.monotonic()
    one.kill_worker()
    wait_until_followed(cluster, run_id, 2)
    assert cluster.running_on(run_id) == ["one"]
    cluster.go(run_id)
    ends_green(cluster, run_id, on="one", failures=[], since=since)


def test_a_host_without_power_has_its_step_run_elsewhere_after_the_lease(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    since = time.monotonic()
    one.power_off()
    try:
        cluster.machines["two"].wait_for_step(run_id, seconds=WITHIN)
        assert time.monotonic() - since > LEASE - 10
        assert cluster.hosts()["one"]["state"] == "lost"
        cluster.go(run_id)
        ends_green(cluster, run_id, on="two", failures=["host_lost"], since=since)
        assert cluster.failures(run_id)[0]["host"] == "one"
    finally:
        one.start(live_restore=False)
    cluster.wait_for_state("one", "ready", 120)


def test_an_engine_that_is_killed_and_stays_away_loses_its_step(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    since = time.monotonic()
    one.kill()
    try:
        cluster.machines["two"].wait_for_step(run_id, seconds=WITHIN)
        cluster.go(run_id)
        ends_green(cluster, run_id, on="two", failures=["host_lost"], since=since)
    finally:
        one.start(live_restore=False)
    one.join_again()
    cluster.wait_for_state("one", "ready", 120)


def test_a_host_that_is_cut_off_for_longer_than_its_lease_is_too_late(cluster: Cluster) -> None:
    """Its step runs on all the while, and ends well, there; nothing of it counts."""
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    lost = one.wait_for_step(run_id)["Id"]
    since = time.monotonic()
    with one.cut_off():
        cluster.machines["two"].wait_for_step(run_id, seconds=WITHIN)
        aside = cluster.folder / f"{run_path(TRAIN, run_id)}.lost-1"
        (aside / "go").touch()
        wait_until((aside / "train_model.json").exists, 30, "the step on the lost host has not ended")
        assert not (cluster.folder / run_path(TRAIN, run_id) / "train_model.json").exists()
        cluster.go(run_id)
        ends_green(cluster, run_id, on="two", failures=["host_lost"], since=since)
    cluster.wait_for_state("one", "ready", 60)
    wait_until(
        lambda: all(c["Id"] != lost or ".failed-" in c["Name"] for c in one.step_containers()),
        60,
        "it is not set aside",
    )
    assert len(cluster.published(run_id)) == 1


def test_a_host_that_is_cut_off_for_a_while_goes_on(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    since = time.monotonic()
    with one.cut_off():
        time.sleep(LEASE / 2)
        cluster.go(run_id)
    ends_green(cluster, run_id, on="one", failures=[], since=since)


def test_a_host_that_stood_still_for_longer_than_its_lease_is_too_late(cluster: Cluster) -> None:
    """Frozen in the middle of a step, and woken up when the step runs elsewhere: the step first, then all else."""
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    lost = one.wait_for_step(run_id)["Id"]
    since = time.monotonic()
    one.freeze()
    try:
        cluster.machines["two"].wait_for_step(run_id, seconds=WITHIN)
        (cluster.folder / f"{run_path(TRAIN, run_id)}.lost-1" / "go").touch()
    finally:
        one.thaw()
    wait_until(
        lambda: all(c["Id"] != lost or not c["State"]["Running"] for c in one.step_containers()), 60, "it runs on"
    )
    assert cluster.running_on(run_id) == ["two"]
    cluster.go(run_id)
    ends_green(cluster, run_id, on="two", failures=["host_lost"], since=since)
    cluster.wait_for_state("one", "ready", 60)


def test_a_host_that_a_person_releases_is_not_waited_for(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    run_id = begun(cluster, one)
    refused = cluster.try_to_manage("release", "one")
    assert refused.returncode == 1
    assert "it is not down" in refused.stderr
    one.freeze()
    try:
        cluster.machines["two"].wait_for_step(run_id, seconds=WITHIN)
    finally:
        one.thaw()
    cluster.go(run_id)
    ends_green(cluster, run_id, on="two", failures=["host_lost"], since=time.monotonic())
    cluster.wait_for_state("one", "ready", 60)
