"""Faults of the engine, on one of the tests' own: restarts, outages, slowness, streams that are cut."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.containers.support import TAG
from tests.faults.acts import journal_of, restarts_of, task
from tests.faults.engine import Engine, is_possible
from tests.faults.proxy import Proxy
from tests.faults.shell import WAITS, build, docker, ends_well, task_lines
from tests.faults.support import TRAIN, Fault, status, wait_until
from tests.system.support import Stack

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.system,
    pytest.mark.fault,
    pytest.mark.skipif(not is_possible(), reason="an engine of one's own takes root, or sudo without a password"),
]

RETRY_SECONDS = 5
"""Enough for the engine to come back before the second try."""

TALKS = """
FROM {base}
COPY <<"EOF" /talk.py
import os, sys, time
if sys.argv[1] == "preprocessing":
    for number in range({lines}):
        print("out", number, flush=True)
        print("err", number, file=sys.stderr, flush=True)
        time.sleep(0.005)
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/talk.py"]
"""


class EngineStack(Stack):
    """Airflow on the user's engine, its steps on another, reached through a proxy."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.docker = ("docker", *engine.host)
        self.proxy = Proxy(engine.folder / "proxy.sock", str(engine.socket))
        super().__init__(
            folder,
            BULKHEAD_STEP_RETRIES="2",
            BULKHEAD_STEP_RETRY_SECONDS=str(RETRY_SECONDS),
            BULKHEAD_DOCKER_SOCKET=str(self.proxy.path),
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineStack]:
    engine = Engine()
    made = EngineStack(tmp_path_factory.mktemp("stack"), engine)
    try:
        engine.start(live_restore=False)
        engine.load(f"bulkhead/trainer:{TAG}", f"bulkhead/trainer:{made.project}")
        with status(made):
            yield made
    finally:
        made.proxy.close()
        engine.remove()


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


@contextmanager
def training(fault: Fault, failures: list[tuple[int, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A run, and its train_model's container, which waits until the block ends; not paused, or no engine could end it.

    Then the run ends as a success with one model and these failures.
    """
    stack = fault.stack
    assert isinstance(stack, EngineStack)
    with replaced_there(stack, WAITS):
        run_id = stack.airflow.trigger(TRAIN)
        container = stack.wait_for_step("train_model")
        since = time.time()
        yield run_id, container
        (stack.folder / run_path(TRAIN, run_id) / "go").touch()
        ends_well(fault, run_id, failures, since)


def is_running(stack: EngineStack, container: dict[str, Any]) -> bool:
    return container["Id"] in {running["Id"] for running in stack.running_steps()}


def is_healthy(container: str) -> bool:
    return docker("inspect", "--format", "{{.State.Health.Status}}", container).strip() == "healthy"


@contextmanager
def replaced_there(stack: EngineStack, dockerfile: str, **values: object) -> Iterator[None]:
    """Another image under the trainer's tag, on the engine of the steps."""
    image = f"bulkhead/trainer:{stack.project}"
    docker(*stack.engine.host, "tag", build(dockerfile, *stack.engine.host, **values), image)
    try:
        yield
    finally:
        docker(*stack.engine.host, "tag", f"bulkhead/trainer:{TAG}", image)


@contextmanager
def cutting(proxy: Proxy) -> Iterator[list[int]]:
    """Cuts every log stream once a second; how many, each time."""
    cuts: list[int] = []
    ended = threading.Event()

    def cut() -> None:
        while not ended.wait(1):
            cuts.append(proxy.cut(r"GET \S*/logs\?"))

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        yield cuts
    finally:
        ended.set()
        cutter.join()
