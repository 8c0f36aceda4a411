"""One attempt at a time, and what a failed one leaves to be judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.project import files_in, lines_of

from bulkhead.step.reservation import Reservation

if TYPE_CHECKING:
    from tests.support.project import Project


def test_a_second_container_of_a_step_on_the_same_run_folder_is_refused_and_writes_nothing(project: Project) -> None:
    """Whoever started it: the first goes on, and its result stands."""
    first = Reservation(project.shared, "preprocessing")
    held = files_in(project.shared)
    ended = project.trainer("preprocessing")
    assert ended.code == 1
    assert "another container runs preprocessing" in ended.err
    assert files_in(project.shared) == held
    (record,) = lines_of(project.registry.training_journal)
    assert record["cause"] == "refused"
    first.drop()
    assert project.trainer("preprocessing").code == 0


def test_a_failures_evidence_says_how_long_it_ran_how_it_ended_and_how_much_memory_it_took(project: Project) -> None:
    project.trainer("preprocessing", "--source", "nowhere.csv")
    (record,) = lines_of(project.registry.training_journal)
    assert record["evidence"]["exit_code"] == 1
    assert record["evidence"]["duration_seconds"] > 0
    assert record["evidence"]["peak_memory_bytes"] > 1_000_000
