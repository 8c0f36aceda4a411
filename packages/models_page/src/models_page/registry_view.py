"""What the pages and the API tell, out of the state in memory, the index and the journals. Knows nothing of HTTP."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, get_args

import msgspec

from bulkhead.index import attempts, record_reader
from bulkhead.index.attempts import IndexedAttempt, Position
from bulkhead.index.state_reader import ModelSummary, StateReader
from bulkhead.paths import JournalName
from bulkhead.queries.lineage import is_by_hand
from bulkhead.queries.status import version_statuses
from bulkhead.registry.records import Decision, InferenceFailure, InferenceRecord, ModelRecord, TrainingFailure
from bulkhead.untrusted import Untrusted
from models_page import plot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bulkhead.index import Index, IndexProgress
    from bulkhead.index.attempts import AttemptFilter
    from bulkhead.index.state_reader import LoadedState
    from models_page.plot import Chart

_CHARTS = 8

Place = tuple[str, str]
"""An environment, and the name of a model."""
AttemptRecord = InferenceRecord | InferenceFailure | TrainingFailure


class NotReady(Exception):  # a state, not an error
    """The registry is being read; the status says how far it is."""

    def __init__(self, status: IndexProgress) -> None:
        super().__init__("the registry is being read")
        self.status = status


class NoSuchModel(Exception):  # as above
    """The registry has no such model."""


class UnreadableLine(msgspec.Struct, frozen=True):
    """A line of a journal that cannot be read as a record."""

    journal: JournalName
    offset: int
    reason: str
    beginning: str


class ListedVersion(msgspec.Struct, frozen=True):
    """A publication or promotion with its record."""

    summary: ModelSummary
    record: ModelRecord
    states: list[str]
    """Those of :func:`~bulkhead.queries.status.version_statuses`."""
    uses: int
    """How many inferences of this environment used it."""
    by_hand: bool
    """Its record was made without the registrar, and is not signed."""


class ServedVersion(msgspec.Struct, frozen=True):
    """What an environment serves of one model."""

    environment: str
    name: str
    """Of which model."""
    version: ListedVersion | None
    """None: every version was revoked, rolled back or published without being served."""
    previous: str | None
    """The model file that a rollback would serve."""
    unreadable: int | None
    """Byte of the newest line below the served model's record that cannot be read: it may be of a newer model."""


class Models(msgspec.Struct, frozen=True):
    """A page of models."""

    listed: list[ListedVersion]
    total: int
    cursor: int | None
    """Where the next page begins; None: this is the last."""


class Attempts(msgspec.Struct, frozen=True):
    """A page of inferences or failures; each with its time, and its record."""

    shown: list[tuple[IndexedAttempt, AttemptRecord]]
    total: int
    cursor: Position | None


class Choices(msgspec.Struct, frozen=True):
    """What attempts can be filtered by; each word is one that a form can hold."""

    environments: list[str]
    names: list[str]
    causes: list[str]


class ModelDetails(msgspec.Struct, frozen=True):
    """Everything about one model file."""

    versions: list[ListedVersion]
    """Its publication, then its promotions."""
    decisions: list[Decision]
    out_of_service: str | None
    """Why nobody may use it any more; None: it may be used."""
    uses: int

    @property
    def record(self) -> ModelRecord:
        """The first: of its publication."""
        return self.versions[0].record


