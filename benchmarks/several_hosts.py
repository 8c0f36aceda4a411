"""What further hosts cost and bring: memory of an idle one, how soon a task starts there, how much faster three are.

A cluster of the benchmark's own, in one run of this: the first host on this machine's engine, and two more with an
engine and a network namespace each, on the same processors. So each host is held to half a core: it has one slot, and
a step has 0.5 CPUs. Twelve trainings of a million rows are run by one host (the others are drained), and then by all
three. What orchestrates takes of the same processors, and is the same in both. Run it with ``just
benchmark-hosts``, as root.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.shell import docker
from tests.hosts.support import Cluster

from bulkhead.unix_http import Client

if TYPE_CHECKING:
    from tests.hosts.machine import Machine

DAG = "dev_train_model_dag"
TRAININGS, ROWS = 12, 1_000_000
MOST_IDLE_MEBIBYTES, MOST_SECONDS, LEAST_RATIO = 120.0, 2.0, 2.3
_SETTLED_SECONDS, _SAMPLES, _STARTS = 40, 5, 15


def main() -> int:
    """Measure; 1 where a target is missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cluster"
        folder.parent.chmod(0o755)
        settings = {
            "BULKHEAD_STEP_SLOTS": "1",
            "BULKHEAD_STEP_CPUS": "0.5",
            "BULKHEAD_STEP_MEMORY": "1g",
            "BULKHEAD_ENGINE_LEASE": "600",
        }
        cluster = Cluster(folder, "one", "two", **settings)
        for machine in cluster.machines.values():
            machine.settings["BULKHEAD_STEP_SLOTS"] = "1"
        try:
            with ThreadPoolExecutor(2) as pool:
                cluster.begin(pool)
            cluster.wait_until_ready()
            idle = _idle(cluster.machines["one"])
            started = _start_seconds(cluster)
            table = _table(cluster.inputs)
            alone, together = _trainings(cluster, table)
        finally:
            cluster.end()
    ratio = alone / together
    print(f"an idle host: {idle:.0f} MiB; {MOST_IDLE_MEBIBYTES:g} at most")
    print(
        f"from queued to started on another host: {started:.2f} s at the median of {_STARTS}; {MOST_SECONDS:g} at most"
    )
    print(f"{TRAININGS} trainings of {ROWS:,} rows: {alone:.0f} s on one host, {together:.0f} s on three:", end=" ")
    print(f"{ratio:.2f} times as fast; {LEAST_RATIO:g} at least")
    return int(idle > MOST_IDLE_MEBIBYTES or started > MOST_SECONDS or ratio < LEAST_RATIO)


def _idle(machine: Machine) -> float:
    """MiB of all its services; printed by service."""
    time.sleep(_SETTLED_SECONDS)
    found: dict[str, float] = {}
    for service in ("worker", "link", "launcher"):
        samples: list[float] = []
        for _ in range(_SAMPLES):
            memory = _stats(machine, service)["memory_stats"]
            droppable = memory["stats"].get("inactive_file", memory["stats"].get("total_inactive_file", 0))
            samples.append((memory["usage"] - droppable) / (1 << 20))
            time.sleep(1)
        found[service] = statistics.median(samples)
    print(", ".join(f"{service} {size:.1f} MiB" for service, size in found.items()))
    return sum(found.values())


def _stats(machine: Machine, service: str) -> Any:
    status, body = Client(machine.socket).request(
        "GET", f"/v1.41/containers/{machine.service(service)}/stats?stream=0&one-shot=1"
    )
    assert status == 200, body[:200]
    return json.loads(body)


def _start_seconds(cluster: Cluster) -> float:
    """From a task's queueing to its start, by what Airflow says; the median of the first steps of some runs."""
    took = []
    with cluster.only(cluster.machines["one"]):
        for _ in range(_STARTS):
            run_id, state = cluster.run(DAG)
            assert state == "success"
            path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/preprocessing"
            found = cluster.airflow.request("GET", path)
            queued, started = (datetime.fromisoformat(found[name]) for name in ("queued_when", "start_date"))
            took.append((started - queued).total_seconds())
    return statistics.median(took)


def _table(inputs: Path) -> str:
    draw = random.Random(1)  # noqa: S311  # no secret
    with (inputs / "table.csv").open("w") as file:
        file.write("a,b,c,target\n")
        for _ in range(ROWS):
            a, b, c = draw.random(), draw.random(), draw.random()
            file.write(f"{a:.6f},{b:.6f},{c:.6f},{a + 2 * b - c:.6f}\n")
    return "table.csv"


def _trainings(cluster: Cluster, table: str) -> tuple[float, float]:
    """Seconds that the trainings take on one host, and on three."""
    took = {}
    for how, idle in (("on one host", {"main", "two"}), ("on three", set())):
        for name in ("main", "one", "two"):
            cluster.manage("drain", name, *([] if name in idle else ["--undo"]))
        cluster.settle()
        took[how] = _run(cluster, table, TRAININGS)
        print(f"{TRAININGS} trainings {how}: {took[how]:.0f} s")
    return took["on one host"], took["on three"]


def _run(cluster: Cluster, table: str, count: int) -> float:
    begun = time.monotonic()
    runs = [cluster.airflow.trigger(DAG, {"source": table}) for _ in range(count)]
    for run_id in runs:
        *_, (state, _) = cluster.airflow.states(DAG, run_id, 1800)
        assert state == "success", cluster.trainings(run_id)
    took = time.monotonic() - begun
    hosts = [record["host"] for run_id in runs for record in cluster.published(run_id)]
    assert len(hosts) == count, "a training has not exactly one outcome"
    print({name: hosts.count(name) for name in sorted(set(hosts))})
    return took


if __name__ == "__main__":
    docker("version")
    sys.exit(main())
