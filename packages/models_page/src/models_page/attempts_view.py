"""What the pages and the API tell of inferences and failures, out of the index and the journals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.index import attempts, filling, record_reader
from bulkhead.index.attempts import AttemptFilter, IndexedAttempt, Position
from bulkhead.paths import JOURNALS, JournalName
from bulkhead.registry.profiles import PREDICTION
from bulkhead.registry.records import InferenceFailure, InferenceRecord, TrainingFailure
from bulkhead.untrusted import Untrusted, open_file
from models_page.plots import drift_over_time
from models_page.plots.drift_over_time import DriftPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models_page.plots.figure import Figure
    from models_page.readers import Readers

AttemptRecord = InferenceRecord | InferenceFailure | TrainingFailure
_KINDS = (InferenceRecord, InferenceFailure, TrainingFailure)
_DRIFT_POINTS = 100
"""The newest inferences whose drift one picture shows."""


class NoSuchAttempt(Exception):  # a state, not an error
    """The journal has no record of an inference there."""


class UnreadableLine(msgspec.Struct, frozen=True):
    """A line of a journal that cannot be read as a record."""

    journal: JournalName
    offset: int
    reason: str
    beginning: str


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


class AttemptsView:
    """The attempts that ``readers`` has read."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def attempts(  # which, and which part of them
        self,
        journals: Sequence[JournalName],
        wanted: AttemptFilter,
        limit: int,
        cursor: Position | None = None,
        *,
        oldest_first: bool = False,
    ) -> Attempts:
        """A page of attempts, newest first."""
        with self._readers.reading(journals) as db:
            found = attempts.page(db, journals, wanted, limit + 1, cursor, oldest_first=oldest_first)
            total = attempts.amount(db, journals, wanted)
            shown = [(one, self._record(one.journal, one.offset)) for one in found[:limit]]
        return Attempts(shown, total, found[limit - 1].position if len(found) > limit else None)

    def inference(self, offset: int) -> InferenceRecord:
        """The inference whose record begins at byte ``offset`` of ``log_inference.txt``.

        Raises:
            NoSuchAttempt: there is none.
        """
        if not self._begins_line(offset):
            raise NoSuchAttempt(str(offset))
        try:
            found = self._record("inference", offset)
        except record_reader.IndexOutdated:
            raise NoSuchAttempt(str(offset)) from None
        if not isinstance(found, InferenceRecord):
            raise NoSuchAttempt(str(offset))
        return found

    def time_of(self, record: InferenceRecord) -> int:
        """When ``record`` was made, in microseconds since 1970; 0: it does not say."""
        return filling.moment(record.inference_time, 0)

    def choices(self, journals: Sequence[JournalName]) -> Choices:
        """What attempts of ``journals`` have."""
        with self._readers.reading(journals) as db:
            found = (attempts.environments(db, journals), attempts.names(db, journals), attempts.causes(db, journals))
        return Choices(*([word for word in words if word.isprintable()] for words in found))

    def drift(self, wanted: AttemptFilter) -> Figure | None:
        """How far the newest of the ``wanted`` inferences were from their models' training, a line for each model."""
        wanted = msgspec.structs.replace(wanted, outcome=wanted.outcome or "success", cause=None)
        found = self.attempts(("inference",), wanted, _DRIFT_POINTS).shown
        points: dict[str, list[DriftPoint]] = {}
        limit = None
        for one, record in reversed(found):
            if not isinstance(record, InferenceRecord) or record.drift is None:
                continue
            known = {**record.drift.columns}
            if record.drift.predictions is not None:
                known[PREDICTION] = record.drift.predictions
            column, greatest = max(known.items(), key=lambda pair: pair[1], default=("", 0.0))
            point = DriftPoint(one.time, greatest, column, f"/inferences/{one.offset}", record.model_used)
            points.setdefault(f"{record.name} in {record.environment}", []).append(point)
            limit = record.drift.limit
        return drift_over_time.figure_of(points, limit)

    def unreadable(self, most: int, journal: JournalName | None = None) -> list[UnreadableLine]:
        """The newest lines, of one journal or of both, that cannot be read as records and are not in quarantine."""
        with self._readers.reading(()) as db:
            query = (
                "SELECT journal, offset, reason, text FROM unreadable WHERE (journal, offset) NOT IN"
                " (SELECT journal, offset FROM quarantined_line) AND journal = coalesce(?, journal)"
                " ORDER BY journal DESC, offset DESC LIMIT ?"
            )
            return [UnreadableLine(*row) for row in db.execute(query, (journal, most))]

    def _record(self, journal: JournalName, offset: int) -> AttemptRecord:
        record: AttemptRecord = record_reader.read(self._readers.models, journal, [offset], *_KINDS)[0]
        return record

    def _begins_line(self, offset: int) -> bool:
        """Whether a line begins there: what is in the middle of one is no record, whatever it looks like."""
        if offset == 0:
            return True
        try:
            with open_file(self._readers.models, JOURNALS["inference"], called="models/log_inference.txt") as file:
                file.seek(offset - 1)
                return file.read(1) == b"\n"
        except (OSError, Untrusted, OverflowError, ValueError):
            return False
