"""A record to the line that is appended, and a line to the record that it holds, or to why it holds none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.records import (
    Acceptance,
    Anchor,
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Quarantine,
    Rejection,
    Removal,
    Revocation,
    Rollback,
    TrainingFailure,
    Unreadable,
)

if TYPE_CHECKING:
    from bulkhead.registry.records import Record

_KIND_BY_KEY: dict[str, type[Record]] = {
    # Before ModelRecord: some of these name a model file too.
    "rollback_time": Rollback,
    "revocation_time": Revocation,
    "rejection_time": Rejection,
    "removal_time": Removal,
    "quarantine_time": Quarantine,
    "note_time": Note,
    "tag_time": Tag,
    "model_filename": ModelRecord,
    "error_timestamp": TrainingFailure,
    "inference_time": InferenceRecord,
    "error_time": InferenceFailure,
    "anchor_time": Anchor,
    "acceptance_time": Acceptance,
}


def encode(record: Record) -> bytes:
    """``record`` as the one line that is appended, line break included."""
    # The keys of the original format stay first, where people and scripts look for them: a class's own
    # before those of its base.
    keys: dict[str, None] = {}
    for kind in type(record).__mro__[:-2]:  # without msgspec.Struct and object
        keys |= dict.fromkeys(kind.__annotations__)
    content = {key: getattr(record, key) for key in keys}
    return msgspec.json.encode({key: value for key, value in content.items() if value is not msgspec.UNSET}) + b"\n"


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


class _Slim(InferenceRecord, frozen=True, forbid_unknown_fields=True, gc=False):
    """An inference as this program writes it; its predictions are looked through and not made into numbers."""

    predictions: msgspec.Raw = msgspec.Raw(b"null")
    seq: int | None = None
    prev: str | None = None
    key: str | None = None
    hmac: str | None = None


_decode_slim = msgspec.json.Decoder(_Slim).decode


def decode_slim(line: bytes, offset: int = 0) -> Record | Unreadable:
    """As :func:`decode`, but three times as fast where this program wrote an inference, whose predictions stay JSON."""
    # Text that is no UTF-8 and a number beyond all bounds are only looked through here, and refused by the slower way.
    if line.startswith(b'{"inference_time"') and line.isascii():
        try:
            record = _decode_slim(line)
        except (msgspec.DecodeError, RecursionError):
            return decode(line, offset)
        if b"e" not in (numbers := bytes(record.predictions)) and b"E" not in numbers:
            return record
    return decode(line, offset)
