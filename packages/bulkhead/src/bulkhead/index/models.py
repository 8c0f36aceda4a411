"""Pages of models, newest first, and where each stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.index.attempts import word

if TYPE_CHECKING:
    import sqlite3

_PLACES = ("served", "previous")

_COLUMNS = """
    placing.number, placing.offset, placing.time, environment.text, file.text, placing.promoted, placing.withdrawn,
    placing.r2, placing.rmse, model.revoked, model.removed, model.quarantined
"""
_TABLES = """
    placing JOIN model ON model.number = placing.model JOIN word AS file ON file.id = model.name
    JOIN word AS environment ON environment.id = placing.environment
"""


class Placed(msgspec.Struct, frozen=True):
    """A publication or promotion, and what has become of it."""

    number: int
    """Its place among all of them; the newest has the greatest."""
    offset: int
    """Of its line in ``log.txt``."""
    time: int
    environment: str
    filename: str
    promoted: bool
    withdrawn: int | None
    """The rollback that took it out of service, as an offset; so are the next three."""
    r2: float | None
    rmse: float | None
    revoked: int | None
    removed: int | None
    quarantined: int | None
    place: str = "earlier"
    """``served``, ``previous`` (what a rollback would serve), ``earlier``, ``rolled back`` or ``revoked``."""


class Point(msgspec.Struct, frozen=True):
    """A model's metrics at the time of its publication."""

    number: int
    time: int
    environment: str
    r2: float | None
    rmse: float | None


def page(
    db: sqlite3.Connection,
    limit: int,
    *,
    environment: str | None = None,
    data: str | None = None,
    before: int | None = None,
) -> list[Placed]:
    """At most ``limit`` publications and promotions, newest first, those before number ``before``."""
    where, values = _where(db, environment, data)
    if before is not None:
        where, values = f"{where} AND placing.number < ?", [*values, before]
    return _placed(db, f"{where} ORDER BY placing.number DESC LIMIT ?", [*values, limit])


def amount(db: sqlite3.Connection, *, environment: str | None = None, data: str | None = None) -> int:
    """How many publications and promotions there are."""
    where, values = _where(db, environment, data)
    query = f"SELECT count(*) FROM placing JOIN model ON model.number = placing.model WHERE {where}"
    return int(db.execute(query, values).fetchone()[0])


def called(db: sqlite3.Connection, filename: str) -> list[Placed]:
    """The publication and the promotions of one model, oldest first."""
    return _placed(db, "model.name = ? ORDER BY placing.number", [word(db, filename)])


def served(db: sqlite3.Connection) -> dict[str, Placed]:
    """What each environment serves; an environment that serves nothing is not there."""
    tops = [next(iter(serving_order), None) for serving_order in (_pile(db, number, 1) for number in _environments(db))]
    placed = [_placed(db, "placing.number = ?", [number])[0] for number in tops if number is not None]
    return {one.environment: one for one in placed}


def serving_order(db: sqlite3.Connection, environment: str, most: int) -> list[Placed]:
    """What ``environment`` could serve: the served model first, then what it would roll back to."""
    return [_placed(db, "placing.number = ?", [number])[0] for number in _pile(db, word(db, environment), most)]


def environments(db: sqlite3.Connection) -> list[str]:
    """Every environment that ever had a model."""
    query = "SELECT text FROM word WHERE id IN (SELECT DISTINCT environment FROM placing) ORDER BY text"
    return [text for (text,) in db.execute(query)]


def decisions(db: sqlite3.Connection, filename: str) -> list[int]:
    """The offsets of what was decided about a model, oldest first."""
    query = "SELECT offset FROM decision WHERE name = ? ORDER BY number"
    return [offset for (offset,) in db.execute(query, (word(db, filename),))]


def points(db: sqlite3.Connection, environment: str | None = None) -> list[Point]:
    """The metrics of every publication, oldest first; a promotion is the same model once more, and left out."""
    where, values = _where(db, environment, None)
    query = (
        "SELECT placing.number, placing.time, environment.text, r2, rmse FROM placing"
        " JOIN model ON model.number = placing.model JOIN word AS environment ON environment.id = placing.environment"
        f" WHERE {where} AND NOT promoted ORDER BY placing.number"
    )
    return [Point(*row) for row in db.execute(query, values)]


def _where(db: sqlite3.Connection, environment: str | None, data: str | None) -> tuple[str, list[int | str]]:
    where, values = "1", list[int | str]()
    if environment is not None:
        where, values = f"{where} AND placing.environment = ?", [*values, word(db, environment)]
    if data is not None:
        where, values = f"{where} AND model.data = ?", [*values, data]
    return where, values


def _environments(db: sqlite3.Connection) -> list[int]:
    return [number for (number,) in db.execute("SELECT DISTINCT environment FROM placing")]


def _pile(db: sqlite3.Connection, environment: int, most: int) -> list[int]:
    query = (
        "SELECT placing.number FROM placing JOIN model ON model.number = placing.model"
        " WHERE placing.environment = ? AND placing.withdrawn IS NULL AND model.revoked IS NULL"
        " ORDER BY placing.number DESC LIMIT ?"
    )
    return [number for (number,) in db.execute(query, (environment, most))]


def _placed(db: sqlite3.Connection, where: str, values: list[int | str]) -> list[Placed]:
    places = {
        number: place
        for environment in _environments(db)
        for number, place in zip(_pile(db, environment, len(_PLACES)), _PLACES, strict=False)
    }
    rows = db.execute(f"SELECT {_COLUMNS} FROM {_TABLES} WHERE {where}", values)
    return [_with_place(Placed(*row), places) for row in rows]


def _with_place(placed: Placed, places: dict[int, str]) -> Placed:
    if placed.revoked is not None:
        place = "revoked"
    elif placed.withdrawn is not None:
        place = "rolled back"
    else:
        place = places.get(placed.number, "earlier")
    return msgspec.structs.replace(placed, promoted=bool(placed.promoted), place=place)
