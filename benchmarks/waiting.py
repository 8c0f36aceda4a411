"""What a step that waits costs: MiB by service, of many that are deferred, beside some that are not.

A stack of the benchmark's own runs steps that do nothing until they are told to end, in one run of this: first so many
that the triggerer waits for, then ten that a process each waits for in the scheduler. What a service uses is what the
engine counts, less the files that it could drop. Of each step exactly one outcome must be recorded. Run it with
``just benchmark-waiting``, or ``just benchmark-waiting 30``.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.containers.support import TAG
from tests.system.support import ROOT, Stack

from bulkhead.paths import run_path
from bulkhead.unix_http import Client

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_MEBIBYTES = 5.0
MANY, SOME = 100, 10
DAG = "dev_waiting_dag"
SERVICES = ("triggerer", "launcher", "scheduler", "api-server", "registrar", "dag-processor", "postgres")
_SETTLED_SECONDS = 40
_SAMPLES = 5
_PAGE = 100
_DAG_FILE = """
from airflow.sdk import DAG
from bulkhead_airflow import StepOperator

with DAG("dev_waiting_dag", schedule=None, catchup=False, max_active_runs=1000):
    StepOperator(
        task_id="train_model", image="trainer", journal="training", environment="dev", memory="32m", cpus=0.1
    )
"""
_WAITS = """
FROM {base}
ENTRYPOINT ["sh", "-c", "until [ -e /shared/go ]; do sleep 5; done; \
 echo train_model: refused: the benchmark is over >&2; exit 1"]
"""
"""A step that ends as a refusal: an outcome that costs no more than its record."""


def main() -> int:
    """Measure; 1 where a deferred step costs more than :data:`MOST_MEBIBYTES`, or has not one outcome."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "stack"
        folder.parent.chmod(0o755)
        settings = {"BULKHEAD_DEFER_AFTER": "5", "BULKHEAD_STEP_SLOTS": str(2 * many), "BULKHEAD_STEP_RETRIES": "0"}
        stack = Stack(folder, COMPOSE_FILE=f"docker-compose.yaml:{_more(folder)}", **settings)
        try:
            stack.up()
            _replace_trainer(stack)
            stack.airflow.wait_for_dag(DAG)
            deferred = _measured(stack, many, "deferred")
            stack.environment["BULKHEAD_DEFER_AFTER"] = "0"
            stack.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "--force-recreate", "scheduler")
            followed = _measured(stack, SOME, "running")
        finally:
            stack.down()
    print(f"a step that waits: {deferred:.2f} MiB deferred, {followed:.2f} MiB not; {MOST_MEBIBYTES:g} at most")
    return int(deferred > MOST_MEBIBYTES)


def _measured(stack: Stack, count: int, state: str) -> float:
    """MiB that each of ``count`` waiting steps costs, over all services; printed by service.

    Args:
        stack: an idle one.
        count: of steps.
        state: in which Airflow's tasks wait.
    """
    _finish(stack, _waiting(stack, 2, state))  # whatever is imported or begun once is there
    before, idle = _memory(stack), _processor(stack, 20)
    begun = time.monotonic()
    runs = _waiting(stack, count, state)
    print(f"\n{count} steps {state} after {time.monotonic() - begun:.0f} s")
    after = _memory(stack)
    busy = _processor(stack, 20)
    for service in SERVICES:
        grown = after[service] - before[service]
        print(
            f"{service:<14}{before[service]:>8.1f} MiB, then {after[service]:>8.1f}: {grown / count:>6.2f} MiB a step,"
            f" {idle[service]:>5.1f} % of a core, then {busy[service]:>5.1f}"
        )
    _finish(stack, runs)
    return sum(after[service] - before[service] for service in SERVICES) / count


def _waiting(stack: Stack, count: int, state: str) -> list[str]:
    runs = [stack.airflow.trigger(DAG) for _ in range(count)]
    _until(lambda: _states(stack, runs)[state] == count, 600 + 10 * count, f"not all {count} steps are {state}")
    return runs


