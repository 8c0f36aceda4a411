"""A small client of Airflow's REST API, standard library only: for the demo, the system tests and the benchmark."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINAL = ("success", "failed")


class AirflowError(Exception):
    """The API refused a request, or did not answer in time."""


class Airflow:
    """The Airflow of a running stack.

    Args:
        settings: the names and values of its ``.env``.
    """

    def __init__(self, settings: dict[str, str]) -> None:
        self.address = f"http://localhost:{settings['BULKHEAD_PORT']}"
        self.user = "admin"
        self.password = settings["BULKHEAD_ADMIN_PASSWORD"]
        self._token: str | None = None

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The decoded answer to ``method path``.

        Raises:
            AirflowError: it is none of 2xx, or nobody answers.
        """
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, content, headers, method=method)  # noqa: S310  # http, ours
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            raise AirflowError(f"{method} {path}: {error.code} {detail}") from None
        except OSError as error:
            raise AirflowError(f"{method} {self.address}{path}: {error}. Is the stack up? Run: just up") from None

    def log_in(self) -> None:
        """Get a token; every later request carries it."""
        answer = self.request("POST", "/auth/token", {"username": self.user, "password": self.password})
        self._token = answer["access_token"]

    def wait_for_dag(self, dag_id: str, seconds: float = 60) -> None:
        """Return once the DAG processor has read ``dag_id``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.request("GET", f"/api/v2/dags/{dag_id}")
            except AirflowError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a run; returns its id."""
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def states(self, dag_id: str, run_id: str, seconds: float = 300) -> Iterator[tuple[str, dict[str, str | None]]]:
        """The run's state and its tasks' states, each time one changes, until the run has ended.

        Raises:
            AirflowError: it has not ended after ``seconds``.
        """
        run = f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"
        deadline = time.monotonic() + seconds
        before = None
        while True:
            state = self.request("GET", run)["state"]
            # Asked after the run's state: once that is final, no task can change any more.
            tasks = {t["task_id"]: t["state"] for t in self.request("GET", f"{run}/taskInstances")["task_instances"]}
            if (state, tasks) != before:
                before = (state, tasks)
                yield before
            if state in FINAL:
                return
            if time.monotonic() > deadline:
                raise AirflowError(f"{dag_id} {run_id}: still {state} after {seconds:.0f} s: {tasks}")
            time.sleep(0.2)

    def run(self, dag_id: str, conf: dict[str, Any] | None = None, run_id: str | None = None) -> tuple[str, str]:
        """Start a run and wait for its end; returns its id and its state."""
        run_id = self.trigger(dag_id, conf, run_id)
        *_, (state, _) = self.states(dag_id, run_id)
        return run_id, state


def read_env(path: Path) -> dict[str, str]:
    """The names and values of a ``.env`` that scripts/env.sh made."""
    pairs = (line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value.strip("'\"") for name, _, value in pairs}
