"""A whole stack of the tests' own: project, folders, port, image tags and secrets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import own_packages
from airflow_client import Airflow, read_env
from tests.containers.support import TAG, records, remove_containers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


BOX = str(ROOT / "tests/box/project")
"""The project as it comes, which the images that are there were built with."""


class Stack:
    """Compose's services under a project of their own, on folders below ``folder``."""

    docker: tuple[str, ...] = ("docker",)
    """What talks to the engine of the steps."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.project = f"bulkhead-test-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.models = folder / "models"
        self.inputs = folder / "shared" / "inputs"
        self.runs = folder / "shared" / "runs"
        env_file = folder / ".env"
        self.environment = os.environ | {
            "BULKHEAD_PROJECT": self.project,
            "BULKHEAD_TAG": self.project,
            "BULKHEAD_ENV_FILE": str(env_file),
            "BULKHEAD_HOST_DIR": str(folder),
            # As it comes, whatever a user has made of project/.
            "BULKHEAD_PROJECT_FOLDER": BOX,
            "BULKHEAD_PORT": str(_free_port()),
            "BULKHEAD_STEP_MEMORY": "400m",
            "BULKHEAD_STEP_RETRIES": "0",
            **settings,
            "COMPOSE_ENV_FILES": str(env_file),
        }
        uploads = self.inputs / ".uploads"
        for made in (self.models, self.inputs, uploads, uploads / "arriving", self.runs):
            made.mkdir(parents=True)
            made.chmod(0o775)
        self.write_settings()
        self.airflow = Airflow(read_env(env_file) | self.environment)

    def write_settings(self) -> None:
        """What compose reads from files, from the environment."""
        subprocess.run([ROOT / "scripts/env.sh"], env=self.environment, check=True, capture_output=True)

    def compose(self, *arguments: str) -> str:
        command = ["docker", "compose", "--env-file", self.environment["BULKHEAD_ENV_FILE"], *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> None:
        for image in own_packages.images():
            self.tag(image)
        if self.environment.get("BULKHEAD_PROJECT_FOLDER") != BOX:
            self.build_steps()
        self.compose("up", "--detach", "--wait", "--no-build")
        self.airflow.log_in()

    def build_steps(self) -> None:
        """The images of steps with the stack's own project."""
        command = [str(ROOT / "scripts/build-images.sh"), "trainer", "inference"]
        built = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr[-2000:]

    def wait_for_schedule(self, dag_id: str, cron: str | None = None, seconds: float = 60) -> None:
        """Until Airflow has read that the DAG runs by itself; ``cron``: at these times, and no more as before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            summary = self.airflow.request("GET", f"/api/v2/dags/{dag_id}")["timetable_summary"]
            if summary and cron in (None, summary):
                return
            time.sleep(0.5)
        raise AssertionError(f"Airflow has not read the schedule of {dag_id} after {seconds} s")

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "5")
        remove_containers(f"io.bulkhead.project={self.project}")
        for image in own_packages.images():
            self.untag(image)

    @contextmanager
    def status(self) -> Iterator[Stack]:
        """It is up, and goes when the block ends."""
        try:
            self.up()
            yield self
        finally:
            self.down()

    @contextmanager
    def receiver(self) -> Iterator[None]:
        """Whoever is told of what happens is there, until the block ends."""
        mount = f"{ROOT / 'tests/system'}:/tests:ro"
        start = ["docker", "run", "--detach", "--name", f"{self.project}-receiver", "--network-alias", "receiver"]
        start += ["--network", f"{self.project}_default", "-v", mount, "--entrypoint", "python"]
        subprocess.run([*start, f"bulkhead/airflow:{TAG}", "/tests/receiver.py"], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["docker", "rm", "--force", f"{self.project}-receiver"], check=False, capture_output=True)

    def told(self, kind: str, about: str, *, least: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """What the receiver got of this kind that names ``about``, once it is as much as that."""
        deadline = time.monotonic() + (seconds if least else 12)
        while True:
            logs = ["docker", "logs", f"{self.project}-receiver"]
            lines = subprocess.run(logs, capture_output=True, text=True, check=True).stdout.splitlines()
            told = [json.loads(line) for line in lines]
            found = [one for one in told if one["kind"] == kind and about in json.dumps(one, ensure_ascii=False)]
            if (least and len(found) >= least) or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def tag(self, image: str) -> None:
        subprocess.run(["docker", "tag", f"bulkhead/{image}:{TAG}", f"bulkhead/{image}:{self.project}"], check=True)

    def untag(self, image: str) -> None:
        subprocess.run(["docker", "rmi", f"bulkhead/{image}:{self.project}"], check=False, capture_output=True)

    def run(self, dag_id: str, conf: dict[str, Any] | None = None, run_id: str | None = None) -> tuple[str, str]:
        """Trigger a DAG and wait for its end; returns the run's id and its state."""
        self.airflow.wait_for_dag(dag_id)
        id_and_state: tuple[str, str] = self.airflow.run(dag_id, conf, run_id)
        return id_and_state

    def trainings(self, run_id: str | None = None) -> list[dict[str, Any]]:
        return [r for r in records(self.models / "log.txt") if run_id in (None, r.get("run_id"))]

    def inferences(self, run_id: str | None = None) -> list[dict[str, Any]]:
        return [r for r in records(self.models / "log_inference.txt") if run_id in (None, r.get("run_id"))]

    def model_files(self) -> set[str]:
        return {path.name for path in self.models.glob("model_*")}

    def task_log(self, dag_id: str, run_id: str, task_id: str) -> str:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        return json.dumps(self.airflow.request("GET", path))

    def step_containers(self) -> list[dict[str, Any]]:
        """``docker inspect`` of every step of this stack that there is, running or not."""
        listed = [*self.docker, "ps", "--all", "--quiet", "--filter", f"label=io.bulkhead.project={self.project}"]
        ids = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        if not ids:
            return []
        # One that has gone since is in its errors only.
        inspected = subprocess.run([*self.docker, "inspect", *ids], capture_output=True, text=True, check=False).stdout
        return list(json.loads(inspected))

    def running_steps(self) -> list[dict[str, Any]]:
        """Those of them that run; a failed one stays for a day, as evidence."""
        return [container for container in self.step_containers() if container["State"]["Running"]]

    def wait_for_step(self, task_id: str, seconds: float = 60) -> dict[str, Any]:
        """``docker inspect`` of the step ``task_id``, once it runs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for container in self.running_steps():
                if container["Config"]["Labels"]["io.bulkhead.task"] == task_id:
                    return container
            time.sleep(0.05)
        raise AssertionError(f"no container of {task_id} ran within {seconds} s")

    @contextmanager
    def held(self, task_id: str) -> Iterator[dict[str, Any]]:
        """``docker inspect`` of the step ``task_id``, as soon as it runs; it is paused until the block ends."""
        container = self.wait_for_step(task_id)
        time.sleep(0.2)  # what is held is the step, and not the engine's own work before it
        try:
            done = subprocess.run([*self.docker, "pause", container["Id"]], check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            yield container
        finally:
            # One that the block has killed is gone or over.
            subprocess.run([*self.docker, "unpause", container["Id"]], check=False, capture_output=True)

    def service(self, name: str) -> str:
        """The id of the container of a service."""
        return self.compose("ps", "--quiet", name).strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
