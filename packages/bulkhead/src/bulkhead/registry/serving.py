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
from bulkhead.model_name import DEFAULT_NAME, is_number, short_name
from bulkhead.registry.notes import Note, Tag
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
    number: int = 1
    """Among the versions of its name: what its record says, else one more than the version before it has."""
    promotions: list[ModelRecord] = []
    decisions: list[Decision] = []
    """Every rollback, revocation, rejection, removal and quarantine that names it, oldest first."""
    revocation: Revocation | None = None
    removal: Removal | None = None
    quarantine: Quarantine | None = None
    notes: list[Note] = []
    """Oldest first."""
    tags: dict[str, Tag] = {}
    """By key, the newest, in the order in which they were first set; what was taken away is not among them."""

    @property
    def short_name(self) -> str:
        """What people call it: its name and number, as in ``churn #12``."""
        return short_name(self.name, self.number)

    @property
    def called(self) -> str:
        """What it is called in a sentence: by its short name and its file."""
        return f"{self.short_name} ({self.record.model_filename})"

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
        self._since: dict[tuple[str, str], tuple[int | None, str]] = {}
        """By environment and name: what is served, by id, and since when."""
        self._last_numbers: dict[str, int] = {}
        self._revoked: dict[str, list[ModelVersion]] = {}
        """By the hash of what was fitted."""
        for record in records:
            self.feed(record)

    def feed(self, record: Record | Unreadable) -> None:
        """Take in the next record; those that decide nothing are passed over."""
        match record:
            case ModelRecord():
                self._publish(record)
                time = record.promotion.promotion_time if record.promotion else record.training_timestamp
                self._note_since(time, [record])
            case Rollback():
                self._roll_back(record)
                self._note_since(record.rollback_time, self._named_by(record))
            case Rejection() | Revocation():
                self._judge(record)
            case Removal():
                for model in self._named(record, *map(_model_in, record.paths)):
                    model.removal = record
            case Quarantine(offset=None):
                for model in self._named(record, _model_in(record.path)):
                    model.quarantine = record
            case Note() | Tag():
                self._annotate(record)

    def next_number(self, record: ModelRecord) -> int:
        """The number that ``record`` has as the publication after those that were fed."""
        if record.version is not None and is_number(record.version):
            return record.version
        return self._last_numbers.get(record.name, 0) + 1

    def revoked_twin(self, filename: str) -> ModelVersion | None:
        """Another model version that was revoked, of which the file ``filename`` holds the same fitted model."""
        known = self.models.get(filename)
        twins = self._revoked.get(known.record.model_hash, ()) if known is not None else ()
        return next((twin for twin in twins if twin is not known), None)

    def serving_order(self, environment: str, name: str = DEFAULT_NAME) -> list[ModelRecord]:
        """The versions of ``name`` that ``environment`` could serve, the served one first."""
        return list(self._newest_first(environment, name))

    def served(self, environment: str, name: str = DEFAULT_NAME) -> ModelRecord | None:
        """The version of ``name`` that ``environment`` serves: the newest not rolled back or revoked."""
        return next(self._newest_first(environment, name), None)

    def previous(self, environment: str, name: str = DEFAULT_NAME) -> ModelRecord | None:
        """The version that a rollback of ``name`` in ``environment`` would serve."""
        return next(islice(self._newest_first(environment, name), 1, None), None)

    def served_since(self, environment: str, name: str = DEFAULT_NAME) -> str | None:
        """When ``environment`` came to serve the version of ``name`` that it serves, as recorded; None: it serves none.

        By its publication or promotion, or by the rollback or revocation that brought it back.
        """
        known, time = self._since.get((environment, name), (None, ""))
        return None if known is None else time

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
            number = self._last_numbers[record.name] = self.next_number(record)
            self.models[record.model_filename] = ModelVersion(record, number)
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

    def _note_since(self, time: str, records: Iterable[ModelRecord]) -> None:
        """Take note that the environments of ``records`` serve something else since ``time``, where they do."""
        for place in {(record.environment, record.name) for record in records}:
            served = self.served(*place)
            now = None if served is None else id(served)
            if self._since.get(place, (None, ""))[0] != now:
                self._since[place] = now, time

    def _named_by(self, rollback: Rollback) -> list[ModelRecord]:
        """The publications in its environment that ``rollback`` names."""
        names = (rollback.model_filename, *rollback.withdrawn)
        found = [record for name in names if name in self.models for record in self.models[name].publications]
        return [record for record in found if record.environment == rollback.environment]

    def _judge(self, record: Rejection | Revocation) -> None:
        for model in self._named(record, record.model_filename):
            if isinstance(record, Revocation) and model.revocation is None:
                model.revocation = record
                self._take_out(model.publications)
                self._note_since(record.revocation_time, model.publications)
                self._revoked.setdefault(model.record.model_hash, []).append(model)

    def _annotate(self, record: Note | Tag) -> None:
        model = self.models.get(record.model_filename)
        if model is None:
            return
        if isinstance(record, Note):
            model.notes.append(record)
        elif record.value is None:
            model.tags.pop(record.key, None)
        else:
            model.tags[record.key] = record

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
