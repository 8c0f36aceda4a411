"""How every step runs: checked before, proposed or recorded after, one exit code for each kind of end.

A step is a function of a :class:`Step`; it returns its outputs and facts and, where it has one, the outcome that it
proposes; or it raises. This module does the rest of the contract: the folders are checked, SIGTERM is turned into an
end that leaves nothing half-written, a failure becomes one line on stderr (and a traceback only for a bug).

Sealed, which is what ``BULKHEAD_PROTOCOL`` says, a step writes into its run folder alone: its result file proposes, a
failure too, and the registrar records. By hand it records itself, by the registrar's own function.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from bulkhead import clock, paths, protocol
from bulkhead.errors import (
    EXIT_BUSY,
    EXIT_CRASHED,
    EXIT_KILLED,
    EXIT_REFUSED,
    BulkheadError,
    Busy,
    DiskFull,
    Drifted,
    NotGoodEnough,
    Refused,
    Stopped,
    one_line,
    refusal_of,
    wants_threads,
)
from bulkhead.files import sha256, write_whole, writing_whole
from bulkhead.identity import Environment, Identity, container_id, whole_number
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registry import recording
from bulkhead.registry.proposals import FailureProposal, InferenceProposal, ModelProposal, SuccessProposal
from bulkhead.registry.recording import Author
from bulkhead.registry.records import Evidence, failure
from bulkhead.registry.store import Registry
from bulkhead.step import result, step_input, summary
from bulkhead.step.reservation import Reservation
from bulkhead.step.result import Output, StepResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from bulkhead.files import HashedWriter
    from bulkhead.paths import JournalName
    from bulkhead.registry.proposals import Proposal
    from bulkhead.registry.records import Success
    from bulkhead.step.step_input import Facts, StepInput


_IMPORTED = time.monotonic()  # the step's beginning, as near as it can be told from inside


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a step's function returns."""

    outputs: dict[str, Output] = {}
    facts: dict[str, Any] = {}
    proposal: SuccessProposal | None = None
    """What is to be recorded; None: nothing is, the outputs are all."""


class Step:
    """One attempt of one step: who it is, and where it reads and writes."""

    def __init__(self, task_id: str, journal: JournalName, environment: Environment, model_name: str) -> None:
        self.journal = journal
        self.environment = environment
        self.model_name = model_name
        self.identity = Identity.from_environment(task_id)
        self.task_id = task_id
        self.started = clock.in_record(clock.now())
        self._processor_before = time.process_time()
        self.is_sealed = bool(os.environ.get("BULKHEAD_PROTOCOL"))
        """Whether somebody else records what this step proposes."""
        self.shared = Path(paths.SHARED)
        self.inputs = Path(paths.INPUTS)
        self.registry = Registry(Path(paths.MODELS))
        self.source: str | None = None
        """The table that it reads, as it was asked for: the first step of a pipeline says so."""

    def input(self, task_id: str, facts: type[Facts]) -> StepInput[Facts]:
        """What the step ``task_id`` left in this run folder: its facts as a ``facts``, and its outputs.

        Raises:
            Refused: it left no result, it ran for another environment or model, its result is of another version,
                or its facts are not such.
        """
        return step_input.read(self.shared, task_id, facts, self.identity, self.environment, self.model_name)

    def write(self, name: str, content: bytes, rows: int) -> Output:
        """Write ``name`` into the run folder, whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        write_whole(self.shared / name, content)
        return Output(path=name, sha256=sha256(content), rows=rows)

    @contextmanager
    def writing(self, name: str) -> Iterator[HashedWriter]:
        """The file ``name`` of the run folder, hashed as it is written; whole once the block has ended, or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        with writing_whole(self.shared / name) as file:
            yield file

    def in_project(self, path: str) -> str:
        """A path of this container as records name it: relative to the project."""
        for mount, folder in (
            (self.shared, self.identity.run_path),
            (self.registry.folder, "models"),
            (self.inputs, "shared/inputs"),
        ):
            if Path(path).is_relative_to(mount):
                return str(Path(folder) / Path(path).relative_to(mount))
        return path

    def cost(self) -> dict[str, Any]:
        """What this step has taken until now: ``duration_seconds``, and ``peak_memory_bytes`` of its process."""
        return {
            "duration_seconds": round(time.monotonic() - _IMPORTED, 3),
            "peak_memory_bytes": _peak_memory(),
        }

    def result(self, outputs: dict[str, Output], facts: dict[str, Any], proposal: Proposal | None) -> StepResult:
        """The step's result as of now."""
        return StepResult(
            protocol=protocol.PROTOCOL,
            identity=self.identity,
            environment=self.environment,
            model_name=self.model_name,
            container=container_id(),
            started=self.started,
            finished=clock.in_record(clock.now()),
            processor_seconds=round(time.process_time() - self._processor_before, 3),
            peak_memory_bytes=_peak_memory(),
            outputs=outputs,
            facts=facts,
            proposal=proposal,
        )


