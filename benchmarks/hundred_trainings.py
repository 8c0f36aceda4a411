"""A hundred trainings at once, beside the same hundred by two loops of sealed ``docker run``s, as a ratio.

Airflow is given all runs at once, and starts as many steps at a time as the stack has slots; by hand so many loops
run as there are slots, each preprocessing and then train_model. Half of the loops' trainings run before Airflow's and
half after them, in a stack of the benchmark's own that stands idle then: machines are shared, and what others do
changes within minutes. What each service used of the processor is printed, because that is where the difference
goes. Each training must leave exactly one outcome. Run it with ``just benchmark-hundred [TRAININGS]``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.containers.support import TAG, records
from tests.support.services import Usage, usage
from tests.system.support import Stack

from engine import seal
from engine.settings import Settings
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

TRAININGS = 100
LOOPS = 2
"""As many steps at once as the stack has slots on two cores; it is told so, for larger machines."""
DAG = "dev_train_model_dag"
MOST = 1.3
_SECONDS = 60
"""What a training may take at most before the benchmark gives up; ten times that for a start on a busy machine."""


def by_hand(folder: Path, name: str) -> None:
    """One training in the seal that a step has, recorded by the step itself: nothing else records it."""
    (folder / "shared/runs" / name).mkdir(parents=True)
    (folder / "shared/runs" / name).chmod(0o775)
    variables = {"BULKHEAD_HOST_DIR": str(folder), "BULKHEAD_STEP_MEMORY": "400m", "BULKHEAD_UID": "50000"}
    for task in ("preprocessing", "train_model"):
        settings = Settings.from_environment(task, environment=variables)
        spec = StepSpec(image="trainer", command=[task], journal="training")
        sealed = seal.of_step(spec, settings, f"shared/runs/{name}", {"RUN_ID": name, "PROTOCOL": None})
        options = [word.replace("target=/models,readonly", "target=/models") for word in sealed.run_options()]
        command = ["docker", "run", "--rm", *options, f"bulkhead/trainer:{TAG}", task]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def loops(folder: Path, names: Sequence[str]) -> float:
    """Seconds that the trainings take by hand, so many at a time as there are loops."""
    for made in ("models", "shared/inputs"):
        (folder / made).mkdir(parents=True, exist_ok=True)
        (folder / made).chmod(0o775)
    begun = time.monotonic()
    with ThreadPoolExecutor(LOOPS) as pool:
        list(pool.map(lambda name: by_hand(folder, name), names))
    return time.monotonic() - begun


def in_airflow(stack: Stack, count: int) -> tuple[float, list[str]]:
    """Seconds from the first call to the end of the last run, and the runs that have not succeeded."""
    stack.airflow.wait_for_dag(DAG)
    begun = time.monotonic()
    runs = {stack.airflow.trigger(DAG) for _ in range(count)}
    while running := states(stack, ("queued", "running")):
        if time.monotonic() - begun > _SECONDS * (count + 10):
            raise TimeoutError(f"{running} of {count} trainings have not ended")
        time.sleep(1)
    took = time.monotonic() - begun
    succeeded = {record["run_id"] for record in stack.trainings() if record.get("model_filename")}
    return took, sorted(runs - succeeded)


def states(stack: Stack, names: Sequence[str]) -> int:
    """How many runs there are in these states."""
    asked = "&".join(f"state={name}" for name in names)
    return int(stack.airflow.request("GET", f"/api/v2/dags/{DAG}/dagRuns?limit=1&{asked}")["total_entries"])


def wrong(outcomes: list[dict[str, Any]], count: int) -> list[str]:
    """What is not as it must be: one record of a model for each run, and nothing else."""
    models = [record["run_id"] for record in outcomes if record.get("model_filename")]
    said = [f"{len(models)} models of {count} trainings"] if len(models) != count else []
    said += [f"{run_id} has {models.count(run_id)} models" for run_id in set(models) if models.count(run_id) > 1]
    return said + [f"{record['run_id']}: {record['detail']}" for record in outcomes if "error_timestamp" in record]


def main() -> int:
    """Print times and ratio; 1 where the ratio is above the target, or an outcome is not the one that must be."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TRAININGS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        stack = Stack(folder / "stack", BULKHEAD_STEP_SLOTS=str(LOOPS))
        with stack.status():
            in_airflow(stack, LOOPS)  # what every first time costs
            names = [f"run{number}" for number in range(count)]
            hand = loops(folder / "hand", names[: count // 2])
            before, known = usage(stack), stack.trainings()
            airflow, missing = in_airflow(stack, count)
            used = usage(stack)
            hand += loops(folder / "hand", names[count // 2 :])
            outcomes = stack.trainings()[len(known) :]
            _print_usage(before, used, count)
        faults = wrong(outcomes, count) + [f"{run_id} has no model" for run_id in missing]
        faults += wrong(records(folder / "hand/models/log.txt"), count)
    print(f"{count} trainings: {LOOPS} loops of docker run {hand:.1f} s, Airflow {airflow:.1f} s")
    print(f"ratio {airflow / hand:.2f} (target {MOST:g})", *faults, sep="\n")
    return int(airflow / hand > MOST or bool(faults))


def _print_usage(before: dict[str, Usage], after: dict[str, Usage], count: int) -> None:
    for name, now in sorted(after.items()):
        spent = now.cpu_seconds - before[name].cpu_seconds
        print(f"{name:>14}: {spent / count:.3f} s of CPU a training, {now.mebibytes:.0f} MiB")
    spent = sum(now.cpu_seconds - before[name].cpu_seconds for name, now in after.items())
    print(f"{'all services':>14}: {spent / count:.3f} s of CPU a training")


if __name__ == "__main__":
    sys.exit(main())
