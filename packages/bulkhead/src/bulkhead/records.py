"""The records: one JSON object on one line of ``log.txt`` (trainings) or ``log_inference.txt``.

The first keys of each kind are those of the original program, and its lines are still read: their
times look like ``2024-01-31:23-59-59``, they have no ``sha256``, and their errors no environment.
Everything that such a line lacks is None here.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bulkhead import clock
from bulkhead.errors import one_line
from bulkhead.identity import Identity

Pipeline = Literal["training", "inference"]
"""Each has a log of its own."""


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The input a user gave: ``path`` relative to the project, ``source`` as it was asked for."""

    path: str
    sha256: str
    rows: int
    source: str


class Lineage(Identity, frozen=True, kw_only=True):
    """Who made a model, from what, and how good it is."""

    features: list[str] | None = None
    """Source columns the model needs, in training's order."""
    dtypes: dict[str, str] | None = None
    """The type each feature had in training's source."""
    target: str | None = None
    left_out: list[str] | None = None
    """Columns of training's source that are neither feature nor target."""
    transformation: str | None = None
    """Fingerprint of the code that transforms features."""
    data: Data | None = None
    libraries: dict[str, str] | None = None
    parameters: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None


class ModelRecord(Lineage, frozen=True, kw_only=True):
    """A published model."""

    model_hash: str
    """``joblib.hash`` of the fitted model."""
    model_filename: str
    training_timestamp: str
    environment: str
    sha256: str | None = None
    """Of the file's bytes."""
    size_bytes: int | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What can still be told of a failed container; None where nobody could tell."""

    exit_code: int | None = None
    oom_killed: bool | None = None
    memory_limit: str | None = None
    peak_memory_bytes: int | None = None
    duration_seconds: float | None = None
    last_lines: list[str] | None = None
    """The end of stderr."""


class FailedAttempt(Identity, frozen=True, kw_only=True):
    """What the failures of both pipelines share."""

    environment: str | None = None
    step: str | None = None
    cause: str | None = None
    evidence: Evidence | None = None


class TrainingFailure(FailedAttempt, frozen=True, kw_only=True):
    """A failed attempt of a step of the training pipeline."""

    error_timestamp: str
    detail: str


class InferenceRecord(Identity, frozen=True, kw_only=True):
    """A finished inference."""

    inference_time: str
    environment: str
    inference_data: str
    """The input file relative to the project."""
    model_used: str
    predictions: Any = None
    """A list of numbers, inline up to 1,000 rows; all of them are in ``predictions_path``. The
    original program's shape is not checked."""
    model_hash: str | None = None
    predictions_path: str | None = None
    rows: int | None = None
    input_sha256: str | None = None
    output_sha256: str | None = None


class InferenceFailure(FailedAttempt, frozen=True, kw_only=True):
    """A failed attempt of a step of the inference pipeline."""

    error_time: str
    error_message: str


Record = ModelRecord | TrainingFailure | InferenceRecord | InferenceFailure
Failure = TrainingFailure | InferenceFailure

_KIND_BY_KEY: dict[str, type[Record]] = {
    "model_filename": ModelRecord,
    "error_timestamp": TrainingFailure,
    "inference_time": InferenceRecord,
    "error_time": InferenceFailure,
}


class Unreadable(msgspec.Struct, frozen=True):
    """A line that is no record: torn by a crash, or not ours."""

    offset: int
    """Bytes from the start of the log."""
    reason: str
    text: str
    """The line's first characters."""


def failure(
    pipeline: Pipeline, cause: str, detail: str, *, environment: str, identity: Identity, evidence: Evidence
) -> Failure:
    """The record, as of now, of the failed attempt ``identity``; ``detail`` is made one line."""
    common: dict[str, Any] = {
        "environment": environment,
        "step": identity.task_id,
        "cause": cause,
        "evidence": evidence,
        **msgspec.structs.asdict(identity),
    }
    moment = clock.in_record(clock.now())
    if pipeline == "training":
        return TrainingFailure(error_timestamp=moment, detail=one_line(detail), **common)
    return InferenceFailure(error_time=moment, error_message=one_line(detail), **common)


def encode(record: Record) -> bytes:
    """``record`` as the one line that is appended, line break included."""
    # The keys of the original format stay first, where people and scripts look for them: a class's own
    # before those of its base.
    keys: dict[str, None] = {}
    for kind in type(record).__mro__[:-2]:  # without msgspec.Struct and object
        keys |= dict.fromkeys(kind.__annotations__)
    return msgspec.json.encode({key: getattr(record, key) for key in keys}) + b"\n"


def decode(line: bytes, offset: int = 0) -> Record | Unreadable:
    """The record in ``line``, or why it is none. Never raises."""
    try:
        content = msgspec.json.decode(line)
        if not isinstance(content, dict):
            raise msgspec.ValidationError("not a JSON object")
        kind = next((kind for key, kind in _KIND_BY_KEY.items() if key in content), None)
        if kind is None:
            raise msgspec.ValidationError("has the keys of no kind of record")
        return msgspec.convert(content, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(offset, str(error), line[:80].decode(errors="replace"))
