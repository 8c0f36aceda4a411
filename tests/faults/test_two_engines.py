"""The host of a step is lost while it runs: the next try, on another engine, starts nothing beside it for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG
from tests.faults.acts import journal_of, kill_scheduler, task
from tests.faults.engine import Engine, is_possible
from tests.faults.proxy import ENGINE, Proxy
from tests.faults.shell import WAITS, build, docker
from tests.faults.support import AT_ONCE, TRAIN, Fault, status, wait_until
from tests.system.support import Stack

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.system,
    pytest.mark.fault,
    pytest.mark.skipif(not is_possible(), reason="an engine of one's own takes root, or sudo without a password"),
]

LEASE = 30


class TwoEngines(Stack):
    """Its launcher speaks to one engine, and then to another."""

    other: Engine
    proxy: Proxy


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoEngines]:
    other = Engine()
    proxy = Proxy(other.folder / "proxy.sock", str(other.socket))
    settings = {**AT_ONCE, "BULKHEAD_DOCKER_SOCKET": str(proxy.path), "BULKHEAD_ENGINE_LEASE": str(LEASE)}
    made = TwoEngines(tmp_path_factory.mktemp("stack"), **settings)
    made.other, made.proxy = other, proxy
    try:
        other.start(live_restore=True)
        other.load(f"bulkhead/trainer:{TAG}", f"bulkhead/trainer:{made.project}")
        with status(made):
            yield made
    finally:
        proxy.close()
        other.remove()


def test_a_step_on_a_lost_host_is_waited_for_and_has_one_outcome(stack: TwoEngines, fault: Fault) -> None:
    host = stack.other.host
    docker(*host, "tag", build(WAITS, *host), f"bulkhead/trainer:{stack.project}")
    run_id = stack.airflow.trigger(TRAIN)
    stack.docker = ("docker", *host)
    lost = stack.wait_for_step("train_model")
    wait_until(lambda: task(stack, run_id).get("state") == "running", 30, "not running")
    # From here on the launcher reaches the machine's own engine, and nobody the other one.
    stack.proxy.engine = ENGINE
    stack.proxy.cut()
    killed = kill_scheduler(stack)
    wait_until(lambda: "is on another engine" in journal_of(stack, run_id, 2), 90, "the next try does not wait")
    stack.docker = ("docker",)
    time.sleep(LEASE / 2)
    assert stack.step_containers() == []
    (stack.folder / run_path(TRAIN, run_id) / "go").touch()  # it ends, and nobody can be asked about it
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    fault.row.recovered_seconds = time.monotonic() - killed
    assert fault.row.recovered_seconds > LEASE
    # The host is back: what it has made is superseded, and nobody needs its container any more.
    stack.docker = ("docker", *host)
    stack.proxy.engine = str(stack.other.socket)
    stack.proxy.cut()
    gone = f"the container {lost['Id'][:12]} of the lost host is left"
    wait_until(lambda: lost["Id"] not in {one["Id"] for one in stack.step_containers()}, 60, gone)
    assert len([record for record in stack.trainings(run_id) if "model_filename" in record]) == 1
