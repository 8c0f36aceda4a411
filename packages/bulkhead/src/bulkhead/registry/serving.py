"""What the records of ``log.txt`` mean together: which model version an environment serves, and the others' state.

Each model has a serving order in each environment. Publishing and promoting put a model version at its front; a
rollback takes out those that it names; a revocation takes the model version out of every serving order, for ever.
The first in the order is served. A removal or a quarantine takes nothing out: a served file that is gone is
an error to be seen, not a reason to serve another one in silence.

:class:`RegistryState` is the only place that decides this: the command line, the Models page, its API,
verify and a step that looks for its model all ask it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal

import msgspec

from bulkhead import formatting
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registry.records import Decision, ModelRecord, Quarantine, Rejection, Removal, Revocation, Rollback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bulkhead.registry.records import Record, Unreadable

ServingState = Literal["served", "previous", "earlier", "rolled back", "revoked", "not served"]
"""``previous`` is what a rollback serves, ``earlier`` what comes after it in the serving order; ``not served`` was
published so."""


class ModelVersion(msgspec.Struct):
    """One model file and everything that was recorded of it."""

    record: ModelRecord
    """Of its publication."""
    promotions: list[ModelRecord] = []
    decisions: list[Decision] = []
    """Every rollback, revocation, rejection, removal and quarantine that names it, oldest first."""
    revocation: Revocation | None = None
    removal: Removal | None = None
    quarantine: Quarantine | None = None

    @property
    def name(self) -> str:
        """Of which model it is a version."""
        return self.record.name

    @property
    def publications(self) -> list[ModelRecord]:
        """Its publication, then its promotions."""
        return [self.record, *self.promotions]

    @property
    def environments(self) -> list[str]:
        """Where it was published or promoted to, in this order."""
        return list(dict.fromkeys(record.environment for record in self.publications))

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
        """Every publication and promotion, in the order of the journal."""
        # By environment and name; then by id: each record is kept in self.records. The last one is served.
        self._serving: dict[tuple[str, str], dict[int, ModelRecord]] = {}
        for record in records:
            self.feed(record)

    def feed(self, record: Record | Unreadable) -> None:
        """Take in the next record; those that decide nothing are passed over."""
        match record:
            case ModelRecord():
                self._publish(record)
            case Rollback():
                self._roll_back(record)
            case Rejection() | Revocation():
                for model in self._named(record, record.model_filename):
                    if isinstance(record, Revocation):
                        model.revocation = model.revocation or record
                        self._take_out(model.publications)
            case Removal():
                for model in self._named(record, *map(_model_in, record.paths)):
                    model.removal = record
            case Quarantine(offset=None):
                for model in self._named(record, _model_in(record.path)):
                    model.quarantine = record

    def serving_order(self, environment: str, name: str = DEFAULT_NAME) -> list[ModelRecord]:
        """The versions of ``name`` that ``environment`` could serve: the served one first, then what follows it."""
        return list(self._newest_first(environment, name))

    def served(self, environment: str, name: str = DEFAULT_NAME) -> ModelRecord | None:
        """The version of ``name`` that ``environment`` serves: the newest not rolled back or revoked."""
        return next(self._newest_first(environment, name), None)

    def previous(self, environment: str, name: str = DEFAULT_NAME) -> ModelRecord | None:
        """The version that a rollback of ``name`` in ``environment`` would serve."""
        return next(islice(self._newest_first(environment, name), 1, None), None)

    def state_of(self, record: ModelRecord) -> ServingState:
        """The state of ``record``, one of :attr:`records`, in its environment."""
        if self.models[record.model_filename].revocation is not None:
            return "revoked"
        if record.serve is False and record.promotion is None:
            return "not served"
        place = record.environment, record.name
        if id(record) not in self._serving[place]:
            return "rolled back"
        if record is self.served(*place):
            return "served"
        return "previous" if record is self.previous(*place) else "earlier"

    @property
    def environments(self) -> list[str]:
        """Every environment that ever had a model."""
        return sorted({environment for environment, _ in self._serving})

    @property
    def places(self) -> list[tuple[str, str]]:
        """Every environment and name that ever had a version: the model that comes with the project first."""
        return sorted(self._serving, key=lambda place: (place[0], place[1] != DEFAULT_NAME, place[1]))

    @property
    def names(self) -> list[str]:
        """Every name that ever had a version: the model that comes with the project first."""
        return sorted({name for _, name in self._serving}, key=lambda name: (name != DEFAULT_NAME, name))

    def _newest_first(self, environment: str, name: str) -> Iterator[ModelRecord]:
        return reversed(self._serving.get((environment, name), {}).values())

    def _named(self, decision: Decision, *names: str) -> Iterator[ModelVersion]:
        for name in dict.fromkeys(names):
            if name in self.models:
                self.models[name].decisions.append(decision)
                yield self.models[name]

    def _publish(self, record: ModelRecord) -> None:
        self.records.append(record)
        known = self.models.get(record.model_filename)
        if known is None:
            self.models[record.model_filename] = ModelVersion(record)
        else:
            known.promotions.append(record)
        order = self._serving.setdefault((record.environment, record.name), {})
        is_offered = record.serve is not False or record.promotion is not None
        if is_offered and (known is None or known.revocation is None):
            order[id(record)] = record

    def _roll_back(self, rollback: Rollback) -> None:
        for name in rollback.withdrawn:
            known = self.models.get(name)
            order = self._serving.get((rollback.environment, known.name), {}) if known else {}
            newest_first = reversed(known.publications) if known else ()
            place = next((id(record) for record in newest_first if id(record) in order), None)
            if place is not None:
                del order[place]
        for _ in self._named(rollback, rollback.model_filename, *rollback.withdrawn):
            pass

    def _take_out(self, records: Iterable[ModelRecord]) -> None:
        for record in records:
            self._serving[record.environment, record.name].pop(id(record), None)


def served(
    newest_first: Iterable[Record | Unreadable], environment: str, name: str = DEFAULT_NAME
) -> ModelRecord | None:
    """The version of ``name`` that ``environment`` serves, as :class:`RegistryState` decides it on the end of the log.

    An older record changes nothing about a newer model: a rollback or revocation is younger than the model it takes
    out. So what the last records serve by themselves is served, and reading stops there.

    Not so where somebody adds a model's line by hand below its revocation; ``verify`` says so.
    """
    read: list[Record] = []
    models, enough = 0, 1
    for record in newest_first:
        if not isinstance(record, ModelRecord | Rollback | Revocation):
            continue
        read.append(record)
        if isinstance(record, ModelRecord) and (record.environment, record.name) == (environment, name):
            models += 1
            if models == enough:
                found = RegistryState(reversed(read)).served(environment, name)
                if found is not None:
                    return found
                enough *= 2  # so that a thousand rolled back models are not gone through a thousand times
    return RegistryState(reversed(read)).served(environment, name)


def revoked(record: Revocation) -> str:
    """Why the model of ``record`` may not be used."""
    return f"it was revoked by {record.by} on {formatting.time(record.revocation_time)}: {record.reason}"


def removed(record: Removal) -> str:
    """Why the model of ``record`` cannot be used."""
    return f"its file was removed by {record.by} on {formatting.time(record.removal_time)}: {record.reason}"


def quarantined(record: Quarantine) -> str:
    """Why the model of ``record`` cannot be used."""
    when = formatting.time(record.quarantine_time)
    return f"its file was put into {record.moved_to} on {when}: {record.reason}"


def _model_in(path: str) -> str:
    return path.removeprefix("models/")
