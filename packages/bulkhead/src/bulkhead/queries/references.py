"""How people name what the registry holds: a model by its name and number, data by its hash, an inference by much."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bulkhead.errors import NoModel, Refused, one_line, short
from bulkhead.registry import journal, record_lines
from bulkhead.registry.records import InferenceRecord, ModelRecord, Promotion
from bulkhead.registry.serving import RegistryState
from bulkhead.registry.store import MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry

SHORTEST = 6
"""Characters of a hash that name something."""
_WHOLE = 64  # a SHA-256 in hex
_TO_THE_SECOND = len("2026-11-23T06:36:24")
_CANDIDATES = 3
_SHORT_NAME = re.compile(r"\s*(\S*?)\s*#\s*([1-9][0-9]{0,9})\s*")
"""``churn #12``; without blanks, or without the name, too."""

Glance = TypeVar("Glance", bound=msgspec.Struct)


class Ambiguous(Refused):
    """Several models could be meant; the sentence lists them."""


def resolve_model(state: RegistryState, name: str, of: str | None = None) -> ModelVersion:
    """The model that ``name`` means.

    Args:
        state: what there is.
        name: its short name (``churn #12``, or ``#12`` where one model alone has so many versions), the beginning of
            its hash, or its file, with or without a folder before it.
        of: the model whose version a number alone is, where that is known.

    Raises:
        NoModel: there is none; the sentence lists some that there are.
        Ambiguous: there are several.
    """
    known = state.models.get(name) or state.models.get(PurePosixPath(name).name)
    if known is not None:
        return known
    model, number = _short_name(name, of)
    if number is not None:
        found = [one for one in state.models.values() if one.number == number and model in ("", one.name)]
        how, otherwise = "is the short name", "its file" if model else "the model before the number, or its file"
    else:
        found = [one for one in state.models.values() if _begins(one.record.model_hash, name)]
        how, otherwise = "begins the hash", "its short name or its file"
    if len(found) > 1:
        raise Ambiguous(f"{short(name)} {how} of {len(found)} models: {_newest(found)}. Name {otherwise}.")
    if found:
        return found[0]
    if not state.models:
        raise NoModel(
            f"models/log.txt has no model yet, so not {short(name, 100)} either. Run a train_model DAG first."
        )
    model = name.partition("#")[0].strip() or model
    alike = [one for one in state.models.values() if one.name == model]
    alike = alike or [one for file, one in state.models.items() if name and name in file]
    raise NoModel(
        f"models/log.txt has no model {short(name, 100)}. Name it as 'churn #12', by {SHORTEST} or more characters of"
        f" its hash, or by its file: {_newest(alike or state.models.values())}; 'just registry list' shows all."
    )


def filename_of(registry: Registry, name: str, of: str | None = None) -> str:
    """The file of the model that ``name`` means, as :func:`resolve_model`; what looks like a file is not looked up.

    Raises:
        NoModel: as :func:`resolve_model`.
        Ambiguous: as :func:`resolve_model`.
    """
    filename = PurePosixPath(name).name
    if MODEL_NAME.fullmatch(filename):
        return filename
    state = RegistryState()
    for offset, line in journal.lines(registry.training_journal):
        if b'"training_timestamp"' not in line:  # in each publication, and in no other record
            continue
        record = peek(line, _Named)
        if record is None:
            continue
        # What says no number is counted, so only if other readers count it too.
        if record.version is None and not isinstance(record_lines.decode(line, offset), ModelRecord):
            continue
        state.feed(ModelRecord(**msgspec.structs.asdict(record)))
    return resolve_model(state, name, of).record.model_filename


class _Named(msgspec.Struct, frozen=True):
    """As much of a publication as it is named by: of ten thousand, the coefficients would fill a step's memory."""

    model_hash: str
    model_filename: str
    training_timestamp: str
    environment: str
    model_name: str | None = None
    version: int | None = None
    promotion: Promotion | None = None


def _short_name(name: str, of: str | None) -> tuple[str, int | None]:
    """The model and the number that ``name`` says; no number: it is no short name."""
    found = _SHORT_NAME.fullmatch(name)
    return (found[1] or of or "", int(found[2])) if found else ("", None)


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
            " inference_time or a run_id as 'just registry list --inferences' shows them. A failed run is in"
            " 'just registry list --failures'."
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
    newest_first = [*models][::-1]
    more = f" and {len(newest_first) - _CANDIDATES} more" if len(newest_first) > _CANDIDATES else ""
    return ", ".join(one_line(one.called, 200) for one in newest_first[:_CANDIDATES]) + more
