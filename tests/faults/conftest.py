"""Stacks to break, and the table of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import events_noted
from tests.faults.support import AT_ONCE, Fault, Row, status
from tests.system.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack for one file of faults."""
    made = Stack(tmp_path_factory.mktemp("stack"), **AT_ONCE)
    with status(made):
        yield made


@pytest.fixture(scope="module")
def events(stack: Stack) -> Iterator[None]:
    """What the engine does for steps is noted, for :func:`created` and :func:`started`."""
    with events_noted(stack):
        yield


@pytest.fixture
def fault(stack: Stack, request: pytest.FixtureRequest) -> Fault:
    """A fault named after its test, with a row in the table."""
    row = Row(request.node.name.removeprefix("test_").replace("_", " "))
    request.config.stash[_ROWS].append(row)
    made = Fault(stack, row)
    made.begin()
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("faults")
    width = max(len(row.fault) for row in rows)
    terminalreporter.write_line(f"{'fault':<{width}}  recovered in  models  containers  outcomes")
    for row in rows:
        recovered = "-" if row.recovered_seconds is None else f"{row.recovered_seconds:.1f} s"
        terminalreporter.write_line(
            f"{row.fault:<{width}}  {recovered:>12}  {row.models:>6}  {row.containers:>10}  {row.outcomes}"
            + f" ({row.note})" * bool(row.note)
        )
