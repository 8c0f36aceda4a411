"""From the lines of a journal to the rows of the index: attempts, and the lines that are not records."""

from __future__ import annotations

import zlib
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bulkhead import clock
from bulkhead.registry.records import (
    FailedAttempt,
    InferenceFailure,
    InferenceRecord,
    Quarantine,
    TrainingFailure,
    Unreadable,
)

if TYPE_CHECKING:
    import sqlite3

    from bulkhead.index.journal_file import Line

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEPT_UNREADABLE = 1000
"""The newest: the one above the served model's record may hide a newer model."""
_LONGEST = 300
"""Characters of a word: an environment or a cause that is longer is no longer a filter, but must not fill a disk."""


class Filler:
    """Puts the lines of one journal into ``db``, in their order.

    Args:
        db: in a transaction.
        journal: ``training`` or ``inference``.
        last: the time of the last record; what a record without a time of its own is filed under.
    """

    def __init__(self, db: sqlite3.Connection, journal: str, last: int) -> None:
        self._db = db
        self._journal = journal
        self.last = last
        self.unreadable = 0
        self._words: dict[str, int] = {}
        self._attempts: list[tuple[int, ...]] = []
        self._tally: dict[tuple[int, ...], int] = {}
        self._unreadable: deque[tuple[str, int, str, str]] = deque(maxlen=_KEPT_UNREADABLE)

    def put(self, line: Line) -> bool:
        """Take in ``line``; False: it is not, or not yet, a whole one."""
        if line.is_blank:
            return True
        offset = line.offset
        record = line.decoded(slim=True)
        match record:
            case Unreadable() if not line.has_end:
                return False
            case Unreadable():
                self._put_unreadable(record)
            case InferenceRecord():
                self._put_attempt(record.inference_time, record, record.model_used, "", offset)
            case TrainingFailure(error_timestamp=time) | InferenceFailure(error_time=time):
                self._put_attempt(time, record, "", _cause(record), offset)
            case Quarantine(offset=int(at)):
                row = (_journal_at(record.path), at)
                self._db.execute("INSERT OR IGNORE INTO quarantined_line VALUES (?, ?)", row)
        return True

    def flush(self) -> None:
        """Write what :meth:`put` has collected."""
        self._db.executemany(
            f"INSERT INTO {self._journal}_attempt (offset, time, environment, name, model, cause, run, source,"
            " drifted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._attempts,
        )
        self._db.executemany(
            f"INSERT INTO {self._journal}_tally VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (environment, model, cause, name, drifted) DO UPDATE SET amount = amount + excluded.amount",
            [(*key, amount) for key, amount in self._tally.items()],
        )
        places = {(environment, name) for environment, name, *_ in self._tally}
        self._db.executemany(f"INSERT OR IGNORE INTO {self._journal}_place VALUES (?, ?)", places)
        self._db.executemany("INSERT OR IGNORE INTO unreadable VALUES (?, ?, ?, ?)", self._unreadable)
        self._db.execute(
            "DELETE FROM unreadable WHERE journal = ?1 AND offset <="
            " (SELECT offset FROM unreadable WHERE journal = ?1 ORDER BY offset DESC LIMIT 1 OFFSET ?2)",
            (self._journal, _KEPT_UNREADABLE),
        )
        self._attempts.clear()
        self._tally.clear()
        self._unreadable.clear()

    def word(self, text: str) -> int:
        """The number of ``text``; 0 is the empty one."""
        if not text:
            return 0
        text = text[:_LONGEST]
        number = self._words.get(text)
        if number is None:
            # SQLite takes no lone surrogate, which JSON can hold.
            stored = text.encode(errors="replace").decode()
            self._db.execute("INSERT OR IGNORE INTO word (text) VALUES (?)", (stored,))
            (number,) = self._db.execute("SELECT id FROM word WHERE text = ?", (stored,)).fetchone()
            self._words[text] = number
        return int(number)

    def _time(self, text: str) -> int:
        self.last = moment(text, self.last)
        return self.last

    def _put_attempt(
        self, time: str, record: InferenceRecord | FailedAttempt, model: str, cause: str, offset: int
    ) -> None:
        key = (self.word(record.environment or ""), self.word(record.name), self.word(model), self.word(cause))
        drifted = isinstance(record, InferenceRecord) and record.drift is not None and bool(record.drift.drifted)
        numbers = (text_number(record.run_id), text_number(source_of(record)), int(drifted))
        self._attempts.append((offset, self._time(time), *key, *numbers))
        counted = (*key, int(drifted))
        self._tally[counted] = self._tally.get(counted, 0) + 1

    def _put_unreadable(self, line: Unreadable) -> None:
        self.unreadable += 1
        text = line.text.encode(errors="replace").decode()
        self._unreadable.append((self._journal, line.offset, line.reason[:_LONGEST], text))


def moment(text: str, otherwise: int) -> int:
    """The microsecond that a record's time means; ``otherwise`` where it means none."""
    try:
        return (clock.parse(text) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return otherwise


def source_of(record: InferenceRecord | FailedAttempt) -> str | None:
    """The table that an attempt was made on, as it was asked for; None: its record does not say."""
    if isinstance(record, InferenceRecord):
        return record.source or record.inference_data
    return record.source


def text_number(text: str | None) -> int:
    """What stands in the index for a text of which there may be a million: not 0, and the same for few others."""
    if not text:
        return 0
    content = text.encode(errors="replace")
    return (zlib.crc32(content) << 20 | zlib.adler32(content) & 0xFFFFF) + 1


def _cause(record: FailedAttempt) -> str:
    return record.cause or "unknown"


def _journal_at(path: str) -> str:
    return "inference" if path.endswith("log_inference.txt") else "training"
