"""Which number the next version of a model has: found at the end of ``log.txt``, whatever its length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.model_name import DEFAULT_NAME, is_number
from bulkhead.registry import journal, record_lines
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from pathlib import Path

_KEY = b'"training_timestamp"'
"""Stands in each publication, and in no other record."""


class _Glance(msgspec.Struct, frozen=True):
    """What tells of most publications that they are another model's, or promotions."""

    model_name: str | None = None
    promotion: msgspec.Raw = msgspec.Raw(b"null")


_glance = msgspec.json.Decoder(_Glance).decode


def next_number(path: Path, name: str) -> int:
    """The number of the next version of the model ``name``, by the journal at ``path``.

    Ask with the registry's lock held. It is the one that :class:`~bulkhead.registry.serving.RegistryState` would give
    it: one more than the version before it has; records that say none are counted.
    """
    more = 1
    # What a name that has no version yet would have decoded, is all of a long journal.
    spelled = b"" if name == DEFAULT_NAME else msgspec.json.encode(name)
    for offset, line in journal.lines_newest_first(path):
        if _KEY not in line or spelled not in line or not _may_be_of(line, name):
            continue
        record = record_lines.decode(line, offset)
        if not isinstance(record, ModelRecord) or record.promotion is not None or record.name != name:
            continue
        if record.version is not None and is_number(record.version):
            return record.version + more
        more += 1
    return more


def _may_be_of(line: bytes, name: str) -> bool:
    try:
        seen = _glance(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # no record either
    return bytes(seen.promotion) == b"null" and (seen.model_name or DEFAULT_NAME) == name
