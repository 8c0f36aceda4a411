"""One logical task and its tries: which of them share an outcome, and whether Airflow has ended it. No database here.

A try is *closed* when its success was accepted. Tries after it are for the next outcome: a person has cleared the task
on purpose. Every other new try (a retry, an orphan reset, a lost report, the clear of a running or failed task) is for
the same outcome, whose key is the id of the first of them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bulkhead.identity import Identity

SUCCESS = "success"
CLEARED = "cleared"
DELETED = "deleted"
_FAILED = "failed"
_ENDED = frozenset({_FAILED, "removed", "skipped", "upstream_failed"})
_RESTARTING = "restarting"


class TaskKey(msgspec.Struct, frozen=True):
    """What names a logical task in Airflow."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def of(cls, identity: Identity) -> TaskKey:
        """The logical task of a try."""
        index = -1 if identity.map_index is None else identity.map_index
        return cls(identity.dag_id or "", identity.run_id or "", identity.task_id or "", index)


class Try(msgspec.Struct, frozen=True):
    """One try, as Airflow has it."""

    id: str
    number: int
    state: str | None
    is_current: bool = False
    is_by_person: bool = False
    """Whether a person has given it this state."""
    is_cleared: bool = False
    """Whether a person has cleared it while it waited (*deferred*): nobody else ends a try that has no process."""
    host: str = ""
    """The host that Airflow has given it to, where there are several; else a name that tells nothing."""


class Standing(msgspec.Struct, frozen=True):
    """Where a try stands in its logical task."""

    first_try: str
    """The key of the outcome."""
    ended: str | None
    """How Airflow has ended what the try was for; None: it goes on."""
    is_current: bool
    """Whether it is Airflow's present try."""
    accepted: str | None
    """The id of the try with which Airflow accepted the success of this outcome; None: it has not."""
    is_left: bool = False
    """Whether Airflow has failed the task by itself (it lost the process, or the tries were used up), so that nobody
    follows its container; what that makes counts all the same."""

    @property
    def is_ended_by_person(self) -> bool:
        """Whether it was ended otherwise than by its success."""
        return self.ended is not None and self.ended != SUCCESS


def standing(tries: Sequence[Try], try_id: str, accepted: Collection[str] = ()) -> Standing:
    """Where the try ``try_id`` stands.

    Args:
        tries: of the logical task, in any order.
        try_id: one of them, or one that Airflow knows no more.
        accepted: ids of tries whose success was seen to be accepted, whatever Airflow says of them by now.
    """
    ordered = sorted(tries, key=lambda one: (one.number, one.is_current))
    place = next((number for number, one in enumerate(ordered) if one.id == try_id), None)
    if place is None:
        return Standing(try_id, DELETED, is_current=False, accepted=None)
    closed = [one.state == SUCCESS or one.id in accepted for one in ordered]
    # The present try's success closes what comes after it, and there is nothing yet.
    first = place
    while first > 0 and not closed[first - 1]:
        first -= 1
    last = place
    while last + 1 < len(ordered) and not closed[last]:
        last += 1
    by = ordered[last].id if closed[last] else None
    is_cleared = any(one.is_cleared for one in ordered[place : last + 1])
    ended = SUCCESS if by is not None else CLEARED if is_cleared else _ending(ordered)
    is_left = ended is None and any(one.is_current and one.state == _FAILED for one in ordered)
    return Standing(ordered[first].id, ended, is_current=ordered[place].is_current, accepted=by, is_left=is_left)


def _ending(ordered: Sequence[Try]) -> str | None:
    current = next((one for one in ordered if one.is_current), None)
    if current is None:
        return DELETED
    if current.state == _RESTARTING:
        return CLEARED
    if current.state == _FAILED and not current.is_by_person:
        return None
    return current.state if current.state in _ENDED else None


def as_id(text: str) -> str:
    """``text``, the id of a try, as Postgres writes it.

    Raises:
        ValueError: it is none.
    """
    return str(uuid.UUID(text))
