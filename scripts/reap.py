"""``just reap``: remove the containers of steps that nobody needs any more, and say what was done.

A failed step's container is evidence and stays for BULKHEAD_KEEP_FAILED_HOURS (24). Removed are: those
past their time, finished ones that no task waits for, and running ones whose task has ended or was
deleted (they are stopped first; the step records that). A running container that a task owns is never
touched, nor one started by hand with ``just step``. Needs Docker's client, a running stack for what
runs, and nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_client import Airflow, AirflowError, read_env

ROOT = Path(__file__).resolve().parent.parent
ENDED = {"success", "failed", "removed", "skipped", "upstream_failed"}
GRACE_SECONDS = "3"


@dataclass(frozen=True)
class Step:
    """A container that a task started."""

    id: str
    name: str
    state: dict[str, Any]
    labels: dict[str, str]

    @property
    def is_running(self) -> bool:
        """Whether it could still do something."""
        return self.state["Status"] not in {"exited", "dead"}

    @property
    def age(self) -> timedelta:
        """How long ago it ended."""
        finished = datetime.fromisoformat(self.state["FinishedAt"][:19] + "+00:00")
        return datetime.now(UTC) - finished

    @property
    def task(self) -> str:
        """Its task, for people."""
        return f"{self.labels['io.bulkhead.dag']} {self.labels['io.bulkhead.run']} {self.labels['io.bulkhead.task']}"


def main() -> int:
    """Reap; returns the exit code."""
    settings = read_env(Path(os.environ.get("BULKHEAD_ENV_FILE", ROOT / ".env"))) | dict(os.environ)
    keep = timedelta(hours=float(settings.get("BULKHEAD_KEEP_FAILED_HOURS") or 24))
    airflow: Airflow | None = None
    try:
        candidate = Airflow(settings)
        candidate.log_in()
        airflow = candidate
    except AirflowError as error:
        print(
            f"reap: {error}\nreap: without Airflow nobody knows which running steps have an owner; they are left alone."
        )
    steps = _steps(settings.get("BULKHEAD_PROJECT") or "bulkhead")
    removed = [step for step in steps if _reap(step, airflow, keep)]
    print(f"reap: removed {len(removed)} of {len(steps)} containers")
    return 0


def _steps(project: str) -> list[Step]:
    listed = _docker("ps", "--all", "--quiet", "--filter", f"label=io.bulkhead.project={project}").split()
    inspected = json.loads(_docker("inspect", *listed)) if listed else []
    return [
        Step(container["Id"], container["Name"].lstrip("/"), container["State"], container["Config"]["Labels"])
        for container in inspected
        if "io.bulkhead.dag" in container["Config"]["Labels"]  # no task's: by hand
    ]


def _reap(step: Step, airflow: Airflow | None, keep: timedelta) -> bool:
    if step.is_running:
        if airflow is None or _is_owned(step, airflow):
            return False
        why = "runs, and its task has ended or is gone"
        _docker("stop", "--time", GRACE_SECONDS, step.id)
    elif step.age > keep:
        why = f"ended {step.age.days * 24 + step.age.seconds // 3600} h ago"
    elif step.state["ExitCode"] == 0 and airflow is not None and not _is_owned(step, airflow):
        why = "is done, and no task waits for it"
    else:
        return False
    _docker("rm", "--force", step.id)
    print(f"reap: removed {step.name[:60]} ({step.task}): {why}")
    return True


def _is_owned(step: Step, airflow: Airflow) -> bool:
    """Whether Airflow has a task that this container belongs to and that has not ended."""
    dag, run, task = (urllib.parse.quote(step.labels[f"io.bulkhead.{key}"], safe="") for key in ("dag", "run", "task"))
    path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}"
    if step.labels["io.bulkhead.map-index"] != "-1":
        path += f"/{step.labels['io.bulkhead.map-index']}"
    try:
        return airflow.request("GET", path)["state"] not in ENDED
    except AirflowError as error:
        if ": 404 " in str(error):
            return False
        raise


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
