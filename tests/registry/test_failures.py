"""One record for each failed attempt, whoever writes it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from tests.support.project import identity, lines_of, publish, records_of, training_failure

from bulkhead.errors import Refused
from bulkhead.registry import detached_writer, journal, records
from bulkhead.registry.records import Evidence, InferenceFailure, TrainingFailure
from bulkhead.registry.store import Registry

START = 0
"""An empty log's size: where the attempts of these tests began."""
AFTER = "2026-01-01T12:00:00.000001+00:00"
LATER = "2026-01-01T12:30:00.000000+00:00"


def test_a_failure_nobody_has_recorded_is_written_once(empty_registry: Registry) -> None:
    failure = training_failure(AFTER)
    assert empty_registry.record_failure_once("training", failure, START)
    assert not empty_registry.record_failure_once("training", failure, START)
    assert records_of(empty_registry.training_journal) == [failure]


def test_what_the_step_recorded_itself_is_not_recorded_again(empty_registry: Registry) -> None:
    own = training_failure(AFTER, cause="refused", detail="its own sentence")
    empty_registry.record_failure("training", own)
    assert not empty_registry.record_failure_once("training", training_failure(LATER), START)
    assert records_of(empty_registry.training_journal) == [own]


@pytest.mark.parametrize(
    "other",
    [
        {"try_number": 2},
        {"task_id": "preprocessing"},
        {"run_id": "manual__2"},
        {"dag_id": "dev_train_model_dag"},
        {"map_index": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_record_of_another_attempt_does_not_count(other: dict[str, object], empty_registry: Registry) -> None:
    empty_registry.record_failure("training", training_failure(AFTER, **other))
    assert empty_registry.record_failure_once("training", training_failure(LATER), START)
    assert len(lines_of(empty_registry.training_journal)) == 2


def test_the_record_of_an_earlier_attempt_of_the_same_name_does_not_count(empty_registry: Registry) -> None:
    """A run that is deleted and started again has the same run id and try number."""
    empty_registry.record_failure("training", training_failure(AFTER))
    since = empty_registry.journal_size("training")
    assert empty_registry.record_failure_once("training", training_failure(AFTER), since)
    assert len(lines_of(empty_registry.training_journal)) == 2


def test_a_model_of_the_same_attempt_is_no_failure(empty_registry: Registry) -> None:
    publish(empty_registry)
    assert empty_registry.record_failure_once("training", training_failure(), START)
    assert len(lines_of(empty_registry.training_journal)) == 2


def test_lines_of_others_after_the_attempts_own_record_do_not_hide_it(empty_registry: Registry) -> None:
    own = training_failure(AFTER)
    empty_registry.record_failure("training", own)
    with empty_registry.training_journal.open("ab") as file:
        file.write(b"foreign\n\xff\xfe\n{}\n")
        file.write(b'{"error_timestamp": "no time at all", "detail": "x"}\n')
        file.write(b'{"error_timestamp": "0001-01-01T00:00:00+23:00", "detail": "beyond the calendar"}\n')
        file.write(records.encode(training_failure(LATER, run_id="manual__2")))
        file.write(b'{"torn')
    assert not empty_registry.record_failure_once("training", training_failure(LATER), START)


def test_a_clock_set_back_does_not_hide_the_attempts_own(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the place in the log, not the time in the record."""
    from bulkhead import clock

    publish(empty_registry)
    since = empty_registry.journal_size("training")
    monkeypatch.setattr(clock, "now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    empty_registry.record_failure("training", training_failure("2020-01-01T00:00:00.000000+00:00"))
    assert not empty_registry.record_failure_once("training", training_failure(LATER), since)
    assert len(lines_of(empty_registry.training_journal)) == 2


def test_each_pipeline_has_its_own_log(empty_registry: Registry) -> None:
    made = {
        pipeline: records.failure(
            pipeline, "crashed", "it broke", environment="prd", identity=identity(), evidence=Evidence()
        )
        for pipeline in ("training", "inference")
    }
    empty_registry.record_failure("training", made["training"])
    empty_registry.record_failure("inference", made["inference"])
    assert records_of(empty_registry.training_journal) == [made["training"]]
    assert records_of(empty_registry.inference_journal) == [made["inference"]]
    assert isinstance(made["training"], TrainingFailure)
    assert isinstance(made["inference"], InferenceFailure)


@pytest.mark.parametrize(
    ("pipeline", "first_keys"),
    [("training", ["error_timestamp", "detail", "environment"]), ("inference", ["error_time", "error_message"])],
)
def test_a_failure_begins_with_the_original_keys_and_is_one_line(
    pipeline: str, first_keys: list[str], empty_registry: Registry
) -> None:
    assert pipeline in ("training", "inference")
    failure = records.failure(
        pipeline,  # type: ignore[arg-type]
        "crashed",
        "two\nlines\x1b[31m",
        environment="prd",
        identity=identity(),
        evidence=Evidence(),
    )
    path = empty_registry.training_journal if pipeline == "training" else empty_registry.inference_journal
    journal.append(path, failure)
    (line,) = lines_of(path)
    assert list(line)[: len(first_keys)] == first_keys
    assert line[first_keys[1]] == "two\\nlines\\x1b[31m"
    assert {"step", "cause", "dag_id", "run_id", "task_id", "try_number", "image", "git_commit"} <= set(line)


def test_a_registry_that_is_not_there_is_refused_with_the_mount_to_add(empty_registry: Registry) -> None:
    missing = Registry(empty_registry.folder / "missing")
    with pytest.raises(Refused, match=r"no registry at .*nothing is mounted there\. Add -v"):
        missing.check_writable("training")


def test_checking_a_registry_writes_no_record(empty_registry: Registry) -> None:
    empty_registry.check_writable("training")
    empty_registry.check_writable("inference")
    assert lines_of(empty_registry.training_journal) == lines_of(empty_registry.inference_journal) == []


def test_a_record_whose_writer_cannot_wait_for_the_lock_is_written_once_when_it_is_free(
    empty_registry: Registry,
) -> None:
    failure = training_failure(AFTER)
    journal.make(empty_registry.training_journal)
    with journal.locked(empty_registry.training_journal):
        for _ in range(2):
            detached_writer.record_failure_once(empty_registry, "training", failure, START)
        assert lines_of(empty_registry.training_journal) == []
    deadline = time.monotonic() + 20
    while not lines_of(empty_registry.training_journal) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not empty_registry.record_failure_once("training", failure, START)
    assert records_of(empty_registry.training_journal) == [failure]
