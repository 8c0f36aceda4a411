"""How people name what the registry holds: a model by its file or its hash, data by its hash, an inference by much."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bulkhead.errors import NoModel, Refused, short
from bulkhead.registry import journal, record_lines
from bulkhead.registry.records import InferenceRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bulkhead.registry.serving import ModelVersion, RegistryState
    from bulkhead.registry.store import Registry

SHORTEST = 6
"""Characters of a hash that name something."""
_WHOLE = 64  # a SHA-256 in hex
_TO_THE_SECOND = len("2026-11-23T06:36:24")
_CANDIDATES = 3

Glance = TypeVar("Glance", bound=msgspec.Struct)


def resolve_model(state: RegistryState, name: str) -> ModelVersion:
    """The model that ``name`` means: its file, with or without a folder before it, or the beginning of its hash.

    Raises:
        NoModel: there is none; the sentence lists some that there are.
        Refused: several have a hash that begins so; the sentence lists them.
    """
    known = state.models.get(name) or state.models.get(PurePosixPath(name).name)
    if known is not None:
        return known
    found = [known for known in state.models.values() if _begins(known.record.model_hash, name)]
    if len(found) > 1:
        raise Refused(f"{short(name)} begins the hash of {len(found)} models: {_newest(found)}. Name the file.")
    if found:
        return found[0]
    if not state.models:
        raise NoModel(
            f"models/log.txt has no model yet, so not {short(name, 100)} either. Run a train_model DAG first."
        )
    alike = [known for file, known in state.models.items() if name and name in file]
    raise NoModel(
        f"models/log.txt has no model {short(name, 100)}. Name a file, or {SHORTEST} or more characters of a hash:"
        f" {_newest(alike or state.models.values())}; 'just registry list' shows all."
    )


def resolve_data(state: RegistryState, name: str) -> str | None:
    """The SHA-256 of training data that ``name`` begins; a whole one is taken as it is. None: it is none.

    Raises:
        Refused: several begin so.
    """
    if re.fullmatch(f"[0-9a-f]{{{_WHOLE}}}", name.lower()):
        return name.lower()
    hashes = {sha256 for known in state.models.values() for sha256 in data_of(known) if _begins(sha256, name)}
    if len(hashes) > 1:
        shown = ", ".join(sorted(hashes)[:_CANDIDATES])
        raise Refused(f"{short(name)} begins the hash of {len(hashes)} tables: {shown}. Name more of it.")
    return next(iter(hashes), None)


def data_of(known: ModelVersion) -> set[str]:
    """The hashes of what ``known`` was trained on: the input file, and the table that was made of it."""
    record = known.record
    return {used.sha256 for used in (record.data, record.trained_on) if used is not None}


class _Inference(msgspec.Struct, frozen=True):
    """The keys by which an inference is named."""

    inference_time: str | None = None
    run_id: str | None = None
    predictions_path: str | None = None
    output_sha256: str | None = None


def resolve_inference(registry: Registry, name: str) -> InferenceRecord:
    """The inference that ``name`` means: its predictions file or their hash, its time, or its run.

    Reads ``log_inference.txt`` from its end: up to the answer for a path, which no two share, else all of it.

    Raises:
        Refused: there is none, or there are several; the sentence lists their times.
    """
    found: list[InferenceRecord] = []
    count = 0
    for record in _inferences(registry, name):
        count += 1
        if len(found) < _CANDIDATES:
            found.append(record)
        if record.predictions_path == name:
            break
    if count > 1:
        times = ", ".join(record.inference_time for record in found)
        more = f" and {count - len(found)} earlier ones" if count > len(found) else ""
        raise Refused(f"{short(name, 100)} names {count} inferences: {times}{more}. Name one by its time.")
    if not found:
        raise Refused(
            f"models/log_inference.txt has no inference {short(name, 200)}. Name a predictions file, its sha256, an"
            " inference_time or a run_id as 'just registry list --inferences' shows them."
        )
    return found[0]


def _inferences(registry: Registry, name: str) -> Iterator[InferenceRecord]:
    for offset, line in journal.lines_newest_first(registry.inference_journal):
        seen = peek(line, _Inference)
        if seen is None or seen.inference_time is None:
            continue
        if (
            name in (seen.predictions_path, seen.run_id, seen.inference_time)
            or _begins(seen.output_sha256 or "", name)
            or (len(name) >= _TO_THE_SECOND and seen.inference_time.startswith(name))
        ):
            record = record_lines.decode(line, offset)
            if isinstance(record, InferenceRecord):
                yield record


def peek(line: bytes, kind: type[Glance]) -> Glance | None:
    """The keys of ``kind`` in ``line``, the others unread; None where they are not there as they should be."""
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _begins(whole: str, name: str) -> bool:
    return len(name) >= SHORTEST and whole.lower().startswith(name.lower())


def _newest(models: Iterable[ModelVersion]) -> str:
    names = [known.record.model_filename for known in models][::-1]
    more = f" and {len(names) - _CANDIDATES} more" if len(names) > _CANDIDATES else ""
    return ", ".join(short(name, 100) for name in names[:_CANDIDATES]) + more
