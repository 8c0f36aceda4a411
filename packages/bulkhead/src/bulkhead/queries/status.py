"""The states of each published model version, in words: what lists and pages show."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import one_line
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bulkhead.registry.serving import RegistryState

_UNUSABLE = {"missing", "removed", "quarantined", "unverifiable"}
_LONGEST_NAME = 40


class VersionStatus(msgspec.Struct, frozen=True):
    """A publication or promotion, and what has become of it."""

    record: ModelRecord
    states: list[str]
    """``served``, ``previous`` (what a rollback serves), ``earlier``, ``rolled back``, ``revoked`` or ``not served``
    (published so); then ``removed``, ``quarantined`` or ``missing`` (its file), ``unverifiable`` (recorded without a
    hash), and where it was promoted from."""
    short_name: str
    """As in ``churn #12``."""
    tags: dict[str, str]
    """Values by key."""

    @property
    def served(self) -> bool:
        """This environment serves it."""
        return self.states[0] == "served"

    @property
    def served_but_unusable(self) -> bool:
        """It is served, and an inference will be refused."""
        return self.served and not _UNUSABLE.isdisjoint(self.states)


def version_statuses(
    state: RegistryState, models: Path, records: Iterable[ModelRecord] | None = None
) -> list[VersionStatus]:
    """The status of each of ``records`` (of ``state``; None: all of them), whose files are in the folder ``models``."""
    chosen = state.records if records is None else records
    found = []
    for record in chosen:
        model = state.models[record.model_filename]
        tags = {key: tag.value or "" for key, tag in model.tags.items()}
        found.append(VersionStatus(record, _states(state, record, models), model.short_name, tags))
    return found


def _states(state: RegistryState, record: ModelRecord, models: Path) -> list[str]:
    model = state.models[record.model_filename]
    states: list[str] = [state.state_of(record)]
    if model.removal is not None:
        states.append("removed")
    elif model.quarantine is not None:
        states.append("quarantined")
    elif not _has_file(models, record.model_filename):
        states.append("missing")
    if record.sha256 is None:
        states.append("unverifiable")
    if record.promotion is not None:
        states.append(f"promoted from {one_line(record.promotion.origin, _LONGEST_NAME)}")
    return states


def _has_file(models: Path, name: str) -> bool:
    try:
        return "/" not in name and stat.S_ISREG((models / name).lstat().st_mode)
    except (OSError, ValueError):  # a name that no file can have
        return False
