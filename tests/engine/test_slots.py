"""How many steps run at once: what cores and memory allow, or what somebody says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine import slots

GB = 1 << 30
COMMAND = [sys.executable, "-m", "engine.slots"]


@pytest.mark.parametrize(
    ("cores", "gigabytes", "settings", "expected"),
    [
        (2, 8, {}, 2),
        (16, 64, {}, 16),
        (64, 10, {}, 4),
        (1, 64, {}, 2),
        (1, 3, {}, 1),
        (2, 1, {}, 1),
        (8, 64, {"BULKHEAD_STEP_CPUS": "0.5"}, 31),
        (8, 18, {"BULKHEAD_STEP_MEMORY": "512m", "BULKHEAD_STEP_CPUS": "1"}, 16),
        (2, 8, {"BULKHEAD_STEP_SLOTS": "7"}, 7),
        (2, 8, {"BULKHEAD_STEP_SLOTS": "", "BULKHEAD_STEP_MEMORY": ""}, 2),
    ],
)
def test_slots_are_what_memory_and_cores_allow_or_what_is_said(
    cores: int, gigabytes: int, settings: dict[str, str], expected: int
) -> None:
    assert slots.slots(settings, cores, gigabytes * GB) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"BULKHEAD_STEP_SLOTS": "0"},
        {"BULKHEAD_STEP_SLOTS": "many"},
        {"BULKHEAD_STEP_SLOTS": "-1"},
        {"BULKHEAD_STEP_MEMORY": "much"},
        {"BULKHEAD_STEP_MEMORY": "0"},
        {"BULKHEAD_STEP_CPUS": "0"},
        {"BULKHEAD_STEP_CPUS": "two"},
    ],
)
def test_a_setting_that_is_none_is_refused_by_its_name(settings: dict[str, str]) -> None:
    (name,) = settings
    ended = subprocess.run(COMMAND, env=settings | {"PATH": ""}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert name in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_compose_gives_the_pool_what_the_script_prints(pytestconfig: pytest.Config) -> None:
    ended = subprocess.run(COMMAND, env={"PATH": ""}, capture_output=True, text=True, check=True)
    assert int(ended.stdout) >= 1
    assert '"$$(python -m engine.slots)"' in (pytestconfig.rootpath / "docker-compose.yaml").read_text()
