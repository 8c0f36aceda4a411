"""Records what a step that was started by hand has left: ``just step`` seals the step, and calls this afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead import environments
from bulkhead.errors import Refused
from bulkhead.registry import believable, recording, records
from bulkhead.registry.proposals import EXPECTED, FailureProposal, PromotionProposal
from bulkhead.registry.recording import Author
from bulkhead.registry.records import Evidence
from bulkhead.step import result as result_file
from registrar.conclude import summary

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.identity import Identity
    from bulkhead.paths import JournalName
    from bulkhead.registry.store import Registry


def record(  # noqa: PLR0913  # all by name
    registry: Registry,
    run_folder: Path,
    *,
    step: str,
    container: str,
    journal: JournalName,
    environment: str,
    model_name: str,
    identity: Identity,
    by: str | None,
) -> str | None:
    """Record what the result file of ``container`` proposes; returns what was recorded, None: it proposes nothing.

    Args:
        registry: where.
        run_folder: where the step's files are.
        step: its command.
        container: its id, whole or short.
        journal: where its failure goes.
        environment: the step's; empty: where a promotion goes to.
        model_name: for which model it worked.
        identity: who it was.
        by: who decides, of a decision; None: what the step was told.

    Raises:
        Refused: there is no result of this container, or it cannot be recorded.
        OSError: the registry cannot be written; nothing was recorded.
    """
    found = result_file.read_or_refuse(run_folder, identity.task_id or step)
    if found is None or not (found.container and (found.is_by(container) or container == found.container)):
        raise Refused(f"{identity.task_id or step}.json is not there, or of another container. Nothing is recorded.")
    if not found.is_readable:
        raise Refused(f"the result file is of version {found.protocol}. Run {result_file.rebuild(identity.image)}.")
    proposal = found.proposal
    if not environment:
        environment = environments.LAST if isinstance(proposal, PromotionProposal) else found.environment
    environments.get(environment)
    if proposal is None:
        return None
    if isinstance(proposal, FailureProposal):
        failure = records.failure(
            journal,
            proposal.cause,
            proposal.detail,
            environment=environment,
            model_name=model_name,
            identity=identity,
            evidence=Evidence(),
            metrics=believable.metrics(proposal.metrics) if proposal.metrics is not None else None,
            source=proposal.source,
        )
        registry.record_failure(journal, failure)
        return f"recorded failure: {proposal.cause}"
    if EXPECTED.get(step) is not type(proposal):
        raise Refused(f"{step} does not propose what that step makes. Nothing is recorded.")
    author = Author(identity=identity, environment=environment, model_name=model_name, by=by)
    made = recording.record(registry, proposal, author, run_folder)
    warning = f"\nwarning: {made.warning}" if made.warning else ""
    return f"recorded: {summary(made.record, environment)}{warning}"
