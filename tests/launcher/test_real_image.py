"""The launcher as it is shipped, before the real engine: what it is sent does not end it."""

from __future__ import annotations

import subprocess
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG

from bulkhead.unix_http import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

CREATE = "/v1.47/containers/create"


class Launcher:
    """Its container, and a client of its socket."""

    def __init__(self, folder: Path) -> None:
        self.name = f"bulkhead-test-launcher-{uuid.uuid4().hex[:8]}"
        mounts = ["-v", "/var/run/docker.sock:/var/run/docker.sock", "-v", f"{folder}:/run/bulkhead/launcher"]
        settings = ["-e", f"BULKHEAD_PROJECT={self.name}", "-e", f"BULKHEAD_HOST_DIR={folder}"]
        start = ["docker", "run", "--detach", "--user", "0:0", "--name", self.name, *mounts, *settings]
        subprocess.run([*start, f"bulkhead/launcher:{TAG}", "serve"], check=True, capture_output=True)
        self.client = Client(folder / "launcher.sock", 60)

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError):
                if self.client.request("GET", "/_ping")[0] == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"the launcher does not answer: {self.output()}")

    def output(self) -> str:
        """What it has printed."""
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def exit_code(self) -> str:
        """How it ended."""
        look = ["docker", "inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}", self.name]
        return subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(tmp_path_factory.mktemp("launcher"))
    try:
        made.wait()
        yield made
    finally:
        subprocess.run(["docker", "rm", "--force", made.name], capture_output=True, check=False)


@pytest.mark.parametrize(
    "body",
    [b"[" * 9000, b'{"a":' * 9000, b'{"Labels": {"io.bulkhead.request": "' + b"[" * 200_000 + b'"}}'],
    ids=["lists", "objects", "in the request"],
)
def test_a_deep_body_does_not_end_it(launcher: Launcher, body: bytes) -> None:
    for _ in range(5):
        assert launcher.client.request("POST", CREATE, body)[0] == 400
    assert launcher.exit_code() == "true 0", launcher.output()


def test_sigterm_ends_it_in_order(launcher: Launcher) -> None:
    subprocess.run(["docker", "stop", "--time", "20", launcher.name], check=True, capture_output=True)
    assert launcher.exit_code() == "false 0"
