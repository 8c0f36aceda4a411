"""The executor, in Airflow's own image: few workers, and no wait after a task's end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dags.described import BOX, in_image, of_project

pytestmark = pytest.mark.container

SOON = 10
"""Seconds that a fork, a pipe and a round may take on a busy machine; a wait that nothing ends takes 30 here."""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return in_image("execute_once.py", mounts=of_project(BOX))


def test_a_scheduler_that_has_nothing_to_do_has_no_worker_and_rests(said: dict[str, Any]) -> None:
    assert said["idle"] == 0
    assert 0.05 < said["nothing_to_do"] < said["most"] + SOON


def test_as_many_workers_start_as_tasks_run_at_once(said: dict[str, Any]) -> None:
    assert said["one_worker"] <= 2  # the next task may be sent before the last one's worker is back
    assert said["many_workers"] == 3


def test_the_end_of_a_task_is_heard_at_once(said: dict[str, Any]) -> None:
    assert max(said["one"]) < SOON
    assert said["many"] < SOON


def test_a_killed_worker_is_replaced(said: dict[str, Any]) -> None:
    assert said["after_a_kill"] < SOON


def test_what_tasks_import_is_there_before_the_first_and_nothing_that_a_user_edits(said: dict[str, Any]) -> None:
    assert said["imported"] == []
    assert said["project"] == []
