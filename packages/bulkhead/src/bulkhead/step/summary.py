"""The one line that a step prints when it has succeeded: what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.registry.proposals import InferenceProposal, ModelProposal, PromotionProposal, RollbackProposal
from bulkhead.registry.records import InferenceRecord, ModelRecord, Rollback

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
            return f"{record.rows} predictions by {record.model_used} in {record.predictions_path}"
        case Rollback():
            return f"{record.environment} serves {record.model_filename} again"


def of_proposal(proposal: SuccessProposal) -> str:
    """What is proposed, and is recorded by another."""
    match proposal:
        case ModelProposal():
            return f"a model in {proposal.path}, to be published"
        case InferenceProposal():
            return (
                f"{proposal.record.rows} predictions by {proposal.record.model_used} in {proposal.path}, to be recorded"
            )
        case PromotionProposal():
            return f"{proposal.model_filename} can be served, to be recorded"
        case RollbackProposal():
            return f"a rollback to {proposal.to or 'the model before'}, to be recorded"


def of_outputs(outputs: dict[str, Output]) -> str:
    """What was written."""
    return ", ".join(f"{output.path} with {output.rows} rows" for output in outputs.values()) or "done"
