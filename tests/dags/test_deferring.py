"""What Airflow is told when a step is let go, and what becomes of it when the task comes back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dags.described import BOX, in_image, of_project

pytestmark = pytest.mark.container

CONTAINER = f"ENGINE:1/{'a' * 64}/2026-11-29T00:00:00+00:00"


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """A step that was let go, waited for, and gone on with."""
    settings = {
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/tmp/logs",  # of the container
        "AIRFLOW__CORE__FERNET_KEY": "kO-UzaC2a0cFsGp2rj3aQz5dyx7j3zVbYhH5dbuIuCY=",
        "BULKHEAD_HOST_DIR": "/project",
    }
    return in_image("defer_once.py", mounts=of_project(BOX), **settings)


def test_a_step_that_is_let_go_is_deferred_with_all_that_is_needed_to_go_on(said: dict[str, Any]) -> None:
    assert said["classpath"] == "bulkhead_airflow.step_trigger.StepTrigger"
    assert (said["method"], said["kept"]) == ("resume", ["container", "position", "until"])
    assert said["same"]


def test_a_trigger_hides_what_the_task_knows_as_secret_and_is_kept_encrypted(said: dict[str, Any]) -> None:
    assert said["masks"] == "a *** b"
    assert said["hidden"]


def test_what_an_earlier_trigger_has_logged_is_kept_where_airflow_shows_it(said: dict[str, Any]) -> None:
    assert said["logs"] == ["attempt=1.log", "attempt=1.log.trigger.7.log"]


def test_a_trigger_never_fails_and_says_in_its_event_what_went_wrong(said: dict[str, Any]) -> None:
    (nonsense,) = said["nonsense"]
    assert "could not be waited for" in nonsense
    (nobody,) = said["nobody there"]
    assert "has been away" in nobody


def test_a_task_that_comes_back_goes_on_where_its_trigger_stopped_or_where_it_was_let_go(said: dict[str, Any]) -> None:
    let_go, without_event, with_event, after_failure = said["followed"]
    assert let_go == [CONTAINER, None, None]
    assert without_event == [CONTAINER, "Airflow says 'None'", True]
    assert with_event == [CONTAINER, "the container has ended", True]
    assert said["result"] == {"facts": {"made": 1}}
    assert said["elsewhere"] == {"begun": "anew"}
    # As a new try does, which finds the container by itself.
    assert after_failure == [CONTAINER, None, None]
    assert said["after a failed trigger"] == {"facts": {"made": 1}}
