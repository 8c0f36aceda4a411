"""What people see of a build and of a start, by what Docker says: a line for each stage, all of what failed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BUILD = """#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#5 [tools 1/3] FROM python:3.13-slim-trixie
#5 DONE 0.0s

#6 [tools 2/3] RUN python -m venv /opt/tools
#6 CACHED

#7 [tools 3/3] RUN pip install
#7 CACHED

#8 [dependencies 1/2] RUN uv venv --quiet
#8 DONE 1.5s

#9 [dependencies 2/2] RUN uv pip sync
#9 0.100 downloading pandas
#9 DONE 40.2s

#10 [stage-6 1/1] COPY --from=dependencies /opt/bulkhead /opt/bulkhead
#10 DONE 0.4s

#11 exporting to image
#11 writing image sha256:e49 done
#11 DONE 0.3s
"""
FAILED = (
    BUILD.partition("#9 DONE")[0]
    + """#9 0.345 No solution found: \x1b[31mpandas\x1b[0m
#9 ERROR: process "/bin/sh -c uv pip sync" did not complete successfully: exit code: 1
------
 > [dependencies 2/2] RUN uv pip sync:
0.345 No solution found
------
ERROR: failed to solve: process "/bin/sh -c uv pip sync" did not complete successfully: exit code: 1
"""
)
UP = """ Container shop-2-postgres-1  Created
 Container shop-2-postgres-1  Starting
 Container shop-2-postgres-1  Started
 Container shop-2-postgres-1  Waiting
 Container shop-2-postgres-1  Healthy
 Container shop-2-init-1  Starting
 Container shop-2-init-1  Exited
 Container shop-2-postgres-1  Healthy
 Container shop-2-api-server-1 Healthy
"""


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A file of what Docker says."""
    return tmp_path / "said"


def command(what: list[str], said: Path, code: int = 0) -> list[str]:
    # As Docker does, on stderr.
    return [sys.executable, "scripts/progress.py", *what, "--", "sh", "-c", f"cat {said} >&2; exit {code}"]


def piped(what: list[str], said: Path, code: int = 0) -> list[str]:
    ended = subprocess.run(command(what, said, code), capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert "\r" not in ended.stdout + ended.stderr
    assert bool(ended.stderr) == bool(code)
    return [" ".join(line.split()) for line in (ended.stdout + ended.stderr).splitlines()]


def test_a_build_is_a_line_for_each_stage_with_its_seconds(said: Path) -> None:
    said.write_text(BUILD)
    assert piped(["build", "trainer"], said) == [
        "trainer tools to build with cached",
        "trainer locked packages 41.7 s",
        "trainer put together 0.4 s",
        "trainer written 0.3 s",
    ]


def test_of_a_build_that_fails_everything_is_shown_that_failed_and_the_code_is_dockers(said: Path) -> None:
    said.write_text(FAILED)
    lines = piped(["build", "trainer"], said, 1)
    assert lines[:2] == ["trainer tools to build with cached", "trainer failed: [dependencies 2/2] RUN uv pip sync"]
    for words in ("0.100 downloading pandas", "0.345 No solution found", "ERROR: failed to solve"):
        assert any(words in line for line in lines), words
    assert not any("load build definition" in line for line in lines)


def test_what_docker_says_before_any_stage_is_shown_where_it_fails(said: Path) -> None:
    said.write_text("ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n")
    (line,) = piped(["build", "trainer"], said, 1)
    assert line == "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock."


def test_a_start_is_a_line_for_each_service(said: Path) -> None:
    said.write_text(UP)
    assert [line.rpartition(" 0.")[0] for line in piped(["up", "shop-2"], said)] == [
        "postgres up",
        "init done",
        "api-server up",
    ]


def test_a_start_that_fails_says_why(said: Path) -> None:
    said.write_text(UP + "Error response from daemon: bind: address already in use\n")
    assert piped(["up", "shop-2"], said, 1)[-1] == "Error response from daemon: bind: address already in use"


def test_on_a_terminal_what_goes_on_is_one_line_that_does_not_stay(said: Path) -> None:
    said.write_text(BUILD)
    leader, follower = pty.openpty()
    with subprocess.Popen(command(["build", "trainer"], said), stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while piece := read(leader):
            shown += piece
    os.close(leader)
    assert process.returncode == 0
    stays = [line.rpartition("\x1b[K")[2].split() for line in shown.decode().split("\r\n")]
    assert stays[1] == ["trainer", "locked", "packages", "41.7", "s"]
    assert stays[-1] == []


def read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""
