"""A sealed step proposes: it writes its run folder alone; the registrar's function makes a record of what it left."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.steps.support import WORK, done_before, each_step, raising
from tests.support.project import files_in, lines_of

from bulkhead import protocol
from bulkhead.errors import EXIT_BUSY, EXIT_CRASHED, EXIT_KILLED, EXIT_REFUSED
from bulkhead.identity import Identity
from bulkhead.registry import recording
from bulkhead.registry.proposals import EXPECTED, FailureProposal
from bulkhead.registry.recording import Author
from bulkhead.registry.records import InferenceRecord, ModelRecord
from bulkhead.step import result
from bulkhead.step.reservation import Reservation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.project import Project

    from bulkhead.step.result import StepResult

IN_AIRFLOW = Identity(
    dag_id="d", run_id="r", task_id="train_model", try_number=3, map_index=-1, image="i", git_commit="c"
)


@pytest.fixture
def sealed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose registry a step cannot write; what a step needs is there."""
    project.train()
    project.prepare_inference()
    monkeypatch.setenv("BULKHEAD_PROTOCOL", str(protocol.PROTOCOL))
    before = registry_of(project)
    yield project
    assert registry_of(project) == before, "a sealed step wrote the registry"


def registry_of(project: Project) -> dict[str, bytes]:
    return {name: (project.models / name).read_bytes() for name in files_in(project.models)}


def result_of(project: Project, task: str) -> StepResult:
    found = result.read(project.shared, task)
    assert found is not None
    return found


@each_step
def test_each_step_proposes_the_one_kind_of_outcome_that_it_may(image: str, task: str, sealed: Project) -> None:
    ended = sealed.run(image, [task])
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{task}: ")
    proposal = result_of(sealed, task).proposal
    assert type(proposal) is EXPECTED.get(task, type(None))


@each_step
def test_each_step_says_what_its_work_took(image: str, task: str, sealed: Project) -> None:
    sealed.run(image, [task])
    found = result_of(sealed, task)
    assert found.processor_seconds is not None
    assert 0 < found.processor_seconds < 60
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 16 << 20


def test_a_proposed_model_is_published_for_whom_the_registrar_says_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.done("trainer", "preprocessing")
    monkeypatch.setenv("BULKHEAD_PROTOCOL", str(protocol.PROTOCOL))
    monkeypatch.setenv("BULKHEAD_DAG_ID", "a lie")
    project.done("trainer", "train_model")
    proposal = result_of(project, "train_model").proposal
    assert type(proposal) is EXPECTED["train_model"]
    author = Author(identity=IN_AIRFLOW, environment="prd", first_try="t1")
    made = recording.record(project.registry, proposal, author, project.shared)
    assert made.is_new
    record = made.record
    assert isinstance(record, ModelRecord)
    assert (record.environment, record.dag_id, record.try_number, record.image) == ("prd", "d", 3, "i")
    assert record.first_try == "t1"
    assert project.registry.load(record) is not None
    again = recording.record(project.registry, proposal, author, project.shared, lambda: record)
    assert (again.record, again.is_new) == (record, False)
    assert len(project.model_files()) == 1


def test_a_proposed_inference_is_recorded_with_the_runs_own_path(sealed: Project) -> None:
    sealed.done("inference", "model_inference")
    proposal = result_of(sealed, "model_inference").proposal
    assert proposal is not None
    assert not isinstance(proposal, FailureProposal)
    copy = type(sealed.registry)(sealed.folder / "copy")
    copy.folder.mkdir()
    for name, content in registry_of(sealed).items():
        (copy.folder / name).write_bytes(content)
    author = Author(identity=msgspec.structs.replace(IN_AIRFLOW, task_id="model_inference"), environment="dev")
    record = recording.record(copy, proposal, author, sealed.shared).record
    assert isinstance(record, InferenceRecord)
    assert record.predictions_path == f"shared/runs/d/r/{proposal.path}"  # type: ignore[union-attr]
    assert len(lines_of(copy.inference_journal)) == 1


