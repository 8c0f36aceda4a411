"""From the lines of a log to the rows of the index.

What is served, withdrawn and revoked follows the rules of
:class:`bulkhead.registry.serving.RegistryState`; a test feeds both the same records and compares.
"""

from __future__ import annotations

import math
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bulkhead import clock
from bulkhead.registry import records
from bulkhead.registry.records import (
    FailedAttempt,
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Quarantine,
    Removal,
    Revocation,
    Rollback,
    TrainingFailure,
    Unreadable,
)

if TYPE_CHECKING:
    import sqlite3

    from bulkhead.registry.records import Decision

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEPT_UNREADABLE = 1000
_LONGEST = 300
"""Characters of a word: an environment or a cause that is longer is no longer a filter, but must not fill a disk."""


class Filler:
    """Puts the lines of one log into ``db``, in their order.

    Args:
        db: in a transaction.
        log: ``training`` or ``inference``.
        last: the time of the last record; what a record without a time of its own is filed under.
    """

    def __init__(self, db: sqlite3.Connection, log: str, last: int) -> None:
        self._db = db
        self._log = log
        self.last = last
        self.unreadable = 0
        self._words: dict[str, int] = {}
        self._attempts: list[tuple[int, int, int, int, int, int]] = []
        self._tally: dict[tuple[int, int, int], int] = {}

    def put(self, line: bytes, offset: int) -> bool:
        """Take in the line at ``offset``; False: it is not, or not yet, a whole line."""
        if not line.strip():
            return True
        record = records.decode_slim(line.rstrip(b"\n"), offset)
        match record:
            case Unreadable() if not line.endswith(b"\n"):
                return False
            case Unreadable():
                self._put_unreadable(record)
            case ModelRecord():
                self._put_model(record, offset)
            case InferenceRecord():
                used = record.model_used
                self._put_attempt(record.inference_time, record.environment, used, "", record.run_id, offset)
            case TrainingFailure(error_timestamp=time) | InferenceFailure(error_time=time):
                self._put_attempt(time, record.environment, "", _cause(record), record.run_id, offset)
            case _:
                self._put_decision(record, offset)
        return True

    def flush(self) -> None:
        """Write what :meth:`put` has collected."""
        self._db.executemany(
            f"INSERT INTO {self._log}_attempt (offset, time, environment, model, cause, run) VALUES (?, ?, ?, ?, ?, ?)",
            self._attempts,
        )
        self._db.executemany(
            f"INSERT INTO {self._log}_tally VALUES (?, ?, ?, ?)"
            " ON CONFLICT (environment, model, cause) DO UPDATE SET amount = amount + excluded.amount",
            [(*key, amount) for key, amount in self._tally.items()],
        )
        self._attempts.clear()
        self._tally.clear()

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

    def _put_attempt(  # one for each column
        self, time: str, environment: str | None, model: str, cause: str, run_id: str | None, offset: int
    ) -> None:
        key = (self.word(environment or ""), self.word(model), self.word(cause))
        self._attempts.append((offset, self._time(time), *key, run_number(run_id)))
        self._tally[key] = self._tally.get(key, 0) + 1

    def _put_unreadable(self, line: Unreadable) -> None:
        self.unreadable += 1
        if self.unreadable <= _KEPT_UNREADABLE:
            text = line.text.encode(errors="replace").decode()
            row = (self._log, line.offset, line.reason[:_LONGEST], text)
            self._db.execute("INSERT OR IGNORE INTO unreadable VALUES (?, ?, ?, ?)", row)

    def _put_model(self, record: ModelRecord, offset: int) -> None:
        name = self.word(record.model_filename)
        data = record.data.sha256[:_LONGEST].encode(errors="replace").decode() if record.data else None
        self._db.execute("INSERT OR IGNORE INTO model (name, offset, data) VALUES (?, ?, ?)", (name, offset, data))
        (model,) = self._db.execute("SELECT number FROM model WHERE name = ?", (name,)).fetchone()
        metrics = record.metrics or {}
        time = record.promotion.promotion_time if record.promotion else record.training_timestamp
        self._db.execute(
            "INSERT INTO placing (environment, model, offset, time, r2, rmse, promoted) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.word(record.environment),
                model,
                offset,
                self._time(time),
                number(metrics.get("r2")),
                number(metrics.get("rmse")),
                record.promotion is not None,
            ),
        )

    def _put_decision(self, record: Decision, offset: int) -> None:
        names: list[str] = []
        match record:
            case Rollback():
                names = [record.model_filename, *record.withdrawn]
                for name in record.withdrawn:
                    self._withdraw(record.environment, name, offset)
            case Revocation():
                names = [record.model_filename]
                self._mark("revoked = coalesce(revoked, ?)", names, offset)
            case Removal():
                names = [path.removeprefix("models/") for path in record.paths]
                self._mark("removed = ?", names, offset)
            case Quarantine(offset=None):
                names = [record.path.removeprefix("models/")]
                self._mark("quarantined = ?", names, offset)
            case Quarantine(offset=int(at)):
                row = (_log_at(record.path), at)
                self._db.execute("INSERT OR IGNORE INTO quarantined_line VALUES (?, ?)", row)
        for name in dict.fromkeys(names):
            self._db.execute("INSERT INTO decision (name, offset) VALUES (?, ?)", (self.word(name), offset))

    def _withdraw(self, environment: str, name: str, offset: int) -> None:
        self._db.execute(
            "UPDATE placing SET withdrawn = ? WHERE number = (SELECT max(placing.number) FROM placing"
            " JOIN model ON model.number = placing.model"
            " WHERE placing.environment = ? AND model.name = ? AND placing.withdrawn IS NULL)",
            (offset, self.word(environment), self.word(name)),
        )

    def _mark(self, change: str, names: list[str], offset: int) -> None:
        for name in names:
            self._db.execute(f"UPDATE model SET {change} WHERE name = ?", (offset, self.word(name)))


def moment(text: str, otherwise: int) -> int:
    """The microsecond that a record's time means; ``otherwise`` where it means none."""
    try:
        return (clock.parse(text) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return otherwise


def run_number(run_id: str | None) -> int:
    """What stands for a run's id in the index: not 0, and the same for few others."""
    if not run_id:
        return 0
    content = run_id.encode(errors="replace")
    return (zlib.crc32(content) << 20 | zlib.adler32(content) & 0xFFFFF) + 1


def number(value: Any) -> float | None:
    """A metric that is a number; whatever else a record may hold there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _cause(record: FailedAttempt) -> str:
    return record.cause or "unknown"


def _log_at(path: str) -> str:
    return "inference" if path.endswith("log_inference.txt") else "training"
