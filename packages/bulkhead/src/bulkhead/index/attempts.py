"""Pages of finished and failed attempts, newest first, out of a million.

A page begins where the one before ended (keyset), so that the last page costs what the first does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bulkhead.index.filling import text_number
from bulkhead.paths import JournalName

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

AttemptOutcome = Literal["success", "drifted", "failed"]
"""``drifted``: a success whose input or predictions are beyond the limit that marks them."""
Position = tuple[int, str, int]
"""Time, journal and number: where an attempt stands among all."""


class AttemptFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts; None: any."""

    environment: str | None = None
    name: str | None = None
    """Of which model: one that has versions."""
    model: str | None = None
    """The model file that an inference used."""
    outcome: AttemptOutcome | None = None
    cause: str | None = None
    run_id: str | None = None
    source: str | None = None
    """The table that it was made on, as it was asked for."""
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
    begin: Position | None = None,
    *,
    oldest_first: bool = False,
) -> list[IndexedAttempt]:
    """At most ``limit`` attempts of ``journals`` that are ``wanted``, newest first, those that come after ``begin``."""
    found = [row for journal in journals for row in _page_of(db, journal, wanted, limit, _Order(begin, oldest_first))]
    return sorted(found, key=lambda row: row.position, reverse=not oldest_first)[:limit]


def amount(db: sqlite3.Connection, journals: Sequence[JournalName], wanted: AttemptFilter) -> int:
    """How many attempts of ``journals`` are ``wanted``."""
    return sum(_amount_of(db, journal, wanted) for journal in journals)


def causes(db: sqlite3.Connection, journals: Sequence[JournalName]) -> list[str]:
    """Every cause of failure in ``journals``."""
    return _words(db, journals, "tally", "cause")


def environments(db: sqlite3.Connection, journals: Sequence[JournalName]) -> list[str]:
    """Every environment that an attempt in ``journals`` names."""
    return _words(db, journals, "place", "environment")


def names(db: sqlite3.Connection, journals: Sequence[JournalName]) -> list[str]:
    """The name of every model that an attempt in ``journals`` was made for."""
    return _words(db, journals, "place", "name")


def places(db: sqlite3.Connection, journals: Sequence[JournalName]) -> set[tuple[str, str]]:
    """Every environment and name that an attempt in ``journals`` was made for."""
    return {
        (environment, name)
        for journal in journals
        for environment, name in db.execute(
            f"SELECT where_it_is.text, what_it_is.text FROM {journal}_place"
            " JOIN word AS where_it_is ON where_it_is.id = environment"
            " JOIN word AS what_it_is ON what_it_is.id = name"
        )
    }


def uses(db: sqlite3.Connection, model: str, environment: str | None = None) -> int:
    """How many inferences ``model`` has made."""
    return _amount_of(db, "inference", AttemptFilter(model=model, environment=environment))


