"""``just rotate-key``: a new key, no old one lost, whenever it is interrupted."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.clone import settings

if TYPE_CHECKING:
    from tests.support.clone import Clone

KEY, OLD = "BULKHEAD_REGISTRY_KEY", "BULKHEAD_REGISTRY_OLD_KEYS"

# The script, which stops itself at a call that a test names.
DYING = """
import os, runpy, signal, sys
place = sys.argv[1]
def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
if place == "before": os.fsync = die
else:
    import pathlib
    before = pathlib.Path.replace
    pathlib.Path.replace = die if place == "renaming" else lambda self, target: (before(self, target), die())
sys.path.insert(0, "scripts")
runpy.run_path("scripts/rotate_key.py", run_name="__main__")
"""


def test_a_new_key_signs_and_the_old_ones_are_kept_newest_first(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    first = settings(clone)
    ended = clone.run("just", "rotate-key")
    assert ended.returncode == 0, ended.stderr
    second = settings(clone)
    assert second[OLD] == first[KEY]
    clone.run("just", "rotate-key")
    third = settings(clone)
    assert third[OLD] == f"{second[KEY]},{first[KEY]}"
    assert len({first[KEY], second[KEY], third[KEY]}) == 3
    assert len(third[KEY]) > 40
    others = {name: value for name, value in third.items() if name not in {KEY, OLD}}
    assert others == {name: value for name, value in first.items() if name != KEY}
    assert stat.S_IMODE((clone.folder / ".env").stat().st_mode) == 0o600
    for key in (first[KEY], second[KEY], third[KEY]):
        assert key not in ended.stdout + ended.stderr


@pytest.mark.parametrize("place", ["before", "renaming", "after"])
def test_whenever_it_is_killed_the_settings_are_whole_and_no_key_is_lost(clone: Clone, place: str) -> None:
    clone.run("scripts/env.sh")
    first = settings(clone)
    killed = clone.run(sys.executable, "-c", DYING, place)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    then = settings(clone)
    if place == "after":
        assert (then[OLD], then[KEY] != first[KEY]) == (first[KEY], True)
    else:
        assert then == first
    assert clone.run("just", "rotate-key").returncode == 0
    last = settings(clone)
    assert first[KEY] in last[OLD].split(",")
    assert then[KEY] in last[OLD].split(",")


def test_two_at_once_lose_no_key(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    first = settings(clone)
    command = [sys.executable, "scripts/rotate_key.py"]
    started = [
        subprocess.Popen(
            command, cwd=clone.folder, env=clone.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(4)
    ]
    done = [process.wait() for process in started].count(0)
    assert done >= 1
    last = settings(clone)
    assert len(last[OLD].split(",")) == done
    assert last[OLD].split(",")[-1] == first[KEY]


def test_a_key_of_the_environment_is_not_rotated_in_env(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    before = (clone.folder / ".env").read_text()
    ended = clone.run("just", "rotate-key", BULKHEAD_REGISTRY_KEY="mine")
    assert ended.returncode == 1
    assert f"{KEY} is set in the environment" in ended.stderr
    assert (clone.folder / ".env").read_text() == before
