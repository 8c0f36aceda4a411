"""Since when an environment serves what it serves: by whatever brought it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.generated import anything
from tests.support.project import publish, published_unserved

from bulkhead.registry import decisions, journal
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.records import ModelRecord, Promotion, Revocation, Rollback
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from bulkhead.registry.store import Registry

WHY = DecisionContext("ada", "because")


def at(record: Any, time: str) -> Any:
    """``record``, made at ``time``."""
    match record:
        case ModelRecord(promotion=None):
            return msgspec.structs.replace(record, training_timestamp=time)
        case ModelRecord(promotion=Promotion() as promotion):
            return msgspec.structs.replace(record, promotion=msgspec.structs.replace(promotion, promotion_time=time))
        case Rollback():
            return msgspec.structs.replace(record, rollback_time=time)
        case Revocation():
            return msgspec.structs.replace(record, revocation_time=time)
    return record


@given(history=st.lists(anything, max_size=30))
def test_it_is_the_time_of_the_record_after_which_something_else_was_served(history: list[Any]) -> None:
    state = RegistryState()
    serves: dict[tuple[str, str], ModelRecord | None] = {}
    since: dict[tuple[str, str], str] = {}
    for number, record in enumerate(history):
        state.feed(at(record, f"time {number}"))
        for place in state.places:
            served = state.served(*place)
            if served is not serves.get(place):
                serves[place], since[place] = served, f"time {number}"
            assert state.served_since(*place) == (since[place] if served is not None else None)


def state_of(registry: Registry) -> RegistryState:
    return RegistryState(journal.read(registry.training_journal))


def last(registry: Registry, kind: type[Any]) -> Any:
    return [record for record in journal.read(registry.training_journal) if isinstance(record, kind)][-1]


def test_a_model_that_a_rollback_brought_back_is_served_since_the_rollback(empty_registry: Registry) -> None:
    first, _ = (publish(empty_registry, "prd", number) for number in range(2))
    decisions.roll_back(empty_registry, "prd", WHY, None)
    assert empty_registry.latest("prd") == first
    since = state_of(empty_registry).served_since("prd")
    assert since is not None
    assert since == last(empty_registry, Rollback).rollback_time
    assert since > first.training_timestamp


def test_a_model_that_a_revocation_brought_back_is_served_since_the_revocation(empty_registry: Registry) -> None:
    first, second = (publish(empty_registry, "prd", number) for number in range(2))
    decisions.revoke(empty_registry, second.model_filename, WHY)
    assert empty_registry.latest("prd") == first
    assert state_of(empty_registry).served_since("prd") == last(empty_registry, Revocation).revocation_time
    decisions.revoke(empty_registry, first.model_filename, WHY)
    assert state_of(empty_registry).served_since("prd") is None


def test_what_changes_nothing_that_is_served_changes_no_time(empty_registry: Registry) -> None:
    first, second = (publish(empty_registry, "prd", number) for number in range(2))
    published_unserved(empty_registry, "prd", "past")
    publish(empty_registry, "dev")
    publish(empty_registry, "prd", model_name="churn")
    decisions.revoke(empty_registry, first.model_filename, WHY)
    assert state_of(empty_registry).served_since("prd") == second.training_timestamp
