"""A first host with two further ones, and what is asked of all three."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests.faults.shell import build, docker
from tests.faults.support import TRAIN, wait_until
from tests.hosts.machine import Machine
from tests.system.support import ROOT, Stack, _free_port

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

LEASE = 30
"""Seconds. The default is ten minutes; here nobody waits so long."""


class Cluster(Stack):
    """The first host's stack, and further hosts."""

    def __init__(self, folder: Path, *names: str, **settings: str) -> None:
        own = {
            "BULKHEAD_HOSTS": "1",
            "BULKHEAD_HOSTS_PORT": str(_free_port()),
            "BULKHEAD_ENGINE_LEASE": str(LEASE),
            "BULKHEAD_STEP_SLOTS": "3",
            "BULKHEAD_STEP_RETRIES": "2",
            "BULKHEAD_STEP_RETRY_SECONDS": "1",
        }
        super().__init__(folder, **{**own, **settings})
        self.machines = {name: Machine(name, number, self) for number, name in enumerate(names, start=1)}

    def begin(self, pool: ThreadPoolExecutor, queues: Mapping[str, str] = MappingProxyType({})) -> None:
        """Everything is up; the first host takes no work, so that it is clear where a step runs.

        Args:
            pool: in which hosts are set up.
            queues: by host, those that it serves; else it is the default one.
        """
        self.up()
        machines = self.machines.items()
        for done in [pool.submit(one.set_up, queues.get(name, "default")) for name, one in machines]:
            done.result()
        self.manage("drain", "main")
        self.airflow.wait_for_dag(TRAIN)

    def end(self) -> None:
        for machine in self.machines.values():
            machine.tear_down()
        self.down()

    def manage(self, *arguments: str) -> str:
        """``just hosts`` and the like."""
        done = self.try_to_manage(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_to_manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["python3", str(ROOT / "scripts/manage_hosts.py"), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def hosts(self) -> dict[str, dict[str, Any]]:
        """By name, how each is."""
        return {one["name"]: one for one in json.loads(self.manage("list", "--json"))}

    def wait_for_state(self, name: str, state: str, seconds: float = 60) -> None:
        wait_until(
            lambda: self.hosts()[name]["state"] == state, seconds, f"{name} is not {state}: {self.hosts()[name]}"
        )

    @contextmanager
    def only(self, machine: Machine) -> Iterator[None]:
        """New steps go to this host alone."""
        others = [name for name in self.machines if name != machine.name]
        for name in others:
            self.manage("drain", name)
        self.settle()
        try:
            yield
        finally:
            for name in others:
                self.manage("drain", name, "--undo")
            self.settle()

    def settle(self) -> None:
        """Until workers have heard what was just said of them."""
        time.sleep(8)

    def running_on(self, run_id: str, task_id: str = "train_model") -> list[str]:
        """The hosts where a container of the task runs; of each as often as there is one."""
        wanted = {"io.bulkhead.run": run_id, "io.bulkhead.task": task_id}.items()
        return [
            name
            for name, machine in self.machines.items()
            if machine.answers()
            for one in machine.step_containers()
            if one["State"]["Running"] and wanted <= one["Config"]["Labels"].items()
        ]

    def go(self, run_id: str) -> None:
        """Let a train_model begin that waits for it."""
        (self.folder / run_path(TRAIN, run_id) / "go").touch()

    def published(self, run_id: str) -> list[dict[str, Any]]:
        return [one for one in self.trainings(run_id) if "model_filename" in one]

    def failures(self, run_id: str) -> list[dict[str, Any]]:
        return [one for one in self.trainings(run_id) if "cause" in one]

    @contextmanager
    def images(self, dockerfile: str) -> Iterator[None]:
        """Another trainer on every host; the same image everywhere, as hosts compare them."""
        image = build(dockerfile)
        tag = f"bulkhead/trainer:{self.project}"
        docker("tag", image, tag)
        for machine in self.machines.values():
            machine.load(tag, tag)
        self.wait_until_ready()
        try:
            yield
        finally:
            self.tag("trainer")

    def wait_until_ready(self) -> None:
        """Until every host takes work, or would if it was not drained."""
        wait_until(
            lambda: all(one["state"] in {"ready", "draining"} and not one["problems"] for one in self.hosts().values()),
            90,
            "a host is not ready",
        )