class RegistryView:
    """The registry of ``index``."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._reader = StateReader(index.models)
        self._charts: dict[tuple[str | None, str | None, object], list[Chart]] = {}

    def look(self) -> IndexProgress:
        """Bring everything up to date, first of all that a request does: what was just written is seen."""
        status = self._index.refresh()
        percent = 100
        with suppress(OSError, Untrusted):  # the index cannot read the journal either, and the status says why
            percent = self._reader.refresh()
        with self._reader.reading() as state:
            ready = status.trainings.ready and state is not None
        trainings = msgspec.structs.replace(
            status.trainings, ready=ready, percent=min(percent, status.trainings.percent)
        )
        return msgspec.structs.replace(status, trainings=trainings)

    def close(self) -> None:
        """Stop what reads in the background."""
        self._reader.close()
        self._index.close()

    def recorded_places(self) -> set[Place]:
        """Every environment and model that a record is of; of a journal that is not read yet, nothing is shown."""
        self.look()
        found: set[Place] = set()
        with suppress(NotReady), self._state() as state:
            found.update(state.places)
        for journal in get_args(JournalName):
            with suppress(NotReady), self._reading((journal,)) as db:
                found.update(attempts.places(db, (journal,)))
        return {place for place in found if place[0]}  # legacy records name no environment

    def served(self) -> list[ServedVersion]:
        """What each environment serves of each model."""
        with self._state() as state:
            places = state.places
            served = [state.served(*place) for place in places]
            previous = [state.previous(*place) for place in places]
            chosen = self._with_states(state, [record for record in served if record is not None])
        listed = {(version.summary.environment, version.summary.name): version for version in self._listed(chosen)}
        last = self._last_unreadable()
        found = []
        for place, below in zip(places, previous, strict=True):
            version = listed.get(place)
            hidden = last is not None and (version is None or last > version.summary.offset)
            found.append(
                ServedVersion(*place, version, below.model_filename if below else None, last if hidden else None)
            )
        return found

    def models(
        self,
        limit: int,
        *,
        environment: str | None = None,
        name: str | None = None,
        data: str | None = None,
        cursor: int | None = None,
    ) -> Models:
        """A page of publications and promotions, newest first."""
        with self._state() as state:
            matching = [
                summary
                for summary in state.summaries
                if environment in (None, summary.environment)
                and name in (None, summary.name)
                and (data is None or (summary.data is not None and summary.data.sha256 == data))
            ]
            before = [summary for summary in reversed(matching) if cursor is None or summary.number < cursor]
            chosen = self._with_states(state, before[:limit])
        following = chosen[-1][0].number if len(before) > limit else None
        return Models(self._listed(chosen), len(matching), following)

    def points(self, environment: str | None = None, name: str | None = None) -> list[ModelSummary]:
        """Every publication with its metrics, oldest first; a promotion is the same model once more, and left out."""
        with self._state() as state:
            return _points(state, environment, name)

    def charts(self, environment: str | None, name: str | None = None) -> list[Chart]:
        """For each model the pictures of its first metrics; drawn again only when ``log.txt`` was written to."""
        with self._state() as state:
            key = (environment, name, state.seen)
            if key in self._charts:
                return self._charts[key]
            environments, names, points = state.environments, state.names, _points(state, environment, name)
        charts = plot.charts(points, [one for one in names if name in (None, one)], environments)
        # An old picture is of no use to anybody: those of this state alone are kept, and few of them.
        kept = {known: drawn for known, drawn in self._charts.items() if known[2] == key[2]}
        self._charts = dict([*kept.items()][-_CHARTS:]) | {key: charts}
        return charts

    def model(self, filename: str) -> ModelDetails:
        """Everything about one model file.

        Raises:
            NoSuchModel: the journal has none of this name.
        """
        with self._state() as state:
            known = state.models.get(filename)
            if known is None:
                raise NoSuchModel(filename)
            chosen = self._with_states(state, known.publications)
            decisions, out_of_service = [*known.decisions], known.out_of_service
        uses = 0
        with suppress(NotReady), self._reading(("inference",)) as db:
            uses = attempts.uses(db, filename)
        return ModelDetails(self._listed(chosen), decisions, out_of_service, uses)

    def attempts(
        self, journals: Sequence[JournalName], wanted: AttemptFilter, limit: int, cursor: Position | None = None
    ) -> Attempts:
        """A page of attempts, newest first."""
        with self._reading(journals) as db:
            found = attempts.page(db, journals, wanted, limit + 1, cursor)
            total = attempts.amount(db, journals, wanted)
            shown = [(one, self._attempt(one)) for one in found[:limit]]
        return Attempts(shown, total, found[limit - 1].position if len(found) > limit else None)

    def choices(self, journals: Sequence[JournalName]) -> Choices:
        """What attempts of ``journals`` have."""
        with self._reading(journals) as db:
            found = (attempts.environments(db, journals), attempts.names(db, journals), attempts.causes(db, journals))
        return Choices(*map(_printable, found))

    def unreadable(self, most: int, journal: JournalName | None = None) -> list[UnreadableLine]:
        """The newest lines, of one journal or of both, that cannot be read as records and are not in quarantine."""
        with self._reading(()) as db:
            query = (
                "SELECT journal, offset, reason, text FROM unreadable WHERE (journal, offset) NOT IN"
                " (SELECT journal, offset FROM quarantined_line) AND journal = coalesce(?, journal)"
                " ORDER BY journal DESC, offset DESC LIMIT ?"
            )
            return [UnreadableLine(*row) for row in db.execute(query, (journal, most))]

    def _last_unreadable(self) -> int | None:
        return next((line.offset for line in self.unreadable(1, "training")), None)

    def _attempt(self, found: IndexedAttempt) -> AttemptRecord:
        kinds = (InferenceRecord, InferenceFailure, TrainingFailure)
        record: AttemptRecord = record_reader.read(self._index.models, found.journal, [found.offset], *kinds)[0]
        return record

    def _with_states(self, state: LoadedState, records: Iterable[ModelRecord]) -> list[tuple[ModelSummary, list[str]]]:
        statuses = version_statuses(state, self._index.models, records)
        return [(status.record, status.states) for status in statuses if isinstance(status.record, ModelSummary)]

    def _listed(self, chosen: Sequence[tuple[ModelSummary, list[str]]]) -> list[ListedVersion]:
        """With their whole records, which are read from the journal, and their uses, where the index knows those."""
        with self._outdated():
            offsets = [summary.offset for summary, _ in chosen]
            records = record_reader.read_lines(self._index.models, "training", offsets, ModelRecord)
            for (summary, _), (record, _line) in zip(chosen, records, strict=True):
                if record.model_filename != summary.model_filename:
                    raise record_reader.IndexOutdated
        uses = [0] * len(chosen)
        with suppress(NotReady), self._reading(("inference",)) as db:
            uses = [attempts.uses(db, summary.model_filename, summary.environment) for summary, _ in chosen]
        return [
            ListedVersion(summary, record, states, used, is_by_hand(line))
            for (summary, states), (record, line), used in zip(chosen, records, uses, strict=True)
        ]

    @staticmethod
    def _knows(db: sqlite3.Connection, journal: JournalName) -> bool:
        return (
            db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (f"{journal}_cause_here",)).fetchone() is not None
        )

    @contextmanager
    def _state(self) -> Iterator[LoadedState]:
        """The state of the registry, once all of ``log.txt`` is read; held still meanwhile, so be quick.

        Raises:
            NotReady: it is not.
        """
        # The index too: it knows of lines that cannot be read, without which no list of models is whole.
        with self._reading(), self._reader.reading() as state:
            if state is not None:
                yield state
                return
        raise NotReady(self.look())

    @contextmanager
    def _reading(self, journals: Sequence[JournalName] = ("training",)) -> Iterator[sqlite3.Connection]:
        """The index, once it has read ``journals``.

        Raises:
            NotReady: it has not.
        """
        try:
            with self._outdated(), self._index.reading() as db:
                if not all(self._knows(db, journal) for journal in journals):
                    raise NotReady(self.look())
                yield db
        except (sqlite3.Error, OSError, Untrusted):
            raise NotReady(self.look()) from None

    @contextmanager
    def _outdated(self) -> Iterator[None]:
        """Has everything read anew where a record is not where it was.

        Raises:
            NotReady: one is not.
        """
        try:
            yield
        except record_reader.IndexOutdated:
            self._reader.distrust()
            self._index.distrust()
            raise NotReady(self.look()) from None


def _points(state: LoadedState, environment: str | None, name: str | None) -> list[ModelSummary]:
    return [
        summary
        for summary in state.summaries
        if summary.promotion is None and environment in (None, summary.environment) and name in (None, summary.name)
    ]


def _printable(words: list[str]) -> list[str]:
    return [word for word in words if word.isprintable()]
