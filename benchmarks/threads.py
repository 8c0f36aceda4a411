"""What waiting threads cost in the seal: three estimators, by OpenMP's way to wait: ``just benchmark-threads``.

A quota of CPUs is no number of cores: a thread that spins while it waits uses up the quota that the others need.
"""

from __future__ import annotations

import os
import subprocess
import sys

_FIT = """
import sys, time
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
rows = np.random.default_rng(0).normal(size=(20000, 10))
target = rows @ np.arange(10) + rows[:, 0] ** 2
for estimator in (LinearRegression(), HistGradientBoostingRegressor(max_iter=200), RandomForestRegressor(50, n_jobs=2)):
    begun = time.monotonic()
    estimator.fit(rows, target)
    print(type(estimator).__name__, time.monotonic() - begun)
"""
_WAYS = {
    "one thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "two, active": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "two, passive": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
}


def measured(variables: dict[str, str], cpus: str) -> dict[str, float]:
    """Seconds of each fit in one container."""
    options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    image = f"bulkhead/trainer:{os.environ.get('BULKHEAD_TAG') or 'latest'}"
    command = ["docker", "run", "--rm", "--network", "none", "--cpus", cpus, *options, "--entrypoint", "python", image]
    said = subprocess.run([*command, "-c", _FIT], capture_output=True, text=True, check=True).stdout
    return {name: float(seconds) for name, seconds in map(str.split, said.splitlines())}


def main() -> int:
    """Print a table for a quota of two CPUs and one of a half more than one."""
    for cpus in ("2", "1.5"):
        found = {way: measured(variables, cpus) for way, variables in _WAYS.items()}
        print(f"\n{cpus} CPUs" + "".join(f"{way:>16}" for way in found))
        for name in found["one thread"]:
            print(f"{name:<32}" + "".join(f"{seconds[name]:>14.2f} s" for seconds in found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
