"""Many runs while hosts die, freeze, are cut off and come back at random: one outcome each, and the chain intact."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.faults.support import TRAIN, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hosts.machine import Machine
    from tests.hosts.support import Cluster

SETTINGS = {"BULKHEAD_DEFER_AFTER": "5", "BULKHEAD_STEP_RETRIES": "9"}
TRAINER = """
FROM {base}
ENTRYPOINT ["sh", "-c", "sleep $(( $(od -An -N1 -tu1 /dev/urandom) % 12 )); exec trainer \\"$@\\"", "sh"]
"""
"""Each step takes up to twelve seconds longer: some are deferred, and a fault meets a step as a rule."""
RUNS = int(os.environ.get("BULKHEAD_HOSTS_RUNS") or 60)
SEED = int(os.environ.get("BULKHEAD_RANDOM_SEED") or time.time())
EXPLAINED = {"host_lost", "killed", "engine_unreachable", "no_result", "busy", "crashed"}


def killed_worker(machine: Machine, seconds: float) -> None:
    machine.kill_worker()
    time.sleep(seconds / 4)


def frozen(machine: Machine, seconds: float) -> None:
    machine.freeze()
    time.sleep(seconds)
    machine.thaw()


def cut_off(machine: Machine, seconds: float) -> None:
    with machine.cut_off():
        time.sleep(seconds)


def without_power(machine: Machine, seconds: float) -> None:
    machine.power_off()
    time.sleep(seconds)
    machine.start(live_restore=False)
    machine.join_again()


def killed_engine(machine: Machine, seconds: float) -> None:
    machine.kill()
    time.sleep(seconds / 4)
    machine.start(live_restore=False)
    machine.join_again()


FAULTS: list[Callable[[Machine, float], None]] = [killed_worker, frozen, cut_off, without_power, killed_engine]


def test_each_run_has_one_outcome_whatever_its_hosts_do(cluster: Cluster) -> None:
    draw, ended, done = random.Random(SEED), threading.Event(), Counter[str]()  # noqa: S311  # no secret
    cluster.manage("drain", "main", "--undo")  # so that somebody works, always

    def break_and_mend() -> None:
        while not ended.wait(draw.uniform(2, 10)):
            fault, machine = draw.choice(FAULTS), draw.choice(list(cluster.machines.values()))
            fault(machine, draw.uniform(5, 60))
            done[fault.__name__] += 1

    breaking = threading.Thread(target=break_and_mend)
    breaking.start()
    try:
        runs = []
        for number in range(RUNS):
            runs.append(cluster.airflow.trigger(TRAIN))
            if number % 4 == 3:
                time.sleep(10)
        states = {run_id: last_state(cluster, run_id) for run_id in runs}
    finally:
        ended.set()
        breaking.join(300)
    records = [one for one in cluster.trainings() if one["run_id"] in set(runs)]
    outcomes = Counter(one["run_id"] for one in records if "model_filename" in one)
    causes = Counter(one["cause"] for one in records if "cause" in one)
    print(f"seed {SEED}: {len(runs)} runs, {dict(done)}; failures {dict(causes)};", end=" ")
    print(f"hosts {dict(Counter(one['host'] for one in records if 'model_filename' in one))}")
    assert set(states.values()) == {"success"}, [one for one in states.items() if one[1] != "success"]
    assert outcomes == Counter(runs)
    assert set(causes) <= EXPLAINED, causes
    tries = Counter((one["run_id"], one["task_id"], one["try_number"]) for one in records if "cause" in one)
    assert set(tries.values()) <= {1}, "a try has two failures"
    published = {one["model_filename"] for one in cluster.trainings() if "model_filename" in one}
    assert cluster.model_files() == published
    verify(cluster)


def last_state(cluster: Cluster, run_id: str) -> Any:
    state = None
    with suppress(TimeoutError):
        *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 1200)
    return state
