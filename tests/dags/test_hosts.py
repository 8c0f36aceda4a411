"""The worker and the executor of several hosts, in Airflow's own image: what they serve, and what they build on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dags.described import BOX, in_image, of_project

pytestmark = pytest.mark.container

OWN = ["host:gpu1"]


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return in_image("hosts_once.py", mounts=of_project(BOX))


def test_a_worker_that_has_no_answer_serves_its_own_queue_alone(said: dict[str, Any]) -> None:
    assert said["before"] == {"queues": OWN, "free": 2}


def test_a_host_that_is_well_serves_the_queues_that_it_was_given(said: dict[str, Any]) -> None:
    assert said["well"] == {"queues": [*OWN, "default", "gpu"], "free": 2}


@pytest.mark.parametrize("how", ["problem", "draining"])
def test_one_that_is_not_takes_back_what_is_its_own(said: dict[str, Any], how: str) -> None:
    assert said[how]["queues"] == OWN


def test_a_task_and_its_container_are_one_step(said: dict[str, Any]) -> None:
    assert said["one job with its container"] == {"queues": [*OWN, "default", "gpu"], "free": 1}


def test_a_deferred_step_keeps_its_place_and_can_come_back(said: dict[str, Any]) -> None:
    assert said["full"] == {"queues": OWN, "free": 1}


def test_what_is_overridden_is_there(said: dict[str, Any]) -> None:
    """None of it is documented: a new version of the provider may have it no longer."""
    assert set(said["overridden"].values()) == {True}
    assert set(said["executor"].values()) == {True}
    assert said["asks with its queues"]
    assert said["is one"]


def test_a_worker_has_no_library_that_learns(said: dict[str, Any]) -> None:
    assert said["libraries"] == []
