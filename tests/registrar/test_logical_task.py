"""Which tries share an outcome, and what has ended them."""

from __future__ import annotations

import pytest

from registrar.logical_task import Standing, Try, standing


def of(number: int, *states: str | None, accepted: tuple[str, ...] = (), by_person: bool = True) -> Standing:
    """Where try ``number`` of tries with these states stands; the last is Airflow's present one."""
    tries = [
        Try(f"t{n}", n, state, is_current=n == len(states), is_by_person=by_person)
        for n, state in enumerate(states, start=1)
    ]
    return standing(list(reversed(tries)), f"t{number}", accepted)


@pytest.mark.parametrize(
    ("states", "first"),
    [
        (("running",), "t1"),
        (("failed", "running"), "t1"),  # a retry, an orphan reset, a report that was refused
        (("failed", "failed", "failed", "queued"), "t1"),
        (("success", "running"), "t2"),  # cleared on purpose
        (("success", "failed", "running"), "t2"),
        (("failed", "success", "failed", None), "t3"),
        (("success", "success", "success", "scheduled"), "t4"),
        (("skipped", "running"), "t1"),
    ],
)
def test_tries_share_an_outcome_until_airflow_has_accepted_a_success(
    states: tuple[str | None, ...], first: str
) -> None:
    assert of(len(states), *states).first_try == first


def test_a_success_that_was_seen_closes_what_somebody_has_marked_failed_since() -> None:
    assert of(2, "failed", "running").first_try == "t1"
    assert of(2, "failed", "running", accepted=("t1",)).first_try == "t2"


def test_an_earlier_try_of_an_outcome_that_was_closed_since_is_known_as_such() -> None:
    found = of(1, "failed", "success", "running")
    assert (found.first_try, found.accepted, found.ended, found.is_current) == ("t1", "t2", "success", False)
    assert not found.is_ended_by_person


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        (("running",), None),
        ((None,), None),
        (("queued",), None),
        (("up_for_retry",), None),
        (("failed",), "failed"),
        (("removed",), "removed"),
        (("skipped",), "skipped"),
        (("success",), "success"),
        (("failed", "restarting"), "cleared"),  # a person has cleared the one that ran
        (("failed", "running"), None),
    ],
)
def test_what_has_ended_a_try(states: tuple[str | None, ...], ended: str | None) -> None:
    assert of(1, *states).ended == ended


def test_a_try_that_was_cleared_while_it_waited_is_ended_and_the_next_one_is_not() -> None:
    """Airflow gives it to the next try at once, of which its container knows nothing."""
    tries = [
        Try("t1", 1, "failed"),  # it started the container, and lost it to the second
        Try("t2", 2, "failed", is_cleared=True),
        Try("t3", 3, "failed"),
        Try("t4", 4, "running", is_current=True),
    ]
    found = {one.id: standing(tries, one.id) for one in tries}
    assert [found[one.id].ended for one in tries] == ["cleared", "cleared", None, None]
    assert {one.first_try for one in found.values()} == {"t1"}
    assert found["t1"].is_ended_by_person
    assert standing([*tries[:3], Try("t4", 4, "success", is_current=True)], "t1").ended == "success"


def test_what_airflow_has_failed_by_itself_is_left_and_not_ended() -> None:
    found = of(1, "failed", "failed", by_person=False)
    assert (found.ended, found.is_left, found.is_ended_by_person) == (None, True, False)
    assert not of(1, "failed", "failed").is_left
    assert not of(1, "failed", "running", by_person=False).is_left


def test_a_try_that_airflow_knows_no_more_is_of_a_run_that_was_deleted() -> None:
    assert standing([], "t1") == Standing("t1", "deleted", is_current=False, accepted=None)
    assert of(9, "running").ended == "deleted"