def run(
    task_id: str,
    journal: JournalName,
    environment: Environment,
    work: Callable[[Step], Outcome],
    *,
    model_name: str = DEFAULT_NAME,
) -> int:
    """Run ``work`` as the step ``task_id`` of the model ``model_name``.

    Returns:
        The exit code: 0, EXIT_REFUSED, EXIT_BUSY, EXIT_KILLED or EXIT_CRASHED.
    """
    os.umask(0o002)  # files are shared through group 0, which every container has
    try:
        step = Step(task_id, journal, environment, model_name)
    except Refused as error:
        _say(task_id, "refused", str(error))
        return EXIT_REFUSED
    reservation: Reservation | None = None
    try:
        signal.signal(signal.SIGTERM, _stop)
        _check_protocol(step.identity)
        if not step.is_sealed:
            step.registry.check_writable(journal)
        reservation = _reserve(step)
        outcome = work(step)
        # From here on SIGTERM waits: what follows is both written and proven. Docker's SIGKILL ends a step that hangs.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        said = _finish(step, outcome, reservation)
    except (Exception, Stopped, SystemExit) as error:  # noqa: BLE001  # every end of a step is told, a bug's too
        return _failed(step, error, reservation)
    _tell(task_id, said)
    return 0


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _finish(step: Step, outcome: Outcome, reservation: Reservation) -> str:
    """Propose the outcome, or record it; returns what was made."""
    proposal = outcome.proposal
    if proposal is None or step.is_sealed:
        reservation.fill(step.result(outcome.outputs, outcome.facts, proposal))
        return summary.of_outputs(outcome.outputs) if proposal is None else summary.of_proposal(proposal)
    record = _record(step, proposal)
    reservation.fill(step.result(outcome.outputs, {**outcome.facts, **result.facts_of(record)}, None))
    return summary.of_record(record)


def _record(step: Step, proposal: SuccessProposal) -> Success:
    """Record by hand what would else be proposed; what is not recorded is not left either."""
    author = Author(identity=step.identity, environment=step.environment, model_name=step.model_name)
    try:
        record = recording.record(step.registry, proposal, author, step.shared).record
    except BaseException:
        if isinstance(proposal, ModelProposal | InferenceProposal):
            (step.shared / proposal.path).unlink(missing_ok=True)
        raise
    if isinstance(proposal, ModelProposal):  # the registry has it
        (step.shared / proposal.path).unlink(missing_ok=True)
    return record


def _check_protocol(identity: Identity) -> None:
    """Refuse a launcher that could not read this step's result, before the work is done and not after it."""
    asked = whole_number("BULKHEAD_PROTOCOL", protocol.PROTOCOL)
    if asked == protocol.PROTOCOL:
        return
    next_step = result.rebuild(identity.image) if asked > protocol.PROTOCOL else result.REBUILD_AIRFLOW
    raise Refused(
        f"Airflow reads results of version {asked}, and this image writes version {protocol.PROTOCOL}."
        f" Run {next_step}, then clear the task."
    )