@each_step
def test_a_refusal_is_proposed_with_its_sentence_and_leaves_no_proof(
    image: str, task: str, sealed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bulkhead.errors import Refused

    monkeypatch.setattr(WORK[task], raising(Refused("it will not do. Give another.")))
    ended = sealed.run(image, [task])
    assert ended.code == EXIT_REFUSED
    assert ended.said == [f"{task}: refused: it will not do. Give another."]
    found = result_of(sealed, task)
    assert found.is_failure
    source = None if task in {"preprocessing", "generate_inf_data"} else "sample"  # those say it themselves
    assert found.proposal == FailureProposal(cause="refused", detail="it will not do. Give another.", source=source)


@pytest.mark.parametrize(
    ("error", "cause", "code"),
    [
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG), "big"), "disk_full", EXIT_REFUSED),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "big"), "disk_full", EXIT_REFUSED),
        (MemoryError("no more"), "out_of_memory", EXIT_CRASHED),
        (ValueError("a bug"), "crashed", EXIT_CRASHED),
    ],
    ids=["a file too large", "a full disk", "no memory", "a bug"],
)
def test_every_end_is_proposed_with_its_cause(
    sealed: Project, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str, code: int
) -> None:
    monkeypatch.setattr(WORK["preprocessing"], raising(error))
    assert sealed.trainer("preprocessing").code == code
    proposal = result_of(sealed, "preprocessing").proposal
    assert isinstance(proposal, FailureProposal)
    assert proposal.cause == cause


def test_the_next_step_takes_a_failure_for_no_result(sealed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(WORK["preprocessing"], raising(ValueError("a bug")))
        sealed.trainer("preprocessing")
    sealed.assert_refused_sealed(sealed.trainer("train_model"), "train_model", "preprocessing.json is missing or not a")


def test_sigterm_leaves_a_proposed_failure_and_after_the_work_it_is_too_late(
    sealed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(WORK["preprocessing"], stopped)
        assert sealed.trainer("preprocessing").code == EXIT_KILLED
    found = result_of(sealed, "preprocessing").proposal
    assert isinstance(found, FailureProposal)
    assert found.cause == "killed"
    real = Reservation.fill

    def killed_while_it_fills(this: Reservation, outcome: StepResult) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        real(this, outcome)

    monkeypatch.setattr(Reservation, "fill", killed_while_it_fills)
    assert sealed.trainer("preprocessing").code == 0
    assert not result_of(sealed, "preprocessing").is_failure


def test_a_second_container_of_a_task_of_airflow_is_to_come_again(
    sealed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Reservation(sealed.shared, "preprocessing")
    assert sealed.trainer("preprocessing").code == EXIT_REFUSED
    monkeypatch.setenv("BULKHEAD_DAG_ID", "d")
    ended = sealed.trainer("preprocessing")
    assert ended.code == EXIT_BUSY
    assert ended.said[0].startswith("preprocessing: busy: another container runs preprocessing")
    held.drop()
    assert sealed.trainer("preprocessing").code == 0


@pytest.mark.parametrize(
    ("image", "before", "task"),
    [
        ("trainer", "preprocessing", "train_model"),
        ("inference", "generate_inf_data", "preprocess_inf_data"),
        ("inference", "preprocess_inf_data", "model_inference"),
    ],
)
@pytest.mark.parametrize("put", ["a FIFO", "a link", "a folder", "nothing"])
def test_what_a_step_before_left_in_place_of_its_table_is_refused_at_once(
    image: str, before: str, task: str, put: str, sealed: Project
) -> None:
    table = sealed.shared / f"{before}.parquet"
    content = table.read_bytes()
    table.unlink()
    match put:
        case "a FIFO":
            os.mkfifo(table)
        case "a link":
            (sealed.folder / "elsewhere").write_bytes(content)
            table.symlink_to(sealed.folder / "elsewhere")
        case "a folder":
            table.mkdir()
    fragment = f"{before}.parquet is missing" if put == "nothing" else f"{before}.parquet: is"
    sealed.assert_refused_sealed(sealed.run(image, [task]), task, fragment)


def test_a_folder_in_the_place_of_the_result_is_refused(sealed: Project) -> None:
    done_before(sealed, "preprocessing")
    (sealed.shared / "preprocessing.json").unlink()
    (sealed.shared / "preprocessing.json").mkdir()
    ended = sealed.trainer("preprocessing")
    sealed.assert_refused_sealed(ended, "preprocessing", "preprocessing.json is a folder")