def _finish(stack: Stack, runs: list[str]) -> None:
    """Tell the steps to end, and check that each has one outcome, and its run one container."""
    for run_id in runs:
        (stack.folder / run_path(DAG, run_id) / "go").touch()
    _until(lambda: _states(stack, runs)["failed"] == len(runs), 600 + 10 * len(runs), "not all steps have ended")
    outcomes = Counter(record["run_id"] for record in stack.trainings() if record["run_id"] in set(runs))
    causes = Counter(record["cause"] for record in stack.trainings() if record["run_id"] in set(runs))
    assert outcomes == Counter(runs), "a step has not exactly one outcome"
    assert causes == Counter(refused=len(runs)), causes
    print(f"{len(runs)} steps, {sum(outcomes.values())} outcomes")


def _states(stack: Stack, runs: list[str]) -> Counter[str]:
    """How many of the runs' tasks are in each state."""
    wanted, states, offset = set(runs), Counter[str](), 0
    while True:
        asked = {"dag_ids": [DAG], "page_limit": _PAGE, "page_offset": offset}
        found = stack.airflow.request("POST", "/api/v2/dags/~/dagRuns/~/taskInstances/list", asked)["task_instances"]
        states.update(str(one["state"]) for one in found if one["dag_run_id"] in wanted)
        if len(found) < _PAGE:
            return states
        offset += _PAGE


def _until(what: Callable[[], bool], seconds: float, message: str) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(2)


def _memory(stack: Stack) -> dict[str, float]:
    """MiB that each service uses once it is calm; the median of some samples."""
    time.sleep(_SETTLED_SECONDS)
    samples: dict[str, list[float]] = {service: [] for service in SERVICES}
    for _ in range(_SAMPLES):
        for service in SERVICES:
            memory = _stats(stack, service)["memory_stats"]
            droppable = memory["stats"].get("inactive_file", memory["stats"].get("total_inactive_file", 0))
            samples[service].append((memory["usage"] - droppable) / (1 << 20))
        time.sleep(2)
    return {service: statistics.median(values) for service, values in samples.items()}


def _processor(stack: Stack, seconds: float) -> dict[str, float]:
    """How much of a core each service uses while nothing happens, in percent."""
    begun = {service: _used(stack, service) for service in SERVICES}
    time.sleep(seconds)
    return {service: (_used(stack, service) - begun[service]) / 1e7 / seconds for service in SERVICES}


def _used(stack: Stack, service: str) -> int:
    return int(_stats(stack, service)["cpu_stats"]["cpu_usage"]["total_usage"])


def _stats(stack: Stack, service: str) -> Any:
    """What the engine counts of a service's container."""
    engine = Client(stack.environment.get("BULKHEAD_DOCKER_SOCKET") or "/var/run/docker.sock")
    status, body = engine.request("GET", f"/v1.41/containers/{stack.service(service)}/stats?stream=0&one-shot=1")
    assert status == 200, body[:200]  # as HTTP has it
    return json.loads(body)


def _more(folder: Path) -> Path:
    """Compose's file that gives the services the benchmark's DAG, and an API server that need not be asked thrice."""
    dags = shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "waiting.py").write_text(_DAG_FILE)
    mount = {"volumes": [f"{dags}:/opt/airflow/dags:ro"]}
    more = folder / "more.yaml"
    services = ("init", "api-server", "scheduler", "dag-processor", "triggerer")
    more.write_text(json.dumps({"services": dict.fromkeys(services, mount)}))
    return more


def _replace_trainer(stack: Stack) -> None:
    """Steps of this stack are shells that wait."""
    text = _WAITS.format(base=f"bulkhead/trainer:{TAG}")
    command = ["docker", "build", "--quiet", "--tag", f"bulkhead/trainer:{stack.project}", "-"]
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
