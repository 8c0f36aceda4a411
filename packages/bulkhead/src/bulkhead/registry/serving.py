"""What the records of ``log.txt`` mean together: which model an environment serves, and what became of the others.

Each environment has a serving_order of models. Publishing and promoting lay one on top; a rollback takes off
those that it names; a revocation takes the model out of every serving_order, for ever. What lies on top is
served. A removal or a quarantine takes no model off: a served file that is gone is an error to be
seen, not a reason to serve another one in silence.

:class:`RegistryState` reads the log from its beginning and knows everything; :func:`served` reads it from its
end and stops at the answer. Both give the same, for any log that this program wrote; where somebody
adds a model's line by hand below its revocation, they differ, and ``verify`` says so.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from bulkhead.registry.records import ModelRecord, Quarantine, Removal, Revocation, Rollback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bulkhead.registry.records import Record, Unreadable


class ModelVersion(msgspec.Struct):
    """One model file and everything that was recorded of it."""

    record: ModelRecord
    """Of its publication."""
    promotions: list[ModelRecord] = []
    revocation: Revocation | None = None
    removal: Removal | None = None
    quarantine: Quarantine | None = None

    @property
    def environments(self) -> list[str]:
        """Where it was published or promoted to, in this order."""
        return list(dict.fromkeys([self.record.environment, *(record.environment for record in self.promotions)]))

    @property
    def out_of_service(self) -> str | None:
        """Why nobody may use it any more; None: it may be used."""
        if self.revocation is not None:
            return revoked(self.revocation)
        if self.removal is not None:
            return removed(self.removal)
        if self.quarantine is not None:
            return quarantined(self.quarantine)
        return None


class RegistryState:
    """The state of the registry: feed it every record of ``log.txt``, oldest first."""

    def __init__(self, records: Iterable[Record | Unreadable] = ()) -> None:
        self.models: dict[str, ModelVersion] = {}
        """By file name, oldest first."""
        self.records: list[ModelRecord] = []
        """Every publication and promotion, in the order of the log."""
        self._piles: dict[str, list[ModelRecord]] = {}
        for record in records:
            self.feed(record)

    def feed(self, record: Record | Unreadable) -> None:
        """Take in the next record; those that decide nothing are passed over."""
        match record:
            case ModelRecord():
                self._publish(record)
            case Rollback():
                self._withdraw(record)
            case Revocation():
                for model in self._named(record.model_filename):
                    model.revocation = model.revocation or record
            case Removal():
                for model in self._named(*map(_model_in, record.paths)):
                    model.removal = record
            case Quarantine(offset=None):
                for model in self._named(_model_in(record.path)):
                    model.quarantine = record

    def serving_order(self, environment: str) -> list[ModelRecord]:
        """The models that ``environment`` could serve, the served one first, then what it would roll back to."""
        return list(self._servable(environment))

    def served(self, environment: str) -> ModelRecord | None:
        """The model that ``environment`` serves."""
        return next(self._servable(environment), None)

    @property
    def environments(self) -> list[str]:
        """Every environment that ever had a model."""
        return sorted(self._piles)

    def _servable(self, environment: str) -> Iterator[ModelRecord]:
        serving_order = reversed(self._piles.get(environment, []))
        return (record for record in serving_order if self.models[record.model_filename].revocation is None)

    def _named(self, *names: str) -> Iterator[ModelVersion]:
        return (self.models[name] for name in names if name in self.models)

    def _publish(self, record: ModelRecord) -> None:
        self.records.append(record)
        known = self.models.get(record.model_filename)
        if known is None:
            self.models[record.model_filename] = ModelVersion(record)
        else:
            known.promotions.append(record)
        self._piles.setdefault(record.environment, []).append(record)

    def _withdraw(self, rollback: Rollback) -> None:
        serving_order = self._piles.get(rollback.environment, [])
        for name in rollback.withdrawn:
            place = next(
                (i for i in reversed(range(len(serving_order))) if serving_order[i].model_filename == name), None
            )
            if place is not None:
                del serving_order[place]


def served(newest_first: Iterable[Record | Unreadable], environment: str) -> ModelRecord | None:
    """The model that ``environment`` serves; reads only as far back as it must."""
    revoked_names: set[str] = set()
    withdrawn: Counter[str] = Counter()
    for record in newest_first:
        match record:
            case Revocation():
                revoked_names.add(record.model_filename)
            case Rollback() if record.environment == environment:
                withdrawn.update(record.withdrawn)
            case ModelRecord() if record.environment == environment:
                if withdrawn[record.model_filename]:
                    withdrawn[record.model_filename] -= 1
                elif record.model_filename not in revoked_names:
                    return record
    return None


def revoked(record: Revocation) -> str:
    """Why the model of ``record`` may not be used."""
    return f"it was revoked by {record.by} on {record.revocation_time[:19]}: {record.reason}"


def removed(record: Removal) -> str:
    """Why the model of ``record`` cannot be used."""
    return f"its file was removed by {record.by} on {record.removal_time[:19]}: {record.reason}"


def quarantined(record: Quarantine) -> str:
    """Why the model of ``record`` cannot be used."""
    return f"its file was put into {record.moved_to} on {record.quarantine_time[:19]}: {record.reason}"


def _model_in(path: str) -> str:
    return path.removeprefix("models/")
