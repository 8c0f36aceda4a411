"""The records: one JSON object on one line of ``log.txt`` (trainings) or ``log_inference.txt``.

The first keys of each kind are those of *legacy records*, which the program before this one wrote.
They are still read: their times look like ``2024-01-31:23-59-59``, they have no ``sha256``, and their
errors no environment. Everything that such a line lacks is None here.

What is decided about a model afterwards (:class:`Rollback`, :class:`Revocation`, :class:`Rejection`, :class:`Removal`,
:class:`Quarantine`), and what is written down about it (:mod:`bulkhead.registry.notes`), is a new record in
``log.txt``; no line is ever rewritten. A promotion is the model's record once more, for another environment.
:mod:`bulkhead.registry.serving` says what follows from them.

The last four keys of a line are its place in the journal's chain (:mod:`bulkhead.registry.chain`), and no part of a
record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock
from bulkhead.errors import one_line
from bulkhead.identity import Identity
from bulkhead.model_name import DEFAULT_NAME, is_number, short_name
from bulkhead.registry.lineage import Lineage
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.profiles import Drift  # msgspec reads the annotations

if TYPE_CHECKING:
    from bulkhead.paths import JournalName

LONGEST_SOURCE = 500
"""Characters of the source that a failure's record names."""


class Promotion(Identity, frozen=True, kw_only=True):
    """How a model came from another environment; the identity is that of the task which did it."""

    promotion_time: str
    origin: str
    """The environment that published it."""
    replaces: str | None
    """The model file that was served until then; None: none."""
    by: str
    reason: str
    libraries: dict[str, str] | None = None
    """Versions that the smoke prediction ran with."""
    requested_by: str | None = None
    """Who asked for it, where that is somebody else's word than ``by``: Airflow's user who triggered the run."""
    gate_sha256: str | None = None
    """Of ``gate.toml``, by which it was judged; None: there was none, or the record is older."""
    first_try: str | None = None
    """As in :class:`ModelRecord`."""
    approval: str | None = None
    """Airflow's id of the try that asked a person, whose answer counts once. None: by hand, or the record is older."""


class ModelRecord(Lineage, frozen=True, kw_only=True):
    """A published model; with ``promotion``, one that serves in this environment without a training of its own."""

    model_hash: str
    """``joblib.hash`` of the fitted model."""
    model_filename: str
    training_timestamp: str
    environment: str
    sha256: str | None = None
    """Of the file's bytes."""
    size_bytes: int | None = None
    promotion: Promotion | None = None
    gate_sha256: str | None = None
    """Of ``gate.toml``, by which it was judged; None: there was none, or the record is older."""
    serve: bool | None = None
    """Whether its environment serves it from then on; None: yes, as ever. A training of the past says no."""
    first_try: str | None = None
    """Airflow's id of the first try of which this is the outcome: there is one outcome for each. None: made by hand, or
    the record is older. Of a promoted model the promotion has it."""
    version: int | None = None
    """Of the versions of its name, counted from 1 over all environments; a promotion keeps it. None: the record is
    older, and its place among them says it."""

    @property
    def short_name(self) -> str | None:
        """What people call it; None: its record alone does not say which number it has."""
        return short_name(self.name, self.version) if self.version and is_number(self.version) else None

    @property
    def called(self) -> str:
        """What it is called in a sentence: by its short name, where it has one, and its file."""
        return f"{self.short_name} ({self.model_filename})" if self.short_name else self.model_filename


class Rollback(Identity, frozen=True, kw_only=True):
    """An environment serves an earlier model again."""

    rollback_time: str
    environment: str
    model_filename: str
    """What is served from now on."""
    withdrawn: list[str]
    """The model files that are served no more, newest first."""
    by: str
    reason: str
    model_name: str | None = None
    """Of which model they are versions; None: the record is older, and the files say it."""
    first_try: str | None = None
    """As in :class:`ModelRecord`."""


class Revocation(Identity, frozen=True, kw_only=True):
    """A model is out of service for ever, in every environment."""

    revocation_time: str
    model_filename: str
    model_hash: str
    by: str
    reason: str
    first_try: str | None = None
    """As in :class:`ModelRecord`."""


class Rejection(Identity, frozen=True, kw_only=True):
    """A promotion that was asked for and not approved; it changes nothing."""

    rejection_time: str
    environment: str
    model_filename: str
    """What was to be promoted, as it was asked for."""
    outcome: str
    """``rejected`` or ``expired``."""
    by: str | None
    """Who rejected it; None: nobody answered in time."""
    requested_by: str | None
    reason: str
    """Why it was asked for."""
    try_id: str | None = None
    """Airflow's id of the try that asked: there is one rejection for each. None: the record is older."""


class Removal(Identity, frozen=True, kw_only=True):
    """Files that retention has removed, or is about to remove: the record comes first."""

    removal_time: str
    paths: list[str]
    """Model files and run folders, relative to the project."""
    size_bytes: int
    by: str
    reason: str


