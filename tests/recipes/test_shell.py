"""``just shell``, ``open``, ``status`` and ``restart``, and when the engine is looked for."""

from __future__ import annotations

import json
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.clone import Clone


@pytest.mark.container
def test_a_shell_is_where_a_step_is_and_sealed_as_it_is(clone: Clone) -> None:
    ended = clone.run("just", "shell", "trainer", "-c", "python -V; id -g; ls -d /shared /inputs /models; exit 3")
    assert ended.returncode == 3, ended.stderr
    version, group, *folders = ended.stdout.splitlines()
    assert version.startswith("Python 3.")
    assert (group, folders) == ("0", ["/inputs", "/models", "/shared"])
    refused = clone.run("just", "shell", "trainer", "-c", "touch /models/x || touch /x")
    assert refused.returncode == 1
    assert refused.stderr.count("Read-only file system") == 2
    cut_off = "import socket; print(socket.if_nameindex())"
    assert clone.run("just", "shell", "inference", "-c", f"python -c '{cut_off}'").stdout == "[(1, 'lo')]\n"


@pytest.mark.container
def test_a_shell_in_a_service_that_does_not_run_says_so(clone: Clone) -> None:
    ended = clone.run("just", "shell", "scheduler", "-c", "true")
    assert ended.returncode == 1
    assert 'service "scheduler" is not running' in ended.stderr


@pytest.mark.container
def test_an_engine_that_answers_is_not_looked_for(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    real = shutil.which("docker")
    asked = clone.folder / "asked"
    path = clone.with_docker(f'echo "$@" >>{asked}\nexec {real} "$@"\n')
    assert clone.run("just", "registry", "list", PATH=path).returncode == 0
    assert not [line for line in asked.read_text().splitlines() if line.startswith("info")]


@pytest.mark.container
def test_an_engine_that_does_not_answer_is_looked_for_and_asked_once_more(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    real = shutil.which("docker")
    asked = clone.folder / "asked"
    # It answers from when it was looked for: as if that had started it.
    script = f'echo "$@" >>{asked}\ngrep -q ^info {asked} || exit 1\nexec {real} "$@"\n'
    ended = clone.run("just", "registry", "list", PATH=clone.with_docker(script))
    assert ended.returncode == 0, ended.stderr
    lines = asked.read_text().splitlines()
    assert sum(line.startswith("info") for line in lines) == 1
    assert sum(line.startswith("image inspect") for line in lines) == 2


def test_without_any_engine_the_answer_says_what_to_do(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    path = clone.with_docker("exit 1\n")
    ended = clone.run("just", "registry", "list", PATH=path, BULKHEAD_NO_BOOTSTRAP="1")
    assert ended.returncode == 1
    assert "no Docker engine with compose and buildx answers" in ended.stderr
    told = clone.run("just", "status", PATH=path)
    assert told.returncode == 1
    assert "models/log_inference.txt  0 B" in told.stdout
    assert "% free" in told.stdout


def test_nothing_is_open_where_nothing_runs(clone: Clone) -> None:
    ended = clone.run("just", "open")
    assert (ended.returncode, "Run 'just up'" in ended.stderr) == (1, True)
    for recipe in ("status", "restart"):
        assert clone.run("just", recipe).returncode == 1
    assert not (clone.folder / ".env").exists()
    clone.run("scripts/env.sh")
    ended = clone.run("just", "open", BULKHEAD_PORT="1")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "nothing answers at http://localhost:1." in ended.stderr


def test_the_address_is_printed_and_opened_only_where_there_is_a_display(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    path = clone.with_docker("exit 1\n")
    opener = clone.folder.parent / "bin/xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$@" >>{clone.folder}/opened\n')
    opener.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        ended = clone.run("just", "open", PATH=path, BULKHEAD_PORT=port, DISPLAY="", WAYLAND_DISPLAY="")
        assert ended.returncode == 0, ended.stderr
        address, user, password = ended.stdout.splitlines()
        assert address.split() == ["address", f"http://localhost:{port}"]
        assert user.split() == ["user", "admin"]
        assert password.split()[0] == "password"
        assert not (clone.folder / "opened").exists()
        assert clone.run("just", "open", PATH=path, BULKHEAD_PORT=port, DISPLAY=":9").returncode == 0
    assert (clone.folder / "opened").read_text() == f"http://localhost:{port}\n"


def test_a_service_that_is_down_is_named_and_the_code_is_one(clone: Clone) -> None:
    """By what compose says; the registry's own part is tested where it is made."""
    clone.run("scripts/env.sh")
    services: dict[str, dict[str, object]] = {
        name: {"Service": name, "State": "running", "Health": "healthy"} for name in ("postgres", "registrar")
    }
    services["init"] = {"Service": "init", "State": "exited", "ExitCode": 0}
    services["scheduler"] = {"Service": "scheduler", "State": "running", "Health": "unhealthy"}
    said = "\n".join(json.dumps(one) for one in services.values())
    path = clone.with_docker(
        f"case $* in compose*ps*) cat <<'END'\n{said}\nEND\n;; 'image inspect'*) echo sha256:1 abc;; esac\n"
    )
    ended = clone.run("just", "status", PATH=path)
    assert ended.returncode == 1
    assert "3 of 9 are well: postgres, init, registrar" in ended.stdout
    assert "Wrong: scheduler is unhealthy: just logs scheduler" in ended.stdout
    assert "Wrong: api-server is down" in ended.stdout
    told = clone.run("just", "status", "--json", PATH=path).stdout.splitlines()[0]
    assert json.loads(told)["services"]["scheduler"] == "unhealthy"
