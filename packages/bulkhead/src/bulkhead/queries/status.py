"""Where each published model stands, in words: what lists and pages show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from bulkhead.registry.serving import RegistryState


_PLACES = ("served", "previous", "earlier")


class VersionStatus(msgspec.Struct, frozen=True):
    """A publication or promotion, and what has become of it."""

    record: ModelRecord
    served: bool
    """This environment serves it."""
    words: list[str]
    """``served``, ``previous`` (what a rollback serves), ``earlier`` or ``rolled back``; or why it is out of service.
    Then what else a person should know."""

    @property
    def trouble(self) -> bool:
        """It is served, and an inference will be refused."""
        return self.served and not {"missing", "removed", "quarantined", "unverifiable"}.isdisjoint(self.words)


def version_statuses(state: RegistryState, files: set[str]) -> list[VersionStatus]:
    """Where each publication and promotion stands, in the order of the log; ``files``: the names in ``models/``."""
    places = {
        id(record): place
        for environment in state.environments
        for place, record in enumerate(state.serving_order(environment))
    }
    return [
        VersionStatus(record, places.get(id(record)) == 0, _words(state, record, places.get(id(record)), files))
        for record in state.records
    ]


def _words(state: RegistryState, record: ModelRecord, place: int | None, files: set[str]) -> list[str]:
    model = state.models[record.model_filename]
    if model.revocation is not None:
        words = ["revoked"]
    elif place is None:
        words = ["rolled back"]
    else:
        words = [_PLACES[min(place, len(_PLACES) - 1)]]
    if model.removal is not None:
        words.append("removed")
    elif model.quarantine is not None:
        words.append("quarantined")
    elif record.model_filename not in files:
        words.append("missing")
    if record.sha256 is None:
        words.append("unverifiable")
    if record.promotion is not None:
        words.append(f"promoted from {record.promotion.origin}")
    return words
