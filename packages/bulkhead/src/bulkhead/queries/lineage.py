"""Where a prediction came from, what depends on a model or on data, and what was decided about a model.

All of it is read from the two journals; nothing is kept. ``log_inference.txt`` is streamed, and memory does
not grow with it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from bulkhead import input_files, untrusted
from bulkhead.errors import Refused
from bulkhead.paths import SAMPLE
from bulkhead.queries import references
from bulkhead.registry import chain, journal, record_lines, records
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.records import (
    InferenceRecord,
    ModelRecord,
    Quarantine,
    Rejection,
    Removal,
    Revocation,
    Rollback,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bulkhead.identity import Identity
    from bulkhead.registry.records import Record, Unreadable
    from bulkhead.registry.serving import RegistryState
    from bulkhead.registry.store import Registry

    Locate = Callable[[str], tuple[Path, str] | None]
    """Where a record's path is on this machine: a folder of it, and the path below that; None: nowhere."""


class File(msgspec.Struct, frozen=True):
    """A file that a record names, and whether it is still the one recorded."""

    what: str
    path: str
    sha256: str | None
    state: str
    """``as recorded``, ``altered``, ``missing``, ``not readable``, ``no hash recorded`` or ``not here``. What is a link
    or no plain file is ``not readable``."""


class AirflowTask(msgspec.Struct, frozen=True):
    """A task of Airflow that had a part in it."""

    what: str
    dag_id: str
    run_id: str
    task_id: str | None
    try_number: int | None
    url: str


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The chain from predictions back to where they came from."""

    inference: InferenceRecord
    model: ModelRecord | None
    """Its record in the inference's environment; None: the journal has none."""
    short_name: str | None
    """What people call the model, as in ``churn #12``."""
    out_of_service: str | None
    """Why the model may not be used any more."""
    files: list[File]
    runs: list[AirflowTask]
    broken: list[str]
    """Where the chain does not hold; empty: it does."""


def trace(registry: Registry, state: RegistryState, inference: InferenceRecord, locate: Locate, airflow: str) -> Trace:
    """The trace of ``inference``; ``airflow``: the address of its web interface."""
    known = state.models.get(inference.model_used)
    model = None
    if known is not None:
        candidates = [*reversed(known.promotions), known.record]
        model = next((r for r in candidates if r.environment == inference.environment), known.record)
    # The recorded hash is that of the built-in table; the file that the record names holds it as Parquet.
    of_sample = inference.source == SAMPLE
    files = [
        _file("predictions", inference.predictions_path, inference.output_sha256, locate),
        _file("inference data", inference.inference_data, None if of_sample else inference.input_sha256, locate),
    ]
    attempts: list[tuple[str, Identity | None]] = [("inference", inference)]
    broken = []
    if model is None:
        broken.append(f"{registry.training_journal.name} has no record of {inference.model_used}, which predicted.")
    else:
        files.append(_file("model", f"models/{model.model_filename}", model.sha256, locate))
        if model.data is not None:
            files.append(_file("training data", model.data.path, model.data.sha256, locate))
        attempts += [("promotion", model.promotion), ("training", model)]
        if inference.environment not in (known.environments if known else ()):
            broken.append(f"{model.model_filename} was never published in {inference.environment}.")
        if inference.name != model.name:
            broken.append(
                f"the inference was for the model {inference.name}, and {model.model_filename} is a version of"
                f" {model.name}."
            )
        for what, used, recorded in (
            ("model_hash", inference.model_hash, model.model_hash),
            ("sha256", inference.model_sha256, model.sha256),
        ):
            if used is not None and used != recorded:
                broken.append(f"the model that predicted had the {what} {used}; its record says {recorded}.")
    looked_at = [file for file in files if file is not None]
    broken += [
        f"{file.path} is not the {file.what} file that was recorded."
        for file in looked_at
        if file.what in ("predictions", "model") and file.state == "altered"
    ]
    return Trace(
        inference=inference,
        model=model,
        short_name=known.short_name if known else None,
        out_of_service=known.out_of_service if known else None,
        files=looked_at,
        runs=[run for what, attempt in attempts if (run := _run(what, attempt, airflow)) is not None],
        broken=broken,
    )


