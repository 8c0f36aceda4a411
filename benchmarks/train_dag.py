"""What Airflow adds to a training: the DAG's wall time beside that of the two bare ``docker run``s.

Both are measured in turn in one run, in a stack of the benchmark's own, and only their ratio means
anything: machines are shared and noisy. Run it with ``just benchmark``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.containers.support import TAG
from tests.system.support import Stack

ROUNDS = 10
DAG = "dev_train_model_dag"
TARGET = 1.15


def bare(folder: Path) -> float:
    """Seconds that the two steps take by ``docker run``, one after the other."""
    mounts = ("-v", f"{folder / 'models'}:/models", "-v", f"{folder / 'shared'}:/shared")
    started = time.monotonic()
    for step in ("preprocessing", "train_model"):
        subprocess.run(["docker", "run", "--rm", *mounts, f"bulkhead/trainer:{TAG}", step], check=True)
    return time.monotonic() - started


def in_airflow(stack: Stack) -> tuple[float, float]:
    """Seconds of one DAG run: by Airflow's own clock from start to end, and from the REST call to its end."""
    called = datetime.now().astimezone()
    run_id, state = stack.run(DAG)
    assert state == "success", state
    run = stack.airflow.request("GET", f"/api/v2/dags/{DAG}/dagRuns/{run_id}")
    start, end = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    return (end - start).total_seconds(), (end - called).total_seconds()


def main() -> int:
    """Print the medians and their ratio; 1 when it is above the target."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for made in ("models", "shared"):
            (folder / made).mkdir()
            (folder / made).chmod(0o775)
        stack = Stack(folder / "stack")
        try:
            started = time.monotonic()
            stack.up()
            print(f"stack up and healthy, new database: {time.monotonic() - started:.1f} s")
            bare(folder)
            in_airflow(stack)
            pairs = [(bare(folder), *in_airflow(stack)) for _ in range(ROUNDS)]
        finally:
            stack.down()
    hand, dag, call = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"median of {ROUNDS}: two docker runs {hand:.2f} s, DAG {dag:.2f} s, REST call to end {call:.2f} s")
    print(f"ratio {dag / hand:.2f} (target {TARGET}), from the call {call / hand:.2f}")
    return int(dag / hand > TARGET)


if __name__ == "__main__":
    sys.exit(main())
