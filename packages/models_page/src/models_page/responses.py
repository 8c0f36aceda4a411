"""What the API answers, in the manner of Airflow's own: collections with ``total_entries``, errors with ``detail``."""

from __future__ import annotations

from datetime import UTC, datetime  # pydantic reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel, Field

from bulkhead.registry.metrics import goals_of
from models_page.registry_view import ListedVersion, ModelDetails, ServedVersion  # noqa: TC001  # as above

if TYPE_CHECKING:
    from bulkhead.hosts_protocol import HostStatus
    from bulkhead.index import IndexProgress
    from bulkhead.registry.notes import Note, Tag


_UNREADABLE = "Lines of `log.txt` that cannot be read as records; a model may be among them."


class ProblemResponse(BaseModel):
    """Why a request was refused."""

    detail: str


class ModelResponse(BaseModel):
    """A model version in one environment: its publication or a promotion."""

    model_filename: str
    short_name: str = Field(description="What people call it: `churn #12`.")
    environment: str
    name: str = Field(description="Of which model it is a version.")
    problem: str = Field(description="`regression`, `binary` or `multiclass`.")
    goals: dict[str, str] = Field(description="By metric, `maximize` or `minimize`; the first one leads.")
    published_at: str = Field(description="When it was published or promoted, as recorded.")
    states: list[str] = Field(
        description="First `served`, `previous`, `earlier`, `rolled back`, `revoked` or `not served`; then, where it"
        " applies, `removed`, `quarantined`, `missing`, `unverifiable` and `promoted from …`."
    )
    inferences: int = Field(description="Finished inferences in this environment that used it.")
    by_hand: bool = Field(description="Whether its record was made without the registrar, and is not signed.")
    tags: dict[str, str] = Field(description="Of the model file, by key.")
    notes: int = Field(description="How many notes the model file has.")
    record: dict[str, Any] = Field(
        description="The record, from `log.txt`; in a collection without `profile` and `evaluation`: ask for one model."
    )

    @classmethod
    def of(cls, version: ListedVersion) -> ModelResponse:
        """The answer for ``version``."""
        record = version.record
        return cls(
            model_filename=sound(record.model_filename),
            short_name=sound(version.short_name),
            environment=sound(record.environment),
            name=sound(record.name),
            problem=sound(record.problem or "regression"),
            goals=sound(dict(goals_of(record))),
            published_at=sound(record.promotion.promotion_time if record.promotion else record.training_timestamp),
            states=version.states,
            inferences=version.uses,
            by_hand=version.by_hand,
            tags={sound(key): sound(tag.value) for key, tag in version.tags.items()},
            notes=version.notes,
            record=plain(record),
        )

    @classmethod
    def short(cls, version: ListedVersion) -> ModelResponse:
        """As :meth:`of`, for one of five hundred."""
        record = msgspec.structs.replace(version.record, profile=None, evaluation=None)
        return cls.of(msgspec.structs.replace(version, record=record))


class ModelCollectionResponse(BaseModel):
    """A page of model versions, newest first."""

    models: list[ModelResponse]
    total_entries: int = Field(description="Publications and promotions.")
    files: int = Field(description="Model files among them: a promotion is the same file once more.")
    unreadable_lines: int = Field(description=_UNREADABLE)
    next_cursor: str | None


class NoteResponse(BaseModel):
    """What somebody has to say of a model version."""

    note_time: str
    by: str
    text: str

    @classmethod
    def of(cls, note: Note) -> NoteResponse:
        """``note`` as the API answers it."""
        return cls(note_time=sound(note.note_time), by=sound(note.by), text=sound(note.text))


class TagResponse(BaseModel):
    """The value that a model version has under a key."""

    tag_time: str
    by: str
    key: str
    value: str

    @classmethod
    def of(cls, tag: Tag) -> TagResponse:
        """``tag`` as the API answers it."""
        return cls(tag_time=sound(tag.tag_time), by=sound(tag.by), key=sound(tag.key), value=sound(tag.value or ""))


class ModelHistoryResponse(BaseModel):
    """Everything about one model file."""

    model_filename: str
    short_name: str
    placings: list[ModelResponse] = Field(description="Its publication, then its promotions.")
    decisions: list[dict[str, Any]] = Field(
        description="Its rollbacks, refused promotions, revocation, removal and quarantine, as in `log.txt`."
    )
    notes: list[NoteResponse] = Field(description="What people have written down about it, oldest first.")
    tags: list[TagResponse] = Field(description="Its tags, each as it was set.")
    out_of_service: str | None = Field(description="Why nobody may use it any more.")
    revoked_twin: str | None = Field(description="A revoked model file that holds the same fitted model.")
    inferences: int

    @classmethod
    def of(cls, found: ModelDetails) -> ModelHistoryResponse:
        """The answer for ``found``."""
        return cls(
            model_filename=sound(found.called.filename),
            short_name=sound(found.called.short_name),
            placings=[ModelResponse.of(version) for version in found.versions],
            decisions=[plain(decision) for decision in found.decisions],
            notes=[NoteResponse.of(note) for note in found.notes],
            tags=[TagResponse.of(tag) for tag in found.tags.values()],
            out_of_service=sound(found.out_of_service),
            revoked_twin=sound(found.revoked_twin.filename) if found.revoked_twin else None,
            inferences=found.uses,
        )


