"""Attempts of both journals as one list: by time, from either end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.support.generated import TIME, failure, write
from tests.support.project import training_failure

from bulkhead.index import Index, attempts
from bulkhead.index.attempts import AttemptFilter

if TYPE_CHECKING:
    import pytest

    from bulkhead.registry.store import Registry


def every_page(
    index: Index,
    limit: int,
    *,
    oldest_first: bool,
    wanted: AttemptFilter = AttemptFilter(),  # noqa: B008  # frozen
) -> list[attempts.IndexedAttempt]:
    """All attempts of both journals, page by page."""
    found: list[attempts.IndexedAttempt] = []
    with index.reading() as db:
        while page := attempts.page(
            db,
            ["training", "inference"],
            wanted,
            limit,
            found[-1].position if found else None,
            oldest_first=oldest_first,
        ):
            assert len(page) <= limit
            found += page
    return found


@given(
    training=st.lists(st.integers(0, 3), max_size=8),
    inferring=st.lists(st.integers(0, 3), max_size=8),
    limit=st.integers(1, 4),
)
def test_both_ends_of_both_journals_are_reached_from_either_side_also_at_one_and_the_same_time(
    tmp_path_factory: pytest.TempPathFactory, training: list[int], inferring: list[int], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("models")
    write(folder / "log.txt", [training_failure(TIME.format(second)) for second in training])
    write(folder / "log_inference.txt", [failure(second) for second in inferring])
    index = Index(folder, folder)
    index.wait()
    newest_first = every_page(index, limit, oldest_first=False)
    oldest_first = every_page(index, limit, oldest_first=True)
    assert newest_first == oldest_first[::-1]
    assert len({(one.journal, one.offset) for one in oldest_first}) == len(oldest_first)
    assert [one.time // 1_000_000 % 60 for one in oldest_first] == sorted(training + inferring)
    assert sorted(one.journal for one in oldest_first) == ["inference"] * len(inferring) + ["training"] * len(training)
    whole = every_page(index, limit, oldest_first=True, wanted=AttemptFilter(outcome="failed"))
    assert whole == oldest_first


def test_the_failures_of_both_logs_are_one_list_by_time(empty_registry: Registry) -> None:
    for second in (1, 3, 3, 5):
        empty_registry.record_failure("training", training_failure(TIME.format(second)))
    for second in (0, 3, 4):
        empty_registry.record_failure("inference", failure(second))
    index = Index(empty_registry.folder, empty_registry.folder)
    index.wait()
    found: list[attempts.IndexedAttempt] = []
    with index.reading() as db:
        while page := attempts.page(
            db, ["training", "inference"], AttemptFilter(), 2, found[-1].position if found else None
        ):
            found += page
    assert [one.time // 1_000_000 % 60 for one in found] == [5, 4, 3, 3, 3, 1, 0]
    assert len({(one.journal, one.number) for one in found}) == 7
