"""Faults of the engine while a step is deferred, on an engine of the tests' own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import task
from tests.faults.deferring import DEFER_AFTER, counted, told, wait_until_deferred
from tests.faults.engine import Engine, is_possible
from tests.faults.engine_stack import TALKS, EngineStack, cutting, engine_stack, is_running, replaced_there, training
from tests.faults.shell import WAITS, ends_well
from tests.faults.support import TRAIN, Fault, wait_until

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.deferred,
    pytest.mark.system,
    pytest.mark.fault,
    pytest.mark.skipif(not is_possible(), reason="an engine of one's own takes root, or sudo without a password"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineStack]:
    with engine_stack(tmp_path_factory.mktemp("stack"), BULKHEAD_DEFER_AFTER=DEFER_AFTER) as made:
        yield made


@pytest.mark.parametrize("end", [Engine.stop, Engine.kill], ids=["SIGTERM", "SIGKILL"])
def test_an_engine_that_takes_a_deferred_step_along_is_one_kill_and_one_model(
    stack: EngineStack, fault: Fault, end: Callable[[Engine], None]
) -> None:
    stack.engine.have(live_restore=False)
    with training(fault, [(1, "killed")]) as (run_id, container):
        wait_until_deferred(stack, run_id)
        end(stack.engine)
        stack.engine.start(live_restore=False)
        assert not is_running(stack, container)


@pytest.mark.parametrize("end", [Engine.stop, Engine.kill], ids=["SIGTERM", "SIGKILL"])
def test_a_deferred_step_that_outlives_its_engine_is_waited_for_to_its_end(
    stack: EngineStack, fault: Fault, end: Callable[[Engine], None]
) -> None:
    stack.engine.have(live_restore=True)
    with training(fault, []) as (run_id, container):
        wait_until_deferred(stack, run_id)
        end(stack.engine)
        stack.engine.start(live_restore=True)
        assert is_running(stack, container)
        assert task(stack, run_id)["state"] == "deferred"


def test_a_deferred_step_that_ends_while_the_engine_is_away_has_succeeded(stack: EngineStack, fault: Fault) -> None:
    stack.engine.have(live_restore=True)
    with replaced_there(stack, WAITS):
        run_id = stack.airflow.trigger(TRAIN)
        wait_until_deferred(stack, run_id)
        since = time.time()
        stack.engine.stop()
        folder = stack.folder / run_path(TRAIN, run_id)
        (folder / "go").touch()
        wait_until((folder / "train_model.json").exists, 30, "the step did not end while the engine was away")
        time.sleep(8)
        stack.engine.start(live_restore=True)
        ends_well(fault, run_id, [], since)


def test_log_streams_of_a_deferred_step_that_are_cut_lose_no_line_and_repeat_none(
    stack: EngineStack, fault: Fault
) -> None:
    stack.engine.have(live_restore=True)
    lines = 3000
    with replaced_there(stack, TALKS, lines=lines), cutting(stack.proxy) as cuts:
        run_id = stack.airflow.trigger(TRAIN)
        wait_until_deferred(stack, run_id, "preprocessing")
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    logged = told(stack, run_id, "preprocessing")
    assert counted(logged, "info", "out") == list(range(lines))
    assert counted(logged, "warning", "err") == list(range(lines))
    assert sum(cuts) > 3, cuts
