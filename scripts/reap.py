"""``just reap``: remove the containers of failed steps that nobody needs any more, and say what was done.

A failed step's container is evidence and stays for BULKHEAD_KEEP_FAILED_HOURS (24). Whatever else a task has started is
the registrar's: it removes a finished container once the outcome is recorded and Airflow has accepted it, and it stops
one whose task a person has ended. So nothing that runs is touched here, nor what ended well, nor a failure that may
still be waited for, nor a step by hand. Needs Docker's client, and nothing but the standard library.
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
SET_ASIDE = ".failed-"
"""In the name of a container whose failure is recorded; the rest of that is a piece of its id."""


@dataclass(frozen=True)
class Step:
    """A container that a task started."""

    id: str
    name: str
    state: dict[str, Any]
    labels: dict[str, str]

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, and not well."""
        return self.has_ended and (SET_ASIDE in self.name or self.state["ExitCode"] != 0)

    @property
    def has_ended(self) -> bool:
        """Whether it can do nothing more."""
        return self.state["Status"] in {"exited", "dead"}

    @property
    def is_of_earlier_version(self) -> bool:
        """Whether a version started it that had no registrar, which therefore does not look after it."""
        return "io.bulkhead.try-id" not in self.labels

    @property
    def is_recorded(self) -> bool:
        """Whether its failure is known to be recorded."""
        return SET_ASIDE in self.name

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
    steps = _steps(settings.get("BULKHEAD_PROJECT") or "bulkhead")
    ended = [step for step in steps if step.has_failed or (step.has_ended and step.is_of_earlier_version)]
    old = [step for step in ended if step.age > keep]
    # A failure that nobody has recorded is looked after by its task's next try, while there is one.
    unrecorded = [step for step in old if not step.is_recorded]
    airflow = _airflow(settings) if unrecorded else None
    waited_for = {step.id for step in unrecorded if airflow is None or _is_owned(step, airflow)}
    for step in (gone := [step for step in old if step.id not in waited_for]):
        _docker("rm", "--force", step.id)
        hours = step.age.days * 24 + step.age.seconds // 3600
        print(f"reap: removed {step.name[:60]} ({step.task}): ended {hours} h ago")
    print(f"reap: removed {len(gone)} of {len(steps)} containers")
    return 0


def _airflow(settings: dict[str, str]) -> Airflow | None:
    if not settings.get("BULKHEAD_ADMIN_PASSWORD"):
        print("reap: this is not the first host, and only Airflow knows whose the unrecorded failures are; they stay.")
        return None
    try:
        airflow = Airflow(settings)
        airflow.log_in()
    except AirflowError as error:
        print(f"reap: {error}\nreap: without Airflow nobody knows whose the unrecorded failures are; they stay.")
        return None
    return airflow


def _steps(project: str) -> list[Step]:
    listed = _docker("ps", "--all", "--quiet", "--filter", f"label=io.bulkhead.project={project}").split()
    if not listed:
        return []
    # One that has gone since is in its errors only.
    inspected = subprocess.run(["docker", "inspect", *listed], check=False, capture_output=True, text=True).stdout
    return [
        Step(container["Id"], container["Name"].lstrip("/"), container["State"], container["Config"]["Labels"])
        for container in json.loads(inspected)
        if "io.bulkhead.dag" in container["Config"]["Labels"]  # no task's: by hand
    ]


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
