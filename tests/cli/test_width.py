"""Tables on a terminal: no wider than it, and what is not shown is said; ``-e`` and its like beside them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.project import inferred, publish, training_failure

if TYPE_CHECKING:
    from tests.support.command import Command

    from bulkhead.registry.store import Registry


def on_a_terminal(argv: list[str], columns: int) -> list[str]:
    """What ``registry`` prints, line by line, on a terminal so wide."""
    leader, follower = pty.openpty()
    variables = os.environ | {"NO_COLOR": "1", "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "bulkhead.cli", *argv]
    with subprocess.Popen(command, env=variables, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while piece := _read(leader):
            shown += piece
    os.close(leader)
    assert process.returncode == 0, shown
    return shown.decode().splitlines()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("flags", [["list"], ["list", "--inferences"], ["list", "--failures"]], ids=" ".join)
def test_a_table_fits_the_terminal_and_says_what_it_left_out(
    registry_with_two_models: Registry, flags: list[str], columns: int
) -> None:
    served = registry_with_two_models.latest("prd")
    inferred(registry_with_two_models, served)
    registry_with_two_models.record_failure("training", training_failure(detail="it failed, for a reason. " * 20))
    argv = ["--models", str(registry_with_two_models.folder), *flags]
    fits = on_a_terminal(argv, columns)
    assert max(len(line) for line in fits if not line.startswith("To fit the terminal: ")) <= columns
    if flags == ["list", "--failures"]:
        assert "\n".join(fits).count("reason.") == 20, "a sentence goes on below, and loses nothing"
    else:
        assert fits[-1].endswith("All of it: --wide.")
        called = served.short_name if flags == ["list"] else served.model_hash[:8]
        assert str(called) in "\n".join(fits) or columns == 60
    piped = subprocess.run([sys.executable, "-m", "bulkhead.cli", *argv], capture_output=True, text=True, check=True)
    assert on_a_terminal([*argv, "--wide"], columns) == piped.stdout.splitlines()


@pytest.mark.parametrize("flag", ["-e", "--env", "--environment"])
def test_an_environment_is_named_by_any_of_its_flags(flag: str, registry: Command) -> None:
    prd, dev = publish(registry.registry, "prd"), publish(registry.registry, "dev")
    assert registry.done("latest", flag, "dev").strip() == dev.model_filename
    listed = registry.done("list", flag, "prd")
    assert prd.model_filename in listed
    assert dev.model_filename not in listed