class Quarantine(Identity, frozen=True, kw_only=True):
    """A file moved out of the readers' way, or a line of a journal that readers know as no record."""

    quarantine_time: str
    path: str
    """The file, or the journal, relative to the project."""
    offset: int | None = None
    """The line's first byte in the journal; None: the whole file."""
    size_bytes: int
    sha256: str
    """Of the file, or of the line without its end."""
    moved_to: str
    """Where the bytes are now (a file), or a copy of them (a line)."""
    by: str
    reason: str


class Anchor(Identity, frozen=True, kw_only=True):
    """Where the chain of a journal begins that has lines of before there was one; it says what they were."""

    anchor_time: str
    lines: int
    size_bytes: int
    sha256: str
    """Of all bytes before."""


class Acceptance(Identity, frozen=True, kw_only=True):
    """Somebody has taken a journal as it is, which was not, or no longer, the one that the registrar had seen last."""

    acceptance_time: str
    seen_seq: int
    """The number of the line that was seen as its last."""
    seen_hash: str
    seen_at: str
    by: str
    reason: str


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
    """What the failures in both journals share."""

    environment: str | None = None
    model_name: str | None = None
    """As in :class:`Lineage`."""
    step: str | None = None
    cause: str | None = None
    evidence: Evidence | None = None
    metrics: dict[str, Any] | None = None
    """Of a model that was measured, and then not published."""
    source: str | None = None
    """The table, as it was asked for; None: it was not known, or the record is older."""
    try_id: str | None = None
    """Airflow's id of the try: there is one failure for each. None: by hand, or the record is older."""

    @property
    def name(self) -> str:
        """For which model the attempt was made."""
        return self.model_name or DEFAULT_NAME


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
    """A list of numbers, or of classes, inline up to :data:`MOST_INLINE` rows; all of them are in ``predictions_path``.
    What a legacy record holds is not checked."""
    model_name: str | None = None
    """As in :class:`Lineage`."""
    model_hash: str | None = None
    model_sha256: str | None = None
    """With ``model_used`` and ``environment`` the link to the model's record."""
    predictions_path: str | None = None
    rows: int | None = None
    input_sha256: str | None = None
    output_sha256: str | None = None
    source: str | None = None
    """The input as it was asked for."""
    dtypes: dict[str, str] | None = None
    """The type of each column of the input, in its order."""
    transformation: str | None = None
    """Fingerprint of the code that transformed the input; the model's own."""
    libraries: dict[str, str] | None = None
    version_drift: dict[str, list[str]] | None = None
    """By library, the version trained with and the one that predicted, where they differ by permission."""
    drift: Drift | None = None
    """How far input and predictions are from training's; None: the model has no profile, or the record is older."""
    duration_seconds: float | None = None
    peak_memory_bytes: int | None = None
    first_try: str | None = None
    """As in :class:`ModelRecord`."""

    @property
    def name(self) -> str:
        """Of which model the one that predicted is a version."""
        return self.model_name or DEFAULT_NAME


class InferenceFailure(FailedAttempt, frozen=True, kw_only=True):
    """A failed attempt of a step of the inference pipeline."""

    error_time: str
    error_message: str


Decision = Rollback | Revocation | Rejection | Removal | Quarantine
Failure = TrainingFailure | InferenceFailure
Record = ModelRecord | InferenceRecord | Failure | Decision | Note | Tag | Anchor | Acceptance
Success = ModelRecord | InferenceRecord | Rollback | Revocation
"""What a step can leave, besides a failure."""


class Unreadable(msgspec.Struct, frozen=True):
    """A line that is no record: torn by a crash, or not ours."""

    offset: int
    """Bytes from the start of the journal."""
    reason: str
    text: str
    """The line's first characters."""


def author(record: Success) -> Identity:
    """The attempt that wrote ``record``: a promoted model's is the promotion, not the training."""
    return record.promotion if isinstance(record, ModelRecord) and record.promotion else record


def first_try_of(record: Success) -> str | None:
    """The logical task's try, of which ``record`` is the outcome."""
    return record.promotion.first_try if isinstance(record, ModelRecord) and record.promotion else record.first_try


def failure(  # noqa: PLR0913  # all by name
    journal: JournalName,
    cause: str,
    detail: str,
    *,
    environment: str,
    identity: Identity,
    evidence: Evidence,
    model_name: str | None = None,
    try_id: str | None = None,
    metrics: dict[str, Any] | None = None,
    source: str | None = None,
) -> Failure:
    """The record, as of now, of the failed attempt ``identity``; ``detail`` is made one line."""
    common: dict[str, Any] = {
        "environment": environment,
        "model_name": model_name,
        "step": identity.task_id,
        "cause": cause,
        "evidence": evidence,
        "try_id": try_id,
        "metrics": metrics,
        "source": None if source is None else one_line(source, LONGEST_SOURCE),
        **msgspec.structs.asdict(identity),
    }
    moment = clock.in_record(clock.now())
    if journal == "training":
        return TrainingFailure(error_timestamp=moment, detail=one_line(detail), **common)
    return InferenceFailure(error_time=moment, error_message=one_line(detail), **common)
