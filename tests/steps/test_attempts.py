"""One attempt at a time, and what a failed one leaves to be judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.project import files_in, lines_of

from bulkhead.errors import one_line
from bulkhead.registry.records import LONGEST_SOURCE
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


@pytest.mark.parametrize("source", ["nowhere.csv", "bad.csv", "x" * 3000 + "\x1b.csv"])
def test_a_failure_names_the_table_that_was_asked_for(project: Project, source: str) -> None:
    project.put("bad.csv", "a,b\n1,2,3\n")
    for image, step, log in (
        ("trainer", "preprocessing", project.registry.training_journal),
        ("inference", "generate_inf_data", project.registry.inference_journal),
    ):
        assert project.run(image, [step, "--source", source]).code == 1
        (record,) = lines_of(log)
        assert record["source"] == one_line(source, LONGEST_SOURCE)
        assert record["source"].isprintable()


def test_the_failure_of_a_later_step_names_the_table_of_its_runs_first_one(project_with_a_table: Project) -> None:
    project = project_with_a_table
    (project.models / "gate.toml").write_text("this is no gate")
    project.done("trainer", "preprocessing", "--source", "table.csv")
    assert project.trainer("train_model", "--test-fraction", "0.2").code == 1
    (record,) = lines_of(project.registry.training_journal)
    assert (record["step"], record["source"]) == ("train_model", "table.csv")


def test_the_failure_of_an_inference_names_the_table_that_it_was_to_predict(project_with_a_table: Project) -> None:
    project = project_with_a_table
    project.prepare_inference("table.csv")
    assert project.inference("model_inference").code == 1  # there is no model
    (record,) = lines_of(project.registry.inference_journal)
    assert (record["step"], record["source"]) == ("model_inference", "table.csv")


def test_a_failure_before_any_table_was_named_names_none(project: Project) -> None:
    assert project.trainer("train_model").code == 1  # nothing has been read
    (record,) = lines_of(project.registry.training_journal)
    assert record["source"] is None
