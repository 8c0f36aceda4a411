"""Airflow on the user's engine, its steps on another, reached through a proxy: what the faults of engines share."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.containers.support import TAG
from tests.faults.engine import Engine
from tests.faults.proxy import Proxy
from tests.faults.shell import WAITS, build, docker, ends_well
from tests.faults.support import TRAIN, Fault, status
from tests.system.support import Stack

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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

    def __init__(self, folder: Path, engine: Engine, **settings: str) -> None:
        self.engine = engine
        self.docker = ("docker", *engine.host)
        self.proxy = Proxy(engine.folder / "proxy.sock", str(engine.socket))
        super().__init__(
            folder,
            BULKHEAD_STEP_RETRIES="2",
            BULKHEAD_STEP_RETRY_SECONDS=str(RETRY_SECONDS),
            BULKHEAD_DOCKER_SOCKET=str(self.proxy.path),
            **settings,
        )


@contextmanager
def engine_stack(folder: Path, **settings: str) -> Iterator[EngineStack]:
    """Such a stack, which is up, with an engine that takes its steps along when it stops."""
    engine = Engine()
    made = EngineStack(folder, engine, **settings)
    try:
        engine.start(live_restore=False)
        engine.load(f"bulkhead/trainer:{TAG}", f"bulkhead/trainer:{made.project}")
        with status(made):
            yield made
    finally:
        made.proxy.close()
        engine.remove()


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