def all_uses(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """By model file and environment, how many inferences it has made."""
    rows = db.execute(
        "SELECT what.text, place.text, sum(amount) FROM inference_tally JOIN word AS what ON what.id = model"
        " JOIN word AS place ON place.id = environment WHERE model <> 0 GROUP BY model, environment"
    )
    return {(model, environment): int(amount) for model, environment, amount in rows}


def _words(db: sqlite3.Connection, journals: Sequence[JournalName], table: str, column: str) -> list[str]:
    found: set[str] = set()
    for journal in journals:
        # One step through the index for each word, not one for each row.
        found |= {
            text
            for (text,) in db.execute(
                f"SELECT text FROM word WHERE id IN (SELECT DISTINCT {column} FROM {journal}_{table})"
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


class _Order:
    """Which way a page goes, and where it begins."""

    def __init__(self, after: Position | None, oldest_first: bool) -> None:  # noqa: FBT001  # of this file alone
        self._after = after
        self._sign = ">" if oldest_first else "<"
        self.words = "time ASC, number ASC" if oldest_first else "time DESC, number DESC"

    def begin(self, terms: _Terms, journal: JournalName) -> None:
        if self._after is None:
            return
        time, other, number = self._after
        if journal == other:
            terms.add(f"(time, number) {self._sign} (?, ?)", time, number)
        else:  # of one time, those of the journal that comes first by its name are the older ones
            is_beyond = journal < other if self._sign == "<" else journal > other
            terms.add(f"time {self._sign}{'=' if is_beyond else ''} ?", time)


def _terms(db: sqlite3.Connection, wanted: AttemptFilter) -> _Terms | None:  # noqa: C901  # a line for each filter
    """What a row must be; None: no row can be that."""
    # The conditions of partial indexes are said word for word: SQLite takes no other hint.
    is_of_failures = wanted.outcome == "failed" or wanted.cause is not None
    if (wanted.model is not None or wanted.outcome in ("success", "drifted")) and is_of_failures:
        return None  # a failure's record names no model file
    terms = _Terms()
    if wanted.model is not None:
        terms.add("model = ? AND model <> 0", word(db, wanted.model))
    # Most attempts may be for one model: its index is taken where no other one leads to fewer of them.
    one_of_few = (wanted.model, wanted.run_id, wanted.source) != (None, None, None) or wanted.outcome == "drifted"
    name = "+name" if is_of_failures or one_of_few else "name"
    for column, text in (("environment", wanted.environment), (name, wanted.name)):
        if text is not None:
            terms.add(f"{column} = ?", word(db, text))
    if wanted.cause is not None:
        terms.add("cause = ? AND cause <> 0", word(db, wanted.cause))
    elif wanted.outcome is not None and wanted.model is None:
        terms.add("cause <> 0" if wanted.outcome == "failed" else "cause = 0")
    if wanted.outcome == "drifted":
        terms.add("drifted = 1")
    if wanted.run_id is not None:
        terms.add("run = ? AND run <> 0", text_number(wanted.run_id))
    if wanted.source is not None:
        terms.add("source = ? AND source <> 0", text_number(wanted.source))
    for condition, time in (("time >= ?", wanted.since), ("time < ?", wanted.until)):
        if time is not None:
            terms.add(condition, time)
    return terms


def _page_of(
    db: sqlite3.Connection,
    journal: JournalName,
    wanted: AttemptFilter,
    limit: int,
    order: _Order,
    environment: int | None = None,
) -> Iterator[IndexedAttempt]:
    terms = _terms(db, wanted)
    if terms is None:
        return
    if environment is not None:
        terms.add("environment = ?", environment)
    elif wanted.environment is None and (wanted.model is not None or wanted.name is not None):
        # The indexes of models are by environment too; few models serve in more than one or two.
        for one in _environments_of(db, journal, wanted):
            yield from _page_of(db, journal, wanted, limit, order, one)
        return
    order.begin(terms, journal)
    rows = db.execute(
        f"SELECT number, time, offset FROM {journal}_attempt WHERE {terms.where} ORDER BY {order.words} LIMIT ?",
        (*terms.values, limit),
    )
    for number, time, offset in rows:
        yield IndexedAttempt(journal, number, time, offset)


def _environments_of(db: sqlite3.Connection, journal: JournalName, wanted: AttemptFilter) -> list[int]:
    table, column, text = ("tally", "model", wanted.model) if wanted.model else ("place", "name", wanted.name)
    rows = db.execute(
        f"SELECT DISTINCT environment FROM {journal}_{table} WHERE {column} = ?"
        f" AND environment IN (SELECT environment FROM {journal}_place)",
        (word(db, text or ""),),
    )
    return [environment for (environment,) in rows]


def _amount_of(db: sqlite3.Connection, journal: JournalName, wanted: AttemptFilter) -> int:
    terms = _terms(db, wanted)
    if terms is None:
        return 0
    tallied = (wanted.run_id, wanted.source, wanted.since, wanted.until) == (None,) * 4
    counted = f"sum(amount) FROM {journal}_tally" if tallied else f"count(*) FROM {journal}_attempt"
    (amount,) = db.execute(f"SELECT {counted} WHERE {terms.where}", terms.values).fetchone()  # as above
    return int(amount or 0)