def _reserve(step: Step) -> Reservation:
    if not step.shared.is_dir():
        raise Refused(
            f"no run folder at {step.shared}: nothing is mounted there."
            f' Add -v "$PWD/{step.identity.run_path}:{step.shared}" to docker run.'
        )
    return Reservation(step.shared, step.task_id)


def _failed(step: Step, error: Exception | Stopped | SystemExit, reservation: Reservation | None) -> int:
    # A second SIGTERM must not cut off what is said of the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if isinstance(error, OSError):
        error = refusal_of(error, step.in_project(str(error.filename))) or error
    match error:
        case Stopped():
            cause, code, detail = "killed", EXIT_KILLED, str(error)
        case Busy() if step.is_sealed and step.identity.dag_id:
            cause, code, detail = "busy", EXIT_BUSY, str(error)
        case DiskFull():
            cause, code, detail = "disk_full", EXIT_REFUSED, str(error)
        case BulkheadError():
            cause, code, detail = "refused", EXIT_REFUSED, str(error)
        case MemoryError():
            cause, code, detail = "out_of_memory", EXIT_CRASHED, f"memory ran out: {error}"
        case _:
            traceback.print_exception(error)
            cause, code, detail = "crashed", EXIT_CRASHED, f"{type(error).__name__}: {error}"
            if wants_threads(detail):
                detail += " No thread or process more could be started: raise BULKHEAD_STEP_PIDS in .env."
    _say(step.task_id, cause, detail)
    metrics = error.metrics if isinstance(error, NotGoodEnough | Drifted) else None
    if step.is_sealed:
        _propose_failure(step, _failure_of(step, cause, detail, metrics), reservation)
    else:
        if reservation is not None:
            reservation.drop()
        _record_failure(step, cause, detail, Evidence(exit_code=code, **step.cost()), metrics)
    return code


def _failure_of(step: Step, cause: str, detail: str, metrics: dict[str, Any] | None) -> FailureProposal:
    return FailureProposal(cause=cause, detail=one_line(detail), metrics=metrics, source=_source(step))


def _source(step: Step) -> str | None:
    return step.source or result.source_of_run(step.shared, step.journal)


def _propose_failure(step: Step, proposal: FailureProposal, reservation: Reservation | None) -> None:
    """Leave the reason in the result file, in the room that was reserved; without it the line on stderr has to do."""
    if reservation is None:
        return
    try:
        reservation.fill(step.result({}, {}, proposal))
    except (OSError, Refused):
        reservation.drop()


def _record_failure(step: Step, cause: str, detail: str, evidence: Evidence, metrics: dict[str, Any] | None) -> None:
    record = failure(
        step.journal,
        cause,
        detail,
        environment=step.environment,
        model_name=step.model_name,
        identity=step.identity,
        evidence=evidence,
        metrics=metrics,
        source=_source(step),
    )
    try:
        step.registry.record_failure(step.journal, record)
    except (OSError, Refused) as unrecorded:
        where = step.in_project(str(step.registry.journal_of(step.journal)))
        why = unrecorded.strerror if isinstance(unrecorded, OSError) else unrecorded
        _say(step.task_id, "not recorded", f"{where}: {why}. The failure above is in no journal.")


def _say(task_id: str, cause: str, detail: str) -> None:
    sys.stderr.write(f"{task_id}: {cause}: {one_line(detail)}\n")


def _tell(task_id: str, made: str) -> None:
    try:
        sys.stdout.write(f"{task_id}: {one_line(made)}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has gone; the step is done all the same
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # Python flushes stdout once more at its end


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped("SIGTERM: stopped before the end, nothing stored. Run the step again.")
