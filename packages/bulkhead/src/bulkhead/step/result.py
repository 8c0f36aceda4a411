"""The result file: a step's proof of completion, and its proposal of an outcome, written last.

It lies where a step may put anything, so it is read as a stranger's letter: a plain file, of bounded size.

It has a version (:mod:`bulkhead.protocol`), because an image may be older than the one that reads its result. Of
every version a reader can tell the version itself, the container, and the image that wrote it; a result of another
version is refused, with a sentence that names the image to rebuild. A key that a reader does not know is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock, protocol, untrusted
from bulkhead.errors import Refused
from bulkhead.identity import Identity
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registry import drift
from bulkhead.registry.profiles import MOST_DRIFTED_SHOWN
from bulkhead.registry.proposals import FailureProposal, Proposal
from bulkhead.registry.records import InferenceRecord, ModelRecord, Revocation, Rollback, author

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.records import Success

_SHORTEST_ID = 12
"""Characters of a container's id: what Docker makes its host name."""
_UNMARKED = 1
"""The version of a file that names none: all were so before there was a second."""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a step left in the run folder; ``path`` is relative to that folder."""

    path: str
    sha256: str
    rows: int


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What ``/shared/<task_id>.json`` holds once the step has ended by itself."""

    protocol: int = _UNMARKED
    """Of a version that is not :mod:`bulkhead.protocol`'s only this, the container and the identity's image count."""
    identity: Identity
    environment: str
    model_name: str = DEFAULT_NAME
    """For which model the step ran."""
    container: str
    """Short id of the container that wrote this: the proof that it is of this very attempt."""
    started: str
    """When its work began, once its libraries were imported."""
    finished: str
    processor_seconds: float | None = None
    """What its work took of all processors; None: nobody said, as of a result that was made from a record."""
    peak_memory_bytes: int | None = None
    """The most that its process had in memory; None likewise."""
    outputs: dict[str, Output] = {}
    facts: dict[str, Any] = {}
    """What the next step, or a person, needs to know; small, and what XCom shows."""
    proposal: Proposal | None = None
    """The outcome that the step proposes; None: it has none but its files."""

    @property
    def is_failure(self) -> bool:
        """Whether this says why the step failed, and is no proof."""
        return isinstance(self.proposal, FailureProposal)

    def is_by(self, container: str) -> bool:
        """Whether the container with the full id ``container`` wrote this."""
        return len(self.container) >= _SHORTEST_ID and container.startswith(self.container)

    @property
    def is_readable(self) -> bool:
        """Whether this is of the version that is read here."""
        return self.protocol == protocol.PROTOCOL


class _AnyVersion(msgspec.Struct, frozen=True):
    """What every version of the file has."""

    protocol: int = _UNMARKED
    container: str = ""
    identity: dict[str, Any] = {}


def path_of(folder: Path, task_id: str) -> Path:
    """Where the result of ``task_id`` stands in the run folder."""
    return folder / f"{task_id}.json"


def read(folder: Path, task_id: str) -> StepResult | None:
    """The result of ``task_id``, or None where there is none that can be read."""
    try:
        return read_or_refuse(folder, task_id)
    except (Refused, OSError):
        return None


def read_or_refuse(folder: Path, task_id: str) -> StepResult | None:
    """The result of ``task_id`` in the run folder, or None where there is none.

    Raises:
        Refused: what stands there is not read, or is no result.
        OSError: it cannot be read.
    """
    name = f"{task_id}.json"
    try:
        content = untrusted.read(folder, name, limit=untrusted.RESULT_LIMIT)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=StepResult)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        other = _of_another_version(content)
        if other is not None:
            return other
        raise Refused(f"{name}: is no result file: {str(error)[:200]}. Run {task_id} again.") from None


def _of_another_version(content: bytes) -> StepResult | None:
    """What can be told of a file that is not laid out as this version is; None: it is no other version either."""
    try:
        found = msgspec.json.decode(content, type=_AnyVersion)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if protocol.is_read_by_steps(found.protocol):
        return None
    image = found.identity.get("image")
    return StepResult(
        protocol=found.protocol,
        identity=Identity(image=image if isinstance(image, str) else None),
        environment="",
        container=found.container,
        started="",
        finished="",
    )


def rebuild(image: str | None) -> str:
    """The command that builds ``image`` anew, as ``BULKHEAD_IMAGE`` names it; None: nobody said which, so all."""
    name = (image or "").partition("@")[0].rpartition("/")[2].partition(":")[0]
    return f"'just build-images {name}'" if name else "'just build-images'"


_FIRST_STEPS: dict[JournalName, str] = {"training": "preprocessing", "inference": "generate_inf_data"}


def source_of_run(folder: Path, journal: JournalName) -> str | None:
    """The table that the pipeline in this run folder reads, as its first step says; None: it has not said."""
    first = read(folder, _FIRST_STEPS[journal])
    data = first.facts.get("data") if first is not None else None
    source = data.get("source") if isinstance(data, dict) else None
    return source if isinstance(source, str) else None


REBUILD_AIRFLOW = "'just build-images airflow' and 'just up'"
"""The commands that bring the one who reads every step's result up to date."""


def facts_of(record: Success) -> dict[str, Any]:
    """What a result says of the outcome ``record``: little, the record has the rest."""
    names = {
        ModelRecord: ("model_filename", "model_hash", "sha256", "metrics"),
        InferenceRecord: ("model_used", "predictions_path", "rows"),
        Rollback: ("model_filename", "withdrawn"),
        Revocation: ("model_filename", "model_hash"),
    }[type(record)]
    facts = {name: msgspec.to_builtins(getattr(record, name)) for name in names}
    if isinstance(record, InferenceRecord) and (said := drift.sentence(record.drift)) is not None:
        facts["drift"] = said
        facts["drifted"] = record.drift.drifted[:MOST_DRIFTED_SHOWN] if record.drift is not None else []
    if isinstance(record, ModelRecord):
        facts["model_name"] = record.name
        if record.promotion is not None:
            facts["promotion"] = msgspec.to_builtins(record.promotion)
        elif record.serve is False:
            facts["serve"] = False
    return facts


def from_record(record: Success, environment: str, container: str) -> StepResult:
    """The result of a step whose outcome is in the journal, which is the truth.

    Args:
        record: what the step left in the journal.
        environment: the step's.
        container: the full id of its container.
    """
    now = clock.in_record(clock.now())
    return StepResult(
        protocol=protocol.PROTOCOL,
        identity=Identity(**{key: getattr(author(record), key) for key in Identity.__struct_fields__}),
        environment=environment,
        model_name=getattr(record, "model_name", None) or DEFAULT_NAME,
        container=container[:12],
        started=now,
        finished=now,
        facts=facts_of(record),
    )


def encode(result: StepResult) -> bytes:
    """``result`` as the file has it, for people too."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
