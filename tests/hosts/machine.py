"""A further host: an engine of its own in a network of its own, with a view of the shared folders of its own.

Its network is a namespace with one wire to this machine's, so it can be pulled out, and its engine's bridge and rules
are nobody else's. What runs there can be frozen, as if the whole machine stood still.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.engine import AS_ROOT, Engine
from tests.faults.shell import docker
from tests.faults.support import wait_until
from tests.system.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.support import Stack

IMAGES = ("airflow", "launcher", "trainer", "inference")


class Machine(Engine):
    """A further host.

    Args:
        name: its own.
        number: from 1 on; no two have the same at once.
        stack: the first host's.
    """

    network_options = {  # noqa: RUF012  # each has its own, below
    }

    def __init__(self, name: str, number: int, stack: Stack) -> None:
        super().__init__()
        self.name = name
        self.stack = stack
        self.tree = self.folder / "project"
        self.settings: dict[str, str] = {}
        """Its own, as a person may set them before joining."""
        self._wire = f"bh{os.getpid()}-{number}"
        self._here = f"10.231.{number}.1"
        self._there = f"10.231.{number}.2"
        self._subnet = number
        self.in_network = ("nsenter", f"--net=/run/netns/{self._wire}")
        self.network_options = {
            "bip": f"172.30.{number}.1/24",
            "default-address-pool": f"base=172.31.{16 * number}.0/20,size=24",
        }

    @property
    def environment(self) -> dict[str, str]:
        """What its scripts run with; a launcher's or worker's settings are in its own files."""
        left_out = ("BULKHEAD_", "COMPOSE_")
        return {name: value for name, value in os.environ.items() if not name.startswith(left_out)} | {
            "DOCKER_HOST": f"unix://{self.socket}",
            "BULKHEAD_DOCKER_SOCKET": str(self.socket),
            "BULKHEAD_HOST_ENV_FILE": str(self.folder / "env"),
            "BULKHEAD_HOST_DIR": str(self.tree),
            "BULKHEAD_PROJECT_FOLDER": self.stack.environment["BULKHEAD_PROJECT_FOLDER"],
            "BULKHEAD_TAG": self.stack.project,
            **self.settings,
        }

    # Its life.

    def set_up(self, queues: str = "default") -> None:
        """Its network, its engine with the images, its folders; and join the first host."""
        self.plug_in()
        self.start(live_restore=False)
        for image in IMAGES:
            tag = f"bulkhead/{image}:{self.stack.project}"
            self.load(tag, tag)
        self.mount()
        self.join(queues)

    def join(self, queues: str = "default") -> None:
        done = self.try_to_join(self.code(queues))
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]

    def join_again(self) -> None:
        """As after a crash of the engine, which starts not all of them again."""
        done = self.try_to_join()
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]

    def code(self, queues: str = "default") -> str:
        """What ``just host-add`` prints for it."""
        command = ["python3", str(ROOT / "scripts/manage_hosts.py"), "add", self.name, "--queues", queues]
        said = subprocess.run(
            [*command, "--address", self._here], env=self.stack.environment, capture_output=True, text=True, check=True
        ).stdout
        return next(line.split()[2] for line in said.splitlines() if "just host-join" in line)

    def try_to_join(self, *code: str) -> subprocess.CompletedProcess[str]:
        """``just host-join``, with a code or with the one from before."""
        command = [str(ROOT / "scripts/host.sh"), "join", *code]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def tear_down(self) -> None:
        with suppress(Exception):
            self.thaw()
        subprocess.run([str(ROOT / "scripts/host.sh"), "down"], env=self.environment, capture_output=True, check=False)
        self.unmount()
        self.remove()
        subprocess.run([*AS_ROOT, "ip", "link", "delete", self._wire], capture_output=True, check=False)
        subprocess.run([*AS_ROOT, "ip", "netns", "delete", self._wire], capture_output=True, check=False)

    # Its network.

    def plug_in(self) -> None:
        space, inside = self._wire, ["ip", "-n", self._wire]
        _as_root("ip", "netns", "add", space)
        _as_root("ip", "link", "add", space, "type", "veth", "peer", "name", "eth0", "netns", space)
        _as_root("ip", "address", "add", f"{self._here}/30", "dev", space)
        _as_root("ip", "link", "set", space, "up")
        _as_root(*inside, "address", "add", f"{self._there}/30", "dev", "eth0")
        _as_root(*inside, "link", "set", "eth0", "up")
        _as_root(*inside, "link", "set", "lo", "up")
        _as_root(*inside, "route", "add", "default", "via", self._here)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Its wire is pulled out until the block ends."""
        _as_root("ip", "link", "set", self._wire, "down")
        try:
            yield
        finally:
            _as_root("ip", "link", "set", self._wire, "up")

    # Its folders.

    def mount(self) -> None:
        """Its own view of the first host's tree, by another path."""
        self.tree.mkdir(exist_ok=True)
        _as_root("mount", "--bind", str(self.stack.folder), str(self.tree))

    def unmount(self) -> None:
        subprocess.run([*AS_ROOT, "umount", "--lazy", str(self.tree)], capture_output=True, check=False)

    # What is done to it.

    def kill_worker(self) -> None:
        """SIGKILL to the worker's main process; Docker starts it again."""
        self.signal_service("worker", signal.SIGKILL)

    def signal_service(self, service: str, number: signal.Signals) -> None:
        container = self.service(service)
        pid = int(docker(*self.host, "inspect", "--format", "{{.State.Pid}}", container))
        main = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        _as_root("kill", "-s", str(int(number)), main)

    def freeze(self) -> None:
        """Everything there stands still: steps, services, the engine."""
        if running := docker(*self.host, "ps", "--quiet", "--filter", "status=running").split():
            docker(*self.host, "pause", *running)
        self.signal_engine(signal.SIGSTOP)

    def thaw(self) -> None:
        """Everything goes on, the steps first: before anybody can tell them not to."""
        self.signal_engine(signal.SIGCONT)
        paused = docker(*self.host, "ps", "--quiet", "--filter", "status=paused").split()
        steps = {one["Id"][:12] for one in self.step_containers()}
        for container in sorted(paused, key=lambda one: one not in steps):
            docker(*self.host, "unpause", container)

    def signal_engine(self, number: signal.Signals) -> None:
        pid = (self.folder / "dockerd.pid").read_text().strip()
        _as_root("kill", "-s", str(int(number)), pid)

    def power_off(self) -> None:
        """Everything there is gone at once: containers and engine."""
        pids = [
            docker(*self.host, "inspect", "--format", "{{.State.Pid}}", one).strip()
            for one in docker(*self.host, "ps", "--quiet").split()
        ]
        self.kill()
        for pid in pids:
            subprocess.run([*AS_ROOT, "kill", "-9", pid], capture_output=True, check=False)

    # What is seen of it.

    def service(self, name: str) -> str:
        label = f"label=com.docker.compose.service={name}"
        return docker(*self.host, "ps", "--all", "--quiet", "--filter", label).split()[0]

    def step_containers(self) -> list[dict[str, Any]]:
        """``docker inspect`` of every step there, running or not."""
        label = f"label=io.bulkhead.project={self.stack.project}"
        if not (ids := docker(*self.host, "ps", "--all", "--quiet", "--filter", label).split()):
            return []
        command = ["docker", *self.host, "inspect", *ids]
        return list(json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout))

    def wait_for_step(self, run_id: str, task_id: str = "train_model", seconds: float = 60) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            wanted = {"io.bulkhead.run": run_id, "io.bulkhead.task": task_id}
            for one in self.step_containers():
                if one["State"]["Running"] and wanted.items() <= one["Config"]["Labels"].items():
                    return one
            return None

        made: dict[str, Any] = wait_until(found, seconds, f"{task_id} does not run on {self.name}")
        return made


def _as_root(*command: str) -> None:
    subprocess.run([*AS_ROOT, *command], check=True)
