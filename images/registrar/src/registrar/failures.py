"""Failed attempts: each try has one record, however often it is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments, model_name
from bulkhead.errors import Refused, one_line
from bulkhead.identity import Identity
from bulkhead.paths import JournalName
from bulkhead.registrar_protocol import Answered
from bulkhead.registry import believable, records
from bulkhead.registry.profiles import Drift
from bulkhead.registry.proposals import FailureProposal, InferenceProposal
from bulkhead.registry.records import InferenceRecord
from bulkhead.step import result as result_file

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registrar_protocol import FailedReport, FailRequest
    from bulkhead.registry.records import Evidence, Failure
    from registrar.books import Books
    from registrar.containers import Container

logger = logging.getLogger(__name__)

_MOST_LINES = 50
_LONGEST_LINE = 2000
_LONGEST_NAME = 250


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """Whose failure it is."""

    identity: Identity
    try_id: str
    environment: str
    model_name: str
    journal: JournalName

    @classmethod
    def of_container(cls, container: Container) -> Attempted:
        """As the labels say, which the launcher wrote."""
        return cls(
            identity=container.identity,
            try_id=container.try_id,
            environment=container.environment,
            model_name=container.model_name,
            journal=container.journal,
        )

    def on(self, host: str | None) -> Attempted:
        """This one, on ``host``; None: there is but one."""
        where = msgspec.UNSET if host is None else host
        return msgspec.structs.replace(self, identity=msgspec.structs.replace(self.identity, host=where))

    def of_try(self, number: int) -> Attempted:
        """This one, by the number that Airflow has for its try."""
        return msgspec.structs.replace(self, identity=msgspec.structs.replace(self.identity, try_number=number))

    @classmethod
    def of_request(cls, request: FailRequest, try_id: str) -> Attempted:
        """As whoever asks says: there is no container that could say it.

        Raises:
            Refused: there is no such environment, or that is no name of a model.
        """
        environments.get(request.environment)
        named = {name: _short(getattr(request.identity, name)) for name in request.identity.__struct_fields__}
        return cls(
            identity=msgspec.structs.replace(request.identity, **named),
            try_id=try_id,
            environment=request.environment,
            model_name=model_name.checked(request.model_name),
            journal=request.journal,
        )


def fail(
    books: Books, folder: Path, whose: Attempted, report: FailedReport, container: Container | None = None
) -> tuple[Answered, Failure]:
    """Record the failure of one try, unless it is recorded; returns what was done, and the failure.

    Raises:
        Away: nothing may be recorded now.
        OSError: the journal cannot be written; it is as it was.
    """
    made = records.failure(
        whose.journal,
        one_line(report.cause, _LONGEST_NAME),
        report.detail,
        environment=whose.environment,
        model_name=whose.model_name,
        identity=whose.identity,
        evidence=_bounded(report.evidence),
        try_id=whose.try_id,
        metrics=_metrics(folder, container) if container is not None else None,
        source=_source(folder, whose, container),
    )
    sentence = f"{whose.identity.task_id} try {whose.identity.try_number}: {made.cause}"
    with books.recording():
        if books.has_failure(whose.try_id):
            return Answered(f"recorded before: {sentence}", is_new=False), made
        books.registry.record_failure(whose.journal, made)
    logger.info("%s %s: recorded failure: %s", whose.identity.dag_id, whose.identity.run_id, sentence)
    return Answered(f"recorded: {sentence}"), made


def _metrics(folder: Path, container: Container) -> dict[str, Any] | None:
    """Those that the step says it measured, of a size that a record can have."""
    try:
        found = result_file.read(folder / container.identity.run_path, str(container.identity.task_id))
        if found is None or not found.is_readable or not found.is_by(container.id):
            return None
        match found.proposal:
            case FailureProposal(metrics=dict() as metrics):
                return believable.metrics(metrics)
            case InferenceProposal(record=InferenceRecord(drift=Drift() as drift)):  # which was not recorded
                return believable.metrics({"drift": msgspec.to_builtins(drift)})
            case _:
                return None
    except Refused:
        return None


def _source(folder: Path, whose: Attempted, container: Container | None) -> str | None:
    """The table that the attempt was made on: as the container was told, else as the run's first step says."""
    told = container.flags.get("source") if container is not None else None
    return told or result_file.source_of_run(folder / whose.identity.run_path, whose.journal)


def _bounded(evidence: Evidence) -> Evidence:
    lines = evidence.last_lines
    if lines is None:
        return evidence
    kept = [one_line(line, _LONGEST_LINE) for line in lines[-_MOST_LINES:]]
    return msgspec.structs.replace(evidence, last_lines=kept)


def _short(value: object) -> object:
    return one_line(value, _LONGEST_NAME) if isinstance(value, str) else value
