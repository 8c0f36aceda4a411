"""The tables of the index. Whoever changes them raises :data:`VERSION`, and every index is made anew.

Times are microseconds since 1970, UTC. ``offset`` is a line's first byte in its journal, where everything
that is not here is read. Texts that come again and again (environments, models, causes) are numbers of
the table ``word``, so that a row of a million is some tens of bytes. Models are not here: they fit into memory
(:mod:`bulkhead.index.state_reader`).
"""

from __future__ import annotations

VERSION = 4

_QUARANTINED_LINES = """
    CREATE TABLE quarantined_line (
        journal TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (journal, offset)
    ) WITHOUT ROWID;
"""
"""Lines of both journals; the records that say so are in ``log.txt``."""

_ATTEMPTS = """
    CREATE TABLE {journal}_attempt (
        number INTEGER PRIMARY KEY, offset INTEGER NOT NULL, time INTEGER NOT NULL, environment INTEGER NOT NULL,
        name INTEGER NOT NULL, model INTEGER NOT NULL, cause INTEGER NOT NULL, run INTEGER NOT NULL,
        source INTEGER NOT NULL, drifted INTEGER NOT NULL
    );
    CREATE TABLE {journal}_tally (
        environment INTEGER NOT NULL, name INTEGER NOT NULL, model INTEGER NOT NULL, cause INTEGER NOT NULL,
        drifted INTEGER NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (environment, model, cause, name, drifted)
    ) WITHOUT ROWID;
    CREATE TABLE {journal}_place (
        environment INTEGER NOT NULL, name INTEGER NOT NULL, PRIMARY KEY (environment, name)
    ) WITHOUT ROWID;
"""

_ATTEMPT_INDEXES = """
    CREATE INDEX IF NOT EXISTS {journal}_newest ON {journal}_attempt (time, number);
    CREATE INDEX IF NOT EXISTS {journal}_environment ON {journal}_attempt (environment, time, number);
    CREATE INDEX IF NOT EXISTS {journal}_name ON {journal}_attempt (name, environment, time, number);
    CREATE INDEX IF NOT EXISTS {journal}_model ON {journal}_attempt (model, environment, time, number) WHERE model <> 0;
    CREATE INDEX IF NOT EXISTS {journal}_run ON {journal}_attempt (run, time, number) WHERE run <> 0;
    CREATE INDEX IF NOT EXISTS {journal}_source ON {journal}_attempt (source, time, number) WHERE source <> 0;
    CREATE INDEX IF NOT EXISTS {journal}_drifted ON {journal}_attempt (time, number) WHERE drifted = 1;
    CREATE INDEX IF NOT EXISTS {journal}_success ON {journal}_attempt (time, number) WHERE cause = 0;
    CREATE INDEX IF NOT EXISTS {journal}_failure ON {journal}_attempt (time, number) WHERE cause <> 0;
    CREATE INDEX IF NOT EXISTS {journal}_success_here ON {journal}_attempt (environment, time, number) WHERE cause = 0;
    CREATE INDEX IF NOT EXISTS {journal}_failure_here ON {journal}_attempt (environment, time, number) WHERE cause <> 0;
    CREATE INDEX IF NOT EXISTS {journal}_cause ON {journal}_attempt (cause, time, number) WHERE cause <> 0;
    CREATE INDEX IF NOT EXISTS {journal}_cause_here
        ON {journal}_attempt (cause, environment, time, number) WHERE cause <> 0;
"""
"""One for each way in which pages filter, each in the order that pages have."""

COMMON = """
    CREATE TABLE IF NOT EXISTS word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS journal (
        name TEXT PRIMARY KEY, inode INTEGER NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL,
        upto INTEGER NOT NULL, head BLOB NOT NULL, tail BLOB NOT NULL, last INTEGER NOT NULL,
        unreadable INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS unreadable (
        journal TEXT NOT NULL, offset INTEGER NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (journal, offset)
    ) WITHOUT ROWID;
"""


def tables_of(journal: str) -> str:
    """The statements that make the tables of ``journal``."""
    return _ATTEMPTS.format(journal=journal) + (_QUARANTINED_LINES if journal == "training" else "")


def indexes_of(journal: str) -> str:
    """The statements that make its indexes: after the first filling, which is quicker without."""
    return _ATTEMPT_INDEXES.format(journal=journal)
