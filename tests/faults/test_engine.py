"""Faults of the engine, on one of the tests' own: restarts, outages, slowness, streams that are cut."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import journal_of, restarts_of, task
from tests.faults.engine import Engine, is_possible
from tests.faults.engine_stack import TALKS, EngineStack, cutting, engine_stack, is_running, replaced_there, training
from tests.faults.proxy import Proxy
from tests.faults.shell import WAITS, docker, ends_well, task_lines
from tests.faults.support import TRAIN, Fault, wait_until

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.system,
    pytest.mark.fault,
    pytest.mark.skipif(not is_possible(), reason="an engine of one's own takes root, or sudo without a password"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineStack]:
    with engine_stack(tmp_path_factory.mktemp("stack")) as made:
        yield made


def test_an_engine_gone_before_the_step_starts_is_waited_for(stack: EngineStack, fault: Fault) -> None:
    stack.engine.have(live_restore=False)
    stack.engine.stop()
    run_id = stack.airflow.trigger(TRAIN)
    says = "waiting for the engine"
    wait_until(lambda: says in journal_of(stack, run_id, 1, "preprocessing"), 120, "the task does not wait")
    time.sleep(20)
    assert stack.trainings(run_id) == []
    since = time.time()
    stack.engine.start(live_restore=False)
    ends_well(fault, run_id, [], since)
    assert task(stack, run_id, "preprocessing")["try_number"] == 1


@pytest.mark.parametrize("away", [0, 20], ids=["restarted", "away for 20 s"])
def test_an_engine_that_takes_its_step_along_is_one_kill_and_one_model(
    stack: EngineStack, fault: Fault, away: int
) -> None:
    stack.engine.have(live_restore=False)
    with training(fault, [(1, "killed")]) as (_, container):
        stack.engine.stop()
        time.sleep(away)
        stack.engine.start(live_restore=False)
        assert not is_running(stack, container)


def test_an_engine_killed_by_sigkill_ends_its_step_when_it_is_back_and_that_is_one_kill(
    stack: EngineStack, fault: Fault
) -> None:
    stack.engine.have(live_restore=False)
    with training(fault, [(1, "killed")]) as (_, container):
        stack.engine.kill()
        stack.engine.start(live_restore=False)
        assert not is_running(stack, container)


@pytest.mark.parametrize("end", [Engine.stop, Engine.kill], ids=["SIGTERM", "SIGKILL"])
def test_a_step_that_outlives_its_engine_is_followed_to_its_end(
    stack: EngineStack, fault: Fault, end: Callable[[Engine], None]
) -> None:
    stack.engine.have(live_restore=True)
    with training(fault, []) as (_, container):
        end(stack.engine)
        stack.engine.start(live_restore=True)
        assert is_running(stack, container)


def test_a_step_that_ends_while_the_engine_is_away_for_20_s_has_succeeded(stack: EngineStack, fault: Fault) -> None:
    stack.engine.have(live_restore=True)
    with replaced_there(stack, WAITS):
        run_id = stack.airflow.trigger(TRAIN)
        stack.wait_for_step("train_model")
        since = time.time()
        stack.engine.stop()
        folder = stack.folder / run_path(TRAIN, run_id)
        (folder / "go").touch()
        wait_until((folder / "train_model.json").exists, 30, "the step did not end while the engine was away")
        time.sleep(max(0.0, since + 20 - time.time()))
        assert stack.trainings(run_id) == []
        stack.engine.start(live_restore=True)
        ends_well(fault, run_id, [], since)


def test_a_launcher_whose_engine_has_made_a_new_socket_is_started_again_and_the_step_is_followed_on(
    stack: EngineStack, fault: Fault
) -> None:
    stack.engine.have(live_restore=True)
    launcher = stack.service("launcher")
    before = restarts_of(launcher)
    with training(fault, []) as (_, container):
        since = time.monotonic()
        stack.proxy.close()
        stack.engine.stop()
        stack.engine.start(live_restore=True)
        stack.proxy = Proxy(stack.proxy.path, str(stack.engine.socket))
        wait_until(lambda: restarts_of(launcher) > before, 60, "the launcher keeps the old socket")
        wait_until(lambda: is_healthy(launcher), 60, "the launcher does not reach the new socket")
        fault.row.note = f"{time.monotonic() - since:.1f} s until the launcher has the new socket"
        assert is_running(stack, container)


def test_log_streams_that_are_cut_lose_no_line_and_repeat_none(stack: EngineStack, fault: Fault) -> None:
    lines = 1500
    with replaced_there(stack, TALKS, lines=lines), cutting(stack.proxy) as cuts:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    logged = list(task_lines(stack, run_id))
    assert [line for level, line in logged if level == "info" and line.startswith("out ")] == [
        f"out {number}" for number in range(lines)
    ]
    assert [line for level, line in logged if level == "warning" and line.startswith("err ")] == [
        f"err {number}" for number in range(lines)
    ]
    assert sum(cuts) > 3, cuts


def test_an_engine_that_answers_after_2_s_starts_one_container_and_publishes_one_model(
    stack: EngineStack, fault: Fault
) -> None:
    stack.proxy.delay = 2
    try:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    finally:
        stack.proxy.delay = 0
    label = f"label=io.bulkhead.run={run_id}"
    events = docker(
        *stack.engine.host,
        *("events", "--since", "10m", "--until", "0s", "--filter", "event=create", "--filter", label),
        *("--format", '{{index .Actor.Attributes "io.bulkhead.task"}}'),
    )
    assert events.split() == ["preprocessing", "train_model"]


def is_healthy(container: str) -> bool:
    return docker("inspect", "--format", "{{.State.Health.Status}}", container).strip() == "healthy"
