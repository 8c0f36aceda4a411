"""What the pages and the API tell, out of the index and the logs. Knows nothing of HTTP."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, get_args

import msgspec

from bulkhead.errors import one_line
from bulkhead.index import attempts, models, record_reader
from bulkhead.index.attempts import Found, Position
from bulkhead.index.models import Placed, Point
from bulkhead.registry.records import (
    Decision,
    InferenceFailure,
    InferenceRecord,
    JournalName,
    ModelRecord,
    Promotion,
    Quarantine,
    Removal,
    Revocation,
    Rollback,
    TrainingFailure,
)
from models_page import plot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhead.index import Index, Status
    from bulkhead.index.attempts import AttemptFilter
    from models_page.plot import Chart

_CHARTS = 8

Attempt = InferenceRecord | InferenceFailure | TrainingFailure


class NotReady(Exception):  # a state, not an error
    """The index is being made; the status says how far it is."""

    def __init__(self, status: Status) -> None:
        super().__init__("the index is being made")
        self.status = status


class Unknown(Exception):  # as above
    """The registry has no such model."""


class Shown(msgspec.Struct, frozen=True):
    """A publication or promotion with its record."""

    placed: Placed
    record: ModelRecord
    states: list[str]
    """Its place first, then what else a person should know."""
    uses: int
    """How many inferences of this environment used it."""


class Models(msgspec.Struct, frozen=True):
    """A page of models."""

    shown: list[Shown]
    total: int
    cursor: int | None
    """Where the next page begins; None: this is the last."""


class Attempts(msgspec.Struct, frozen=True):
    """A page of inferences or failures; each with its time, and its record."""

    shown: list[tuple[Found, Attempt]]
    total: int
    cursor: Position | None


class ModelDetails(msgspec.Struct, frozen=True):
    """Everything about one model file."""

    placings: list[Shown]
    decisions: list[Decision]
    uses: int

    @property
    def record(self) -> ModelRecord:
        """The first: of its publication."""
        return self.placings[0].record


class RegistryView:
    """The registry of ``index``."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._charts: dict[tuple[str | None, object], list[Chart]] = {}

    def look(self) -> Status:
        """Bring the index up to date, first of all that a request does: what was just written is seen."""
        return self._index.refresh()

    def environments(self) -> list[str]:
        """Every environment that ever had a model."""
        with self._reading() as db:
            return models.environments(db)

    def recorded_environments(self) -> set[str]:
        """Every environment that a record names; of a log that the index has not read, nothing is shown yet."""
        self.look()
        found: set[str] = set()
        for log in get_args(JournalName):
            with suppress(NotReady), self._reading((log,)) as db:
                found.update(models.environments(db), attempts.environments(db, (log,)))
        return found - {""}  # legacy records name none

    def served(self) -> dict[str, Shown]:
        """What each environment serves."""
        with self._reading() as db:
            served = models.served(db)
            return dict(zip(served, self._shown(db, list(served.values())), strict=True))

    def rolls_back_to(self, environment: str) -> str | None:
        """The model file that is below the served one; None: there is none."""
        with self._reading() as db:
            serving_order = models.serving_order(db, environment, 2)
        return serving_order[1].filename if len(serving_order) > 1 else None

    def models(
        self, limit: int, *, environment: str | None = None, data: str | None = None, cursor: int | None = None
    ) -> Models:
        """A page of publications and promotions, newest first."""
        with self._reading() as db:
            found = models.page(db, limit + 1, environment=environment, data=data, before=cursor)
            shown = self._shown(db, found[:limit])
            total = models.amount(db, environment=environment, data=data)
        return Models(shown, total, found[limit - 1].number if len(found) > limit else None)

    def points(self, environment: str | None = None) -> list[Point]:
        """The metrics of every publication, oldest first."""
        with self._reading() as db:
            return models.points(db, environment)

    def charts(self, environment: str | None, metrics: Sequence[str]) -> list[Chart]:
        """The picture of each of ``metrics`` that a model has; drawn again only when ``log.txt`` was written to."""
        with self._reading() as db:
            key = (environment, self._index.state_of_trainings(db))
            if key not in self._charts:
                environments = models.environments(db)
                points = models.points(db, environment)
                drawn = (plot.chart(points, metric, environments) for metric in metrics)
                # An old picture is of no use to anybody: those of this state alone are kept, and few of them.
                kept = {known: charts for known, charts in self._charts.items() if known[1] == key[1]}
                self._charts = dict([*kept.items()][-_CHARTS:]) | {key: [chart for chart in drawn if chart is not None]}
            return self._charts[key]

    def model(self, filename: str) -> ModelDetails:
        """Everything about one model file.

        Raises:
            Unknown: the log has none of this name.
        """
        with self._reading() as db:
            found = models.called(db, filename)
            if not found:
                raise Unknown(filename)
            placings = self._shown(db, found)
            at = models.decisions(db, filename)
            decision = record_reader.read(self._index.models, "training", at, Rollback, Revocation, Removal, Quarantine)
            uses = attempts.uses(db, filename) if self._knows(db, "inference") else 0
        return ModelDetails(placings, decision, uses)

    def attempts(
        self, logs: Sequence[JournalName], wanted: AttemptFilter, limit: int, cursor: Position | None = None
    ) -> Attempts:
        """A page of attempts, newest first."""
        with self._reading(logs) as db:
            found = attempts.page(db, logs, wanted, limit + 1, cursor)
            total = attempts.amount(db, logs, wanted)
            shown = [(one, self._attempt(one)) for one in found[:limit]]
        return Attempts(shown, total, found[limit - 1].position if len(found) > limit else None)

    def choices(self, logs: Sequence[JournalName]) -> tuple[list[str], list[str]]:
        """The environments and the causes that attempts of ``logs`` have; those that a form can hold."""
        with self._reading(logs) as db:
            return _printable(attempts.environments(db, logs)), _printable(attempts.causes(db, logs))

    def unreadable(self, most: int) -> list[tuple[str, int, str, str]]:
        """The first lines that are no records: log, offset, reason, beginning."""
        with self._reading() as db:
            query = (
                "SELECT log, offset, reason, text FROM unreadable WHERE (log, offset) NOT IN"
                " (SELECT log, offset FROM quarantined_line) ORDER BY log DESC, offset LIMIT ?"
            )
            return list(db.execute(query, (most,)))

    def _attempt(self, found: Found) -> Attempt:
        kinds = (InferenceRecord, InferenceFailure, TrainingFailure)
        record: Attempt = record_reader.read(self._index.models, found.log, [found.offset], *kinds)[0]
        return record

    def _shown(self, db: sqlite3.Connection, found: list[Placed]) -> list[Shown]:
        records = record_reader.read(self._index.models, "training", [placed.offset for placed in found], ModelRecord)
        knows_uses = self._knows(db, "inference")
        return [
            Shown(
                placed,
                record,
                self._states(placed, record),
                attempts.uses(db, placed.filename, placed.environment) if knows_uses else 0,
            )
            for placed, record in zip(found, records, strict=True)
        ]

    def _states(self, placed: Placed, record: ModelRecord) -> list[str]:
        states = [placed.place]
        if placed.removed is not None:
            states.append("removed")
        elif placed.quarantined is not None:
            states.append("quarantined")
        elif not self._has_file(record.model_filename):
            states.append("missing")
        if record.sha256 is None:
            states.append("unverifiable")
        if isinstance(record.promotion, Promotion):
            states.append(f"promoted from {one_line(record.promotion.origin, 40)}")
        return states

    def _has_file(self, name: str) -> bool:
        try:
            return "/" not in name and (self._index.models / name).is_file()
        except (OSError, ValueError):  # a name that no file can have
            return False

    @staticmethod
    def _knows(db: sqlite3.Connection, log: JournalName) -> bool:
        return db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (f"{log}_cause_here",)).fetchone() is not None

    @contextmanager
    def _reading(self, logs: Sequence[JournalName] = ("training",)) -> Iterator[sqlite3.Connection]:
        """The index, once it has read ``logs``.

        Raises:
            NotReady: it has not.
        """
        try:
            with self._index.reading() as db:
                if not all(self._knows(db, log) for log in logs):
                    raise NotReady(self._index.refresh())
                yield db
        except record_reader.IndexOutdated:
            self._index.distrust()
            raise NotReady(self._index.refresh()) from None
        except (sqlite3.Error, OSError):
            raise NotReady(self._index.refresh()) from None


def _printable(words: list[str]) -> list[str]:
    return [word for word in words if word.isprintable()]
