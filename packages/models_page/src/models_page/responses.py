"""What the API answers, in the manner of Airflow's own: collections with ``total_entries``, errors with ``detail``."""

from __future__ import annotations

from datetime import datetime  # pydantic reads the annotations
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import BaseModel, Field

from models_page import filters
from models_page.registry_view import Shown  # noqa: TC001  # as above

if TYPE_CHECKING:
    from bulkhead.index import Status
    from bulkhead.index.attempts import Found
    from models_page.registry_view import Attempt


class ProblemResponse(BaseModel):
    """Why a request was refused."""

    detail: str


class ModelResponse(BaseModel):
    """A publication or promotion of a model."""

    model_filename: str
    environment: str
    published_at: str = Field(description="When it was published or promoted, as the record has it.")
    states: list[str] = Field(
        description="First `served`, `previous`, `earlier`, `rolled back` or `revoked`; then what else is to be known."
    )
    inferences: int = Field(description="Finished inferences of this environment that used it.")
    record: dict[str, Any] = Field(description="The line of `log.txt`.")

    @classmethod
    def of(cls, shown: Shown) -> ModelResponse:
        """The answer for ``shown``."""
        record = shown.record
        return cls(
            model_filename=sound(record.model_filename),
            environment=sound(record.environment),
            published_at=sound(record.promotion.promotion_time if record.promotion else record.training_timestamp),
            states=shown.states,
            inferences=shown.uses,
            record=plain(record),
        )


class ModelCollectionResponse(BaseModel):
    """A page of models, newest first."""

    models: list[ModelResponse]
    total_entries: int
    next_cursor: str | None


class ModelHistoryResponse(BaseModel):
    """Everything about one model file."""

    model_filename: str
    placings: list[ModelResponse] = Field(description="Its publication, then its promotions.")
    decisions: list[dict[str, Any]] = Field(description="Rollbacks, revocation, removal, quarantine: lines of the log.")
    inferences: int


class EnvironmentResponse(BaseModel):
    """What an environment serves."""

    environment: str
    served: ModelResponse | None
    rolls_back_to: str | None = Field(description="The model file that a rollback would serve.")


class EnvironmentCollectionResponse(BaseModel):
    """Every environment that ever had a model."""

    environments: list[EnvironmentResponse]
    total_entries: int


class AttemptResponse(BaseModel):
    """An inference, or a failed attempt of a step."""

    pipeline: Literal["training", "inference"]
    outcome: Literal["success", "failed"]
    at: str = Field(description="UTC, to the second.")
    record: dict[str, Any] = Field(description="The line of the log.")

    @classmethod
    def of(cls, found: Found, record: Attempt) -> AttemptResponse:
        """The answer for the attempt ``found``."""
        outcome: Literal["success", "failed"] = "success" if hasattr(record, "inference_time") else "failed"
        return cls(pipeline=found.log, outcome=outcome, at=filters.moment(found.time), record=plain(record))


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


class PointResponse(BaseModel):
    """A model's metrics."""

    at: str
    environment: str
    r2: float | None
    rmse: float | None


class PointCollectionResponse(BaseModel):
    """Metrics of published models, oldest first."""

    points: list[PointResponse]
    total_entries: int


class FindingResponse(BaseModel):
    """One thing that is not as the records say."""

    kind: str
    severity: str
    path: str
    sentence: str
    offset: int | None
    line: int | None
    mended_by: str | None


class VerifyResponse(BaseModel):
    """The result of the last verify."""

    running: int | None = Field(description="How far the one is that runs now, in percent; null: none does.")
    finished: datetime | None = Field(description="When the last one ended; null: there was none yet.")
    clean: bool | None
    damage: int
    notes: int
    trouble: str | None
    findings: list[FindingResponse] = Field(description="Damage first, at most 500.")


class LogResponse(BaseModel):
    """How far the index of a log is."""

    ready: bool
    percent: int
    missing: bool = Field(description="There is no such log.")
    unreadable: int = Field(description="Lines that are no records.")


class IndexResponse(BaseModel):
    """How far the index is from which all of this is answered."""

    trainings: LogResponse
    inferences: LogResponse
    trouble: str | None

    @classmethod
    def of(cls, status: Status) -> IndexResponse:
        """The answer for ``status``."""
        return cls.model_validate(msgspec.to_builtins(status))


def plain(record: msgspec.Struct) -> dict[str, Any]:
    """``record`` as JSON has it."""
    content: dict[str, Any] = sound(msgspec.to_builtins(record))
    return content


def sound(value: Any) -> Any:
    """``value`` with a question mark for each half of a character that JSON can hold and UTF-8 cannot."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {sound(key): sound(content) for key, content in value.items()}
    if isinstance(value, list):
        return [sound(content) for content in value]
    return value