def _file(what: str, path: str | None, sha256: str | None, locate: Locate) -> File | None:
    return None if path is None else File(what, path, sha256, _state(locate(path), sha256))


def _state(place: tuple[Path, str] | None, sha256: str | None) -> str:
    if place is None:
        return "not here"
    try:
        found = _hash_of(*place)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError, untrusted.Untrusted):  # ValueError: a path that a hand has put a null byte into
        return "not readable"
    if sha256 is None:
        return "no hash recorded"
    return "as recorded" if found == sha256 else "altered"


def _hash_of(root: Path, relative: str) -> str:
    """The SHA-256 of a file; of the inputs' folder or pattern that a source named, that of all files together."""
    folder, _, name = relative.partition("/")
    if folder == "inputs" and (input_files.is_pattern(name) or (root / relative).is_dir()):
        try:
            found = input_files.find(name, root / folder)
        except Refused:
            raise FileNotFoundError(relative) from None
        if not found.is_one:
            hashes = ((file.name, untrusted.hash_of(root, f"{folder}/{file.name}")) for file in found.files)
            return input_files.combined_sha256(hashes, is_one=False)
    return untrusted.hash_of(root, relative)


def _run(what: str, attempt: Identity | None, airflow: str) -> AirflowTask | None:
    if attempt is None or not attempt.dag_id or not attempt.run_id:
        return None
    return AirflowTask(
        what, attempt.dag_id, attempt.run_id, attempt.task_id, attempt.try_number, url_of(attempt, airflow)
    )


def url_of(attempt: Identity, airflow: str) -> str:
    """Where Airflow's web interface, at ``airflow``, shows ``attempt``."""
    steps = [("dags", attempt.dag_id), ("runs", attempt.run_id), ("tasks", attempt.task_id)]
    if attempt.task_id and attempt.map_index is not None and attempt.map_index >= 0:
        steps.append(("mapped", str(attempt.map_index)))
    path = "".join(f"/{step}/{quote(name, safe='')}" for step, name in steps if name)
    number = f"?try_number={attempt.try_number}" if attempt.task_id and (attempt.try_number or 0) > 0 else ""
    return airflow.rstrip("/") + path + number


class ImpactScope(msgspec.Struct, frozen=True):
    """What a question about dependents is about: a model, or data and every model trained on it."""

    models: list[ModelRecord]
    """Publications, oldest first."""
    data: str | None
    """The SHA-256 of the data; None: it is about a model alone."""


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """What depends on a model or on data, counted, with the newest of it."""

    models: list[ModelRecord]
    inferences: int
    rows: int
    """Predictions that these made."""
    on_data: int
    """Inferences that had the data as their input."""
    newest: list[InferenceRecord]
    """The last of them, oldest first."""


def reach_of_data(state: RegistryState, sha256: str) -> ImpactScope:
    """What to look for when the data with this hash turns out to be wrong."""
    return ImpactScope([known.record for known in state.models.values() if sha256 in references.data_of(known)], sha256)


class _Use(msgspec.Struct, frozen=True):
    """The keys that make an inference depend on something."""

    model_used: str | None = None
    input_sha256: str | None = None


def dependents(registry: Registry, reach: ImpactScope) -> Iterator[InferenceRecord]:
    """Every inference by the models of ``reach`` or on its data, oldest first."""
    names = {record.model_filename for record in reach.models}
    for offset, line in journal.lines(registry.inference_journal):
        use = references.peek(line, _Use)
        if use is None or not (use.model_used in names or (reach.data and use.input_sha256 == reach.data)):
            continue
        record = record_lines.decode(line, offset)
        if isinstance(record, InferenceRecord):
            yield record


