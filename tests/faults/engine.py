"""An engine of the tests' own, to be stopped and started: the user's would take the user's containers with it.

It has its own images, containers and socket, and a network namespace without any network: a step
needs none, and an engine without a bridge would remove ``docker0``. Tests run Airflow
on the user's engine, whose scheduler is given this one's socket. Paths are the same for both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.shell import docker
from tests.faults.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


class Engine:
    """A ``dockerd`` beside the machine's."""

    in_network: tuple[str, ...] = ("unshare", "--net")
    """The command that it is started by."""
    network_options: Mapping[str, object] = {  # nobody changes it
        "bridge": "none",
        "iptables": "false",
        "ip6tables": "false",
        "ip-forward": "false",
    }

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bulkhead-engine-"))  # a socket's path must be short
        self.folder.chmod(0o755)
        self.socket = self.folder / "docker.sock"
        (self.folder / "daemon.json").write_text("{}")  # not the machine's settings
        self._namespace = f"bulkhead-{uuid.uuid4().hex[:12]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._live_restore = False

    @property
    def host(self) -> tuple[str, str]:
        """Options that make ``docker`` talk to this engine."""
        return "--host", f"unix://{self.socket}"

    def start(self, *, live_restore: bool) -> None:
        """Start it, and return when it answers.

        Args:
            live_restore: whether containers outlive its next stop.
        """
        options: dict[str, object] = {
            "config-file": self.folder / "daemon.json",
            "data-root": self.folder / "data",
            "exec-root": self.folder / "exec",
            "pidfile": self.folder / "dockerd.pid",
            "host": f"unix://{self.socket}",
            "group": os.getegid(),
            # The machine's containerd, where it has one, serves all of them.
            "containerd-namespace": self._namespace,
            "containerd-plugins-namespace": f"{self._namespace}-plugins",
            "live-restore": str(live_restore).lower(),
            "shutdown-timeout": 2,
            "log-level": "warn",
            **self.network_options,
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        command = [*AS_ROOT, *self.in_network, "dockerd", *given]
        with (self.folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._live_restore = live_restore
        wait_until(self.answers, 30, f"the engine did not start, see {log.name}")

    def have(self, *, live_restore: bool) -> None:
        """Start it anew where it is not as wanted."""
        if self._live_restore != live_restore:
            self.stop()
            self.start(live_restore=live_restore)

    def answers(self) -> bool:
        command = ["docker", *self.host, "version"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def stop(self) -> None:
        """SIGTERM, as ``systemctl stop docker`` does; returns when it has gone."""
        self._end("TERM")

    def kill(self) -> None:
        """SIGKILL: it can do nothing about its containers any more; returns when it has gone."""
        self._end("KILL")

    def _end(self, signal: str) -> None:
        assert self._process is not None
        pid = (self.folder / "dockerd.pid").read_text()
        subprocess.run([*AS_ROOT, "kill", "-s", signal, pid], check=True)
        self._process.wait(60)
        self._process = None

    def load(self, image: str, name: str) -> None:
        """Copy ``image`` from the user's engine, and tag it ``name``."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", *self.host, "load", "--quiet"], stdin=saved.stdout, check=True)
        docker(*self.host, "tag", image, name)

    def remove(self) -> None:
        """Stop it with all its containers, and leave nothing."""
        if self._process is None:
            self.start(live_restore=False)
        if containers := docker(*self.host, "ps", "--all", "--quiet").split():
            docker(*self.host, "rm", "--force", *containers)
        self.stop()
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for left in reversed([path for path in mounted if Path(path).is_relative_to(self.folder)]):
            subprocess.run([*AS_ROOT, "umount", left], check=True)  # its data folder, on itself
        subprocess.run([*AS_ROOT, "rm", "-rf", str(self.folder)], check=True)


def is_possible() -> bool:
    """Whether this user may start an engine on this machine."""
    allowed = subprocess.run([*AS_ROOT, "true"], check=False, capture_output=True).returncode == 0
    return allowed and shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None
