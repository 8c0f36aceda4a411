"""Pages of finished and failed attempts, newest first, out of a million.

A page begins where the one before ended (keyset), so that the last page costs what the first does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bulkhead.index.filling import run_number
from bulkhead.paths import JournalName

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

AttemptOutcome = Literal["success", "failed"]
Position = tuple[int, str, int]
"""Time, journal and number: where an attempt stands among all."""


class AttemptFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts; None: any."""

    environment: str | None = None
    model: str | None = None
    """The model file that an inference used."""
    outcome: AttemptOutcome | None = None
    cause: str | None = None
    run_id: str | None = None
    since: int | None = None
    """In microseconds since 1970, UTC."""
    until: int | None = None


class IndexedAttempt(msgspec.Struct, frozen=True):
    """An attempt, and where its record is."""

    journal: JournalName
    number: int
    time: int
    offset: int

    @property
    def position(self) -> Position:
        """Where it stands among all."""
        return self.time, self.journal, self.number


def page(
    db: sqlite3.Connection,
    journals: Sequence[JournalName],
    wanted: AttemptFilter,
    limit: int,
    before: Position | None = None,
) -> list[IndexedAttempt]:
    """At most ``limit`` attempts of ``journals`` that are ``wanted``, newest first, from ``before`` on."""
    found = [row for journal in journals for row in _page_of(db, journal, wanted, limit, before)]
    return sorted(found, key=lambda row: row.position, reverse=True)[:limit]


def amount(db: sqlite3.Connection, journals: Sequence[JournalName], wanted: AttemptFilter) -> int:
    """How many attempts of ``journals`` are ``wanted``."""
    return sum(_amount_of(db, journal, wanted) for journal in journals)


def causes(db: sqlite3.Connection, journals: Sequence[JournalName]) -> list[str]:
    """Every cause of failure in ``journals``."""
    return _words(db, journals, "cause")


def environments(db: sqlite3.Connection, journals: Sequence[JournalName]) -> list[str]:
    """Every environment that an attempt in ``journals`` names."""
    return _words(db, journals, "environment")


def uses(db: sqlite3.Connection, model: str, environment: str | None = None) -> int:
    """How many inferences ``model`` has made."""
    return _amount_of(db, "inference", AttemptFilter(model=model, environment=environment))


def _words(db: sqlite3.Connection, journals: Sequence[JournalName], column: str) -> list[str]:
    found: set[str] = set()
    for journal in journals:
        # One step through the index for each word, not one for each row.
        found |= {
            text
            for (text,) in db.execute(
                f"SELECT text FROM word WHERE id IN (SELECT DISTINCT {column} FROM {journal}_tally)"
            )
        }
    return sorted(found)


def word(db: sqlite3.Connection, text: str) -> int:
    """The number of ``text``; -1, which is no row's: no record holds it."""
    row = db.execute("SELECT id FROM word WHERE text = ?", (text.encode(errors="replace").decode()[:300],)).fetchone()
    return int(row[0]) if row else -1


class _Terms:
    """A WHERE clause."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.values: list[int] = []

    def add(self, text: str, *values: int) -> None:
        self.text.append(text)
        self.values += values

    @property
    def where(self) -> str:
        return " AND ".join(self.text) or "1"


def _terms(db: sqlite3.Connection, wanted: AttemptFilter) -> _Terms | None:
    """What a row must be; None: no row can be that."""
    # The conditions of partial indexes are said word for word: SQLite takes no other hint.
    terms = _Terms()
    if wanted.model is not None:
        if wanted.outcome == "failed" or wanted.cause is not None:
            return None  # a failure's record names no model
        terms.add("model = ? AND model <> 0", word(db, wanted.model))
    if wanted.environment is not None:
        terms.add("environment = ?", word(db, wanted.environment))
    if wanted.cause is not None:
        if wanted.outcome == "success":
            return None
        terms.add("cause = ? AND cause <> 0", word(db, wanted.cause))
    elif wanted.outcome is not None and wanted.model is None:
        terms.add("cause = 0" if wanted.outcome == "success" else "cause <> 0")
    if wanted.run_id is not None:
        terms.add("run = ? AND run <> 0", run_number(wanted.run_id))
    if wanted.since is not None:
        terms.add("time >= ?", wanted.since)
    if wanted.until is not None:
        terms.add("time < ?", wanted.until)
    return terms


def _page_of(
    db: sqlite3.Connection, journal: JournalName, wanted: AttemptFilter, limit: int, before: Position | None
) -> Iterator[IndexedAttempt]:
    if wanted.model is not None and wanted.environment is None:
        # The index of models is by environment too; few models serve in more than one or two.
        for environment in _environments_of(db, journal, wanted.model):
            yield from _page_of(db, journal, msgspec.structs.replace(wanted, environment=environment), limit, before)
        return
    terms = _terms(db, wanted)
    if terms is None:
        return
    if before is not None:
        time, other, number = before
        if journal == other:
            terms.add("(time, number) < (?, ?)", time, number)
        else:
            terms.add("time <= ?" if journal < other else "time < ?", time)
    rows = db.execute(
        f"SELECT number, time, offset FROM {journal}_attempt WHERE {terms.where}"
        " ORDER BY time DESC, number DESC LIMIT ?",
        (*terms.values, limit),
    )
    for number, time, offset in rows:
        yield IndexedAttempt(journal, number, time, offset)


def _environments_of(db: sqlite3.Connection, journal: JournalName, model: str) -> list[str]:
    rows = db.execute(
        f"SELECT DISTINCT text FROM {journal}_tally JOIN word ON word.id = environment WHERE model = ?"
        f" AND environment IN (SELECT DISTINCT environment FROM {journal}_tally)",
        (word(db, model),),
    )
    return [text for (text,) in rows]


def _amount_of(db: sqlite3.Connection, journal: JournalName, wanted: AttemptFilter) -> int:
    terms = _terms(db, wanted)
    if terms is None:
        return 0
    tallied = wanted.run_id is None and wanted.since is None and wanted.until is None
    counted = f"sum(amount) FROM {journal}_tally" if tallied else f"count(*) FROM {journal}_attempt"
    (amount,) = db.execute(f"SELECT {counted} WHERE {terms.where}", terms.values).fetchone()  # as above
    return int(amount or 0)
