"""The one line that a step prints when it has succeeded: what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.registry import drift
from bulkhead.registry.proposals import (
    InferenceProposal,
    ModelProposal,
    PromotionProposal,
    RevocationProposal,
    RollbackProposal,
)
from bulkhead.registry.records import InferenceRecord, ModelRecord, Revocation, Rollback

if TYPE_CHECKING:
    from bulkhead.registry.proposals import SuccessProposal
    from bulkhead.registry.records import Success
    from bulkhead.step.result import Output


def of_record(record: Success) -> str:
    """What was recorded."""
    match record:
        case ModelRecord(promotion=None):
            return f"published models/{record.model_filename} for {record.environment}"
        case ModelRecord():
            return f"{record.environment} serves {record.model_filename}"
        case InferenceRecord():
            return f"{record.rows} predictions by {record.model_used} in {record.predictions_path}{_drifted(record)}"
        case Rollback():
            return f"{record.environment} serves {record.model_filename} again"
        case Revocation():
            return f"revoked {record.model_filename}: nothing serves it any more"


def of_proposal(proposal: SuccessProposal) -> str:
    """What is proposed, and is recorded by another."""
    match proposal:
        case ModelProposal():
            return f"a model in {proposal.path}, to be published"
        case InferenceProposal():
            made = proposal.record
            where = f"in {proposal.path}, to be recorded"
            return f"{made.rows} predictions by {made.model_used} {where}{_drifted(made)}"
        case PromotionProposal():
            return f"{proposal.model_filename} can be served, to be recorded"
        case RollbackProposal():
            return f"a rollback to {proposal.to or 'the model before'}, to be recorded"
        case RevocationProposal():
            return f"a revocation of {proposal.model_filename}, to be recorded"


def _drifted(record: InferenceRecord) -> str:
    said = drift.sentence(record.drift)
    return f"; {said}" if said else ""


def of_outputs(outputs: dict[str, Output]) -> str:
    """What was written."""
    return ", ".join(f"{output.path} with {output.rows} rows" for output in outputs.values()) or "done"
