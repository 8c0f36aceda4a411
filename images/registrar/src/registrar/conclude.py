"""From a container that ended well to the outcome of its logical task."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments
from bulkhead.errors import NotGoodEnough, Refused, one_line, short
from bulkhead.model_name import named
from bulkhead.registrar_protocol import LONGEST_RESULT, Concluded, FailedOutcome
from bulkhead.registry import recording, records
from bulkhead.registry.lock import LockHeld
from bulkhead.registry.proposals import (
    EXPECTED,
    FailureProposal,
    ModelProposal,
    PromotionProposal,
    RevocationProposal,
)
from bulkhead.registry.recording import Author
from bulkhead.step import result as result_file
from registrar import approvals, sentences
from registrar.database import Away

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.proposals import SuccessProposal
    from bulkhead.registry.recording import Recorded
    from bulkhead.registry.records import Success
    from bulkhead.step.result import StepResult
    from registrar.airflow_records import AirflowRecords
    from registrar.approvals import Rules
    from registrar.books import Books
    from registrar.containers import Container
    from registrar.logical_task import Standing

logger = logging.getLogger(__name__)

_DECODING = threading.Semaphore(1)
"""A mebibyte of brackets takes fifty of memory while it is read; eight at once would be more than the service has."""


class Conclusions:
    """What concludes containers.

    Args:
        books: the registry.
        airflow: who decided.
        rules: what is asked of an approval.
        folder: in it is ``shared``.
    """

    def __init__(self, books: Books, airflow: AirflowRecords, rules: Rules, folder: Path) -> None:
        self._books = books
        self._airflow = airflow
        self.rules = rules
        self._folder = folder

    def conclude(self, container: Container, standing: Standing) -> Concluded:
        """Record what ``container`` proposes, unless its logical task has an outcome or was ended.

        Args:
            container: ended, with exit code 0.
            standing: of its try.

        Raises:
            Away: Postgres does not answer, or nothing may be recorded now, or somebody holds the registry's lock.
            OSError: the registry cannot be written; nothing was recorded.
        """
        outcome = self._books.outcome(standing.first_try)
        if outcome is not None:
            return self._with_outcome(outcome, container, standing)
        if standing.ended is not None:
            return superseded(container, f"Airflow has ended its task meanwhile ({standing.ended})")
        run_folder = self._folder / container.identity.run_path
        try:
            found = _result(run_folder, container)
            proposal = _proposal(found, container)
            if proposal is None:
                return Concluded(verdict="none", facts=found.facts, result=_handed_on(found), sentence=_done(container))
            made = self._record(proposal, container, standing, run_folder)
        except (Away, OSError):
            raise
        except LockHeld as error:
            raise Away(str(error)) from error
        except Exception as error:  # noqa: BLE001  # whatever a step has left, it must not be asked for without end
            return _refusal(container, error)
        if not made.is_new:
            return self._with_outcome(made.record, container, standing)
        facts = result_file.facts_of(made.record)
        logger.info("%s: recorded: %s", _who(container), summary(made.record, container.environment))
        sentence = sentences.of_success(made.record, self._books.registry)
        if made.warning is not None:
            sentence += f". Warning: {one_line(made.warning)}"
        handed_on = _handed_on(msgspec.structs.replace(found, facts={**found.facts, **facts}))
        return Concluded(verdict="recorded", facts=facts, result=handed_on, sentence=sentence)

    def adopted(self, outcome: Success, container: Container | None = None) -> Concluded:
        """The task has its outcome already, whichever try made it.

        Args:
            outcome: the record.
            container: whose success it is taken for; None: there is none any more.
        """
        found = result_file.from_record(outcome, _environment_of(outcome), container.id if container else "")
        sentence = sentences.of_success(outcome, self._books.registry)
        # The registrar itself may have recorded what this very container made, before its task asked for that.
        if container is None or not records.author(outcome).same_attempt(container.identity):
            sentence = f"adopted: {sentence}, by try {records.author(outcome).try_number}"
        return Concluded(verdict="adopted", facts=found.facts, result=_handed_on(found), sentence=sentence)

    def _with_outcome(self, outcome: Success, container: Container, standing: Standing) -> Concluded:
        """The task has its outcome already: this container's own, or another's."""
        if not records.author(outcome).same_attempt(container.identity) and not standing.is_current:
            return superseded(container, f"the task has its outcome by another try: {_named(outcome)}")
        return self.adopted(outcome, container)

    def _record(
        self, proposal: SuccessProposal, container: Container, standing: Standing, run_folder: Path
    ) -> Recorded:
        registry, promoted = self._books.registry, None
        if isinstance(proposal, PromotionProposal):
            # Whatever the step was told to replace: what is served now is what the approver must have read. Of which
            # model, the registry says: the task that promotes is for all of them.
            origin = environments.origin_of(container.environment)
            model = registry.find(proposal.model_filename, origin)
            served = registry.served(container.environment, model.name)
            promoted = model, served
            proposal = msgspec.structs.replace(proposal, replacing=served.model_filename if served else "none")
        deciders = approvals.deciders(self._airflow, container, proposal, self.rules, promoted)
        author = Author(
            identity=container.identity,
            environment=container.environment,
            model_name=container.model_name,
            first_try=standing.first_try,
            by=deciders.by,
            requested_by=deciders.requested_by,
            approval=deciders.approval,
        )

        def existing() -> Success | None:
            outcome = self._books.outcome(standing.first_try)
            if outcome is None and deciders.approval is not None:
                approvals.refuse_used(self._books.promotion_by(deciders.approval))
            return outcome

        return recording.record(registry, proposal, author, run_folder, existing, self._books.recording)


def _refusal(container: Container, error: Exception) -> Concluded:
    match error:
        case NotGoodEnough():
            return refused(container, "refused", str(error))
        case NoResult():
            return refused(container, "no_result", str(error), retry=True)
        case Refused():
            return refused(container, "refused", str(error))
    logger.error("%s: the proposal cannot be judged", _who(container), exc_info=error)
    return refused(container, "refused", f"the proposal cannot be judged ({type(error).__name__}: {error})")


class NoResult(Refused):
    """There is no result file of this container."""


def superseded(container: Container, why: str) -> Concluded:
    """Nothing that ``container`` made counts."""
    sentence = f"superseded: {why}. Nothing that container {container.short_id} made is published"
    logger.info("%s: %s", _who(container), sentence)
    return Concluded(verdict="superseded", sentence=sentence)


def refused(container: Container, cause: str, detail: str, *, retry: bool = False) -> Concluded:
    """What ``container`` proposes cannot be recorded."""
    detail = one_line(detail)
    logger.warning("%s: %s: %s", _who(container), cause, detail)
    return Concluded(verdict="refused", sentence=detail, failed=FailedOutcome(cause, detail, retry))


def summary(record: Success, environment: str) -> str:
    """``record`` in a few words."""
    match record:
        case records.ModelRecord(promotion=None):
            return f"model {_called(record)} in {environment}"
        case records.ModelRecord():
            return f"promotion of {_called(record)} to {environment}"
        case records.InferenceRecord():
            return f"inference with {record.model_used} in {environment}"
        case records.Revocation():
            return f"revocation of {record.model_filename}"
    return f"rollback of {environment} to {record.model_filename}"


def _called(record: records.ModelRecord) -> str:
    return record.called if record.short_name else named(record.model_filename, record.name)


def _environment_of(outcome: Success) -> str:
    """Where ``outcome`` counts; empty: in every environment, as a revocation does."""
    return "" if isinstance(outcome, records.Revocation) else outcome.environment


def _named(outcome: Success) -> str:
    return f"{summary(outcome, _environment_of(outcome))}, by try {records.author(outcome).try_number}"


def _result(run_folder: Path, container: Container) -> StepResult:
    task = str(container.identity.task_id)
    if "/" in task or task in {"", ".", ".."}:
        raise Refused(f"{task!r} is no step's name. Nothing is recorded.")
    try:
        with _DECODING:
            found = result_file.read_or_refuse(run_folder, task)
    except OSError as error:
        raise NoResult(f"{task}.json cannot be read ({error.strerror}). Run the task again.") from error
    except Refused as error:
        raise NoResult(str(error)) from error
    if found is None or not found.is_by(container.id):
        raise NoResult(f"exit code 0, and no result file of container {container.short_id}. See the task log.")
    if not found.is_readable:
        image = result_file.rebuild(container.identity.image)
        raise Refused(f"the result file is of version {found.protocol}. Run {image}, then clear the task.")
    ours, theirs = (container.environment, container.model_name), (found.environment, found.model_name)
    if ours != theirs:  # its author has told the step something else than Airflow was told
        raise Refused(
            f"the step ran for {short(' '.join(map(str, theirs)))}, and Airflow asked for {' '.join(ours)}."
            " Nothing is recorded. Name both in the operator (environment=, model_name=), not in flags."
        )
    return found


def _proposal(found: StepResult, container: Container) -> SuccessProposal | None:
    """What the step proposes, of the one kind that it may."""
    expected = EXPECTED.get(container.command)
    proposal = found.proposal
    if isinstance(proposal, FailureProposal):
        raise Refused(f"exit code 0, and the step says it failed: {proposal.detail}")
    if expected is None:
        if proposal is not None:
            raise Refused(f"{container.command} proposes an outcome, and that step has none. Nothing is recorded.")
        return None
    if not isinstance(proposal, expected):
        raise Refused(f"{container.command} does not propose what that step makes. Nothing is recorded. Run it again.")
    if isinstance(proposal, ModelProposal):
        _check_allowances(proposal, container)
    if isinstance(proposal, RevocationProposal):
        _check_confirmed(container)
    return proposal


def _check_allowances(proposal: ModelProposal, container: Container) -> None:
    """What a run allows is its form's to say, which is in the command, and not the step's."""
    for name, default in (("serve", True), ("allow_unmeasured", False), ("allow_signature_change", False)):
        asked = container.flags.get(name.replace("_", "-"), str(default)).lower() in {"true", "1", "yes", "on", ""}
        if getattr(proposal, name) != asked:
            raise Refused(
                f"the step says {name} is {getattr(proposal, name)}, and was told {asked}. Nothing is recorded."
            )


def _check_confirmed(container: Container) -> None:
    """That a person has typed twice which model it is, is in the command, and not the step's word."""
    model, confirmed = (container.flags.get(name, "").strip() for name in ("model", "confirm"))
    if not model or confirmed != model:
        raise Refused(f"the revocation of {short(model)} was confirmed for {short(confirmed)}. Nothing is recorded.")


def _handed_on(found: StepResult) -> dict[str, Any]:
    """``found`` as plain values of bounded size: it ends in Airflow's database."""
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(found, proposal=None))
    for name in ("outputs", "facts"):
        if len(msgspec.json.encode(plain)) > LONGEST_RESULT:
            plain[name] = {}
    return plain


def _done(container: Container) -> str:
    return f"{container.command} has left its files in the run folder"


def _who(container: Container) -> str:
    one = container.identity
    return f"{one.dag_id} {one.run_id} {one.task_id} try {one.try_number}"