def impact(registry: Registry, reach: ImpactScope, limit: int) -> Impact:
    """The dependents of ``reach`` counted; the newest ``limit`` of them are kept."""
    newest: deque[InferenceRecord] = deque(maxlen=limit)
    inferences = rows = on_data = 0
    for record in dependents(registry, reach):
        inferences += 1
        rows += rows_of(record) or 0
        on_data += reach.data is not None and record.input_sha256 == reach.data
        newest.append(record)
    return Impact(
        models=reach.models,
        inferences=inferences,
        rows=rows,
        on_data=on_data,
        newest=list(newest),
    )


def rows_of(record: InferenceRecord) -> int | None:
    """How many predictions ``record`` is of; legacy records have only the list."""
    if record.rows is None and isinstance(record.predictions, list):
        return len(record.predictions)
    return record.rows


def twins(state: RegistryState, filename: str) -> list[str]:
    """Other model files of the same model: what was fitted has the same hash, in another training."""
    model_hash = state.models[filename].record.model_hash
    return [name for name, known in state.models.items() if known.record.model_hash == model_hash and name != filename]


def is_by_hand(line: bytes) -> bool:
    """Whether the record in ``line`` was made without the registrar: it has a place in the chain, and no signature."""
    link = chain.parse(line)
    return link is not None and link.key is None


def history(lines: Iterable[tuple[int, bytes]], filename: str) -> list[tuple[Record, bool]]:
    """What the lines of the journal say of the model file ``filename``: its publication, and what came after it.

    That is each decision about it, each note and each tag. Oldest first, each with whether it was recorded by hand.
    """
    found = []
    for offset, line in lines:
        entry = record_lines.decode(line, offset)
        if not isinstance(entry, records.Unreadable) and _concerns(entry, filename):
            found.append((entry, is_by_hand(line)))
    return found


def _concerns(entry: Record | Unreadable, filename: str) -> bool:
    match entry:
        case ModelRecord() | Revocation() | Rejection() | Note() | Tag():
            return entry.model_filename == filename
        case Rollback():
            return filename in (entry.model_filename, *entry.withdrawn)
        case Removal():
            return f"models/{filename}" in entry.paths
        case Quarantine(offset=None):
            return entry.path == f"models/{filename}"
    return False


def told(entry: Record, filename: str) -> tuple[str, str]:
    """When ``entry`` was recorded, and what it says of the model file ``filename``."""
    match entry:
        case ModelRecord(promotion=None):
            unserved = " without being served" if entry.serve is False else ""
            return entry.training_timestamp, f"published in {entry.environment}{unserved}"
        case ModelRecord(promotion=promotion) if promotion is not None:
            replaced = f", replacing {promotion.replaces}" if promotion.replaces else ""
            what = f"promoted from {promotion.origin} to {entry.environment}{replaced}"
            what += f", asked for by {promotion.requested_by}" if promotion.requested_by else ""
            return promotion.promotion_time, _by(what, promotion.by, promotion.reason)
        case Rejection():
            asked = f", asked for by {entry.requested_by}" if entry.requested_by else ""
            by = f" by {entry.by}" if entry.by else ""
            what = f"promotion to {entry.environment} {entry.outcome}{by}{asked}: {entry.reason}"
            return entry.rejection_time, what
        case Rollback():
            back = entry.model_filename == filename
            what = f"served again in {entry.environment}" if back else f"rolled back in {entry.environment}"
            return entry.rollback_time, _by(what, entry.by, entry.reason)
        case Revocation():
            return entry.revocation_time, _by("revoked", entry.by, entry.reason)
        case Note():
            return entry.note_time, f"noted by {entry.by}: {entry.text}"
        case Tag():
            what = f"tag {entry.key} " + ("removed" if entry.value is None else f"set to {entry.value}")
            return entry.tag_time, f"{what} by {entry.by}"
        case Removal():
            return entry.removal_time, _by("file removed", entry.by, entry.reason)
        case Quarantine():
            what = f"file put into {entry.moved_to}"
            return entry.quarantine_time, _by(what, entry.by, entry.reason)
    return "-", type(entry).__name__


def _by(what: str, by: str, reason: str) -> str:
    return f"{what} by {by}: {reason}"