class EnvironmentResponse(BaseModel):
    """What an environment serves of one model."""

    environment: str
    name: str = Field(description="Of which model.")
    served: ModelResponse | None
    served_since: str | None = Field(description="When it came to be served: by its publication or a decision.")
    rolls_back_to: str | None = Field(description="The model file that a rollback would serve.")
    unreadable_at: int | None = Field(
        description="Byte in `log.txt` of a line after the served model's record that cannot be read, and may be of a"
        " newer model; null if there is none."
    )

    @classmethod
    def of(cls, found: ServedVersion) -> EnvironmentResponse:
        """The answer for ``found``."""
        return cls(
            environment=sound(found.environment),
            name=sound(found.name),
            served=ModelResponse.of(found.version) if found.version else None,
            served_since=sound(found.since),
            rolls_back_to=sound(found.previous.filename) if found.previous else None,
            unreadable_at=found.unreadable,
        )


class EnvironmentCollectionResponse(BaseModel):
    """Every environment and model that ever had a version."""

    environments: list[EnvironmentResponse]
    total_entries: int
    unreadable_lines: int = Field(description=_UNREADABLE)


class PointResponse(BaseModel):
    """A model version's metrics."""

    at: str = Field(description="ISO 8601, UTC, to the second.")
    environment: str
    name: str = Field(description="Of which model it is a version.")
    model_filename: str
    short_name: str | None = Field(description="What people call it: `churn #12`.")
    metrics: dict[str, float] = Field(description="Those of its goals that were measured, the leading one first.")
    r2: float | None = Field(description="As in `metrics`.")
    rmse: float | None = Field(description="As in `metrics`.")


class PointCollectionResponse(BaseModel):
    """Metrics of published model versions, oldest first."""

    points: list[PointResponse]
    total_entries: int


class FindingResponse(BaseModel):
    """One difference between the records and the files."""

    kind: str
    severity: str
    path: str
    sentence: str
    offset: int | None
    line: int | None
    mended_by: str | None


class VerifyResponse(BaseModel):
    """The result of the last verify."""

    running: int | None = Field(description="Progress of the verify that runs now, in percent; null if none runs.")
    finished: datetime | None = Field(description="When the last verify ended; null if there was none yet.")
    clean: bool | None
    damage: int
    notes: int
    trouble: str | None
    findings: list[FindingResponse] = Field(description="Damage first, at most 500.")


class HostResponse(BaseModel):
    """One of several hosts on which steps run."""

    name: str
    state: str = Field(description="`ready`, `not ready`, `draining`, `silent`, `lost` or `never seen`.")
    queues: list[str]
    running: int | None = Field(description="Steps that run there; null if its launcher does not answer.")
    slots: int | None
    cpus: float | None
    memory: int | None = Field(description="Bytes.")
    engine: str | None = Field(description="Version of its engine; null if it does not answer.")
    commit: str | None
    seconds_silent: float | None = Field(description="Since it was heard of last; null if it never was.")
    problems: list[str] = Field(description="What keeps it from new work.")

    @classmethod
    def of(cls, host: HostStatus) -> HostResponse:
        """``host`` as the API answers it."""
        report = host.report
        return cls(
            name=host.name,
            state=host.state,
            queues=host.queues,
            running=host.running,
            slots=report.slots if report else None,
            cpus=report.cpus if report else None,
            memory=report.memory if report else None,
            engine=report.engine_version if report and report.engine else None,
            commit=report.commit if report else None,
            seconds_silent=host.seconds_silent,
            problems=host.problems,
        )


class HostCollectionResponse(BaseModel):
    """Every host; none where there is but one."""

    hosts: list[HostResponse]


class JournalResponse(BaseModel):
    """How much of a journal has been read."""

    ready: bool
    percent: int
    missing: bool = Field(description="Whether the file is missing.")
    unreadable: int = Field(description="Lines that cannot be read as records, without those in quarantine.")


class IndexResponse(BaseModel):
    """How much of the two journals has been read."""

    trainings: JournalResponse
    inferences: JournalResponse
    trouble: str | None
    seen: int = Field(description="Bytes of `log.txt` that are read; greater as soon as something was recorded.")

    @classmethod
    def of(cls, status: IndexProgress, seen: int) -> IndexResponse:
        """The answer for ``status``."""
        return cls.model_validate({**msgspec.to_builtins(status), "seen": seen})


def moment(microseconds: int) -> str:
    """A time since 1970, to the second, with its zone."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")


def plain(record: msgspec.Struct) -> dict[str, Any]:
    """``record`` as JSON has it."""
    content: dict[str, Any] = sound(msgspec.to_builtins(record))
    return content


_DEEPEST = 60


def sound(value: Any, depth: int = _DEEPEST) -> Any:
    """``value`` with a question mark for each half of a character that JSON can hold and UTF-8 cannot.

    What lies deeper than anybody reads, which a record by hand can have, is three dots.
    """
    if depth == 0:
        return "…"
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {sound(key): sound(content, depth - 1) for key, content in value.items()}
    if isinstance(value, list):
        return [sound(content, depth - 1) for content in value]
    return value
