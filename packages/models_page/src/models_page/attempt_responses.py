"""What the API answers of inferences and failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from models_page import responses

if TYPE_CHECKING:
    from bulkhead.index.attempts import IndexedAttempt
    from bulkhead.paths import JournalName
    from bulkhead.registry.records import InferenceRecord
    from models_page.attempts_view import AttemptRecord


class AttemptResponse(BaseModel):
    """A finished inference, or a failed attempt of a step."""

    pipeline: Literal["training", "inference"]
    outcome: Literal["success", "failed"]
    at: str = Field(description="ISO 8601, UTC, to the second.")
    offset: int = Field(description="Byte of its record in the journal: what names it.")
    drifted: bool = Field(description="Whether its input, or what was predicted, drifted beyond a limit of the gate.")
    record: dict[str, Any] = Field(description="The whole record, from the journal.")

    @classmethod
    def of(cls, found: IndexedAttempt, record: AttemptRecord) -> AttemptResponse:
        """The answer for the attempt ``found``."""
        return cls._at(found.journal, found.offset, found.time, record)

    @classmethod
    def of_inference(cls, offset: int, time: int, record: InferenceRecord) -> AttemptResponse:
        """The answer for a finished inference whose record begins at ``offset``."""
        return cls._at("inference", offset, time, record)

    @classmethod
    def _at(cls, journal: JournalName, offset: int, time: int, record: AttemptRecord) -> AttemptResponse:
        drift = getattr(record, "drift", None)
        return cls(
            pipeline=journal,
            outcome="success" if hasattr(record, "inference_time") else "failed",
            at=responses.moment(time),
            offset=offset,
            drifted=bool(drift and drift.drifted),
            record=responses.plain(record),
        )


class InferenceCollectionResponse(BaseModel):
    """A page of inferences, finished and failed, newest first."""

    inferences: list[AttemptResponse]
    total_entries: int
    next_cursor: str | None


class FailureCollectionResponse(BaseModel):
    """A page of failures of both pipelines, newest first."""

    failures: list[AttemptResponse]
    total_entries: int
    next_cursor: str | None
