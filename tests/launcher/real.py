"""The launcher of the first host in its container, before the real engine, with a project's folder."""

from __future__ import annotations

import subprocess
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.containers.support import TAG, remove_containers

from bulkhead.unix_http import Client

if TYPE_CHECKING:
    from pathlib import Path


class RealLauncher:
    """Answers the API server on a socket; ``variables`` are added to those of ``.env``."""

    label = ""
    """Of the containers that it makes."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.project = f"bulkhead-test-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.inputs, self.runs = folder / "shared/inputs", folder / "shared/runs"
        self.arriving = self.inputs / ".uploads/arriving"
        self.arriving.mkdir(parents=True)
        self.runs.mkdir()
        (folder / "run").mkdir()
        (folder / "models").mkdir()
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)
        given = {
            "BULKHEAD_PROJECT": self.project,
            "BULKHEAD_HOST_DIR": str(folder),
            "BULKHEAD_TAG": TAG,
            "BULKHEAD_UID": "0",
            "AIRFLOW_HOME": "/",
            "BULKHEAD_LAUNCHER_SOCKET": "/run/launcher/launcher.sock",
            "BULKHEAD_PAGE_LAUNCHER_SOCKET": "/run/launcher/page.sock",
            **variables,
        }
        mounts = [
            "/var/run/docker.sock:/var/run/docker.sock",
            f"{folder}/shared:/shared",
            f"{folder}/models:/models:ro",
            f"{folder}/run:/run/launcher",
        ]
        start = ["docker", "run", "--detach", "--user", "0:0", "--name", self.project, "--network", "none"]
        start += [word for mount in mounts for word in ("-v", mount)]
        start += [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
        subprocess.run([*start, f"bulkhead/launcher:{TAG}", "serve"], check=True, capture_output=True)
        self.socket = folder / "run/page.sock"
        self.client = Client(self.socket, 120)
        self.wait()

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError):
                if self.client.request("GET", "/_ping")[0] == 200:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def containers(self) -> list[str]:
        """Those that it has made and that there are, running or not."""
        wanted = [f"label=io.bulkhead.project={self.project}", f"label={self.label}"]
        listed = ["docker", "ps", "--all", "--quiet"] + [word for one in wanted for word in ("--filter", one)]
        return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()

    def remove(self) -> None:
        """It, and what it has left."""
        subprocess.run(["docker", "rm", "--force", self.project], capture_output=True, check=False)
        remove_containers(f"io.bulkhead.project={self.project}")
