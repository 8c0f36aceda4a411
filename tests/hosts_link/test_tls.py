"""TLS by a secret, in the image's Python: both sides are who they say, or nothing is said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.containers.support import TAG

pytestmark = pytest.mark.container

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python", "-v", f"{HERE}:/tests:ro"]
    done = subprocess.run(
        [*command, f"bulkhead/airflow:{TAG}", "/tests/tls_once.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_who_has_the_secret_is_known_by_name(said: dict[str, Any]) -> None:
    assert said["right"] == {"server": [["gpu1"], "hello"], "client": "welcome", "version": "TLSv1.3"}


@pytest.mark.parametrize("who", ["wrong", "another's", "unknown"])
def test_who_has_not_is_told_nothing(said: dict[str, Any], who: str) -> None:
    assert said[who]["server"] is None
    assert said[who]["client"] is None


def test_a_host_tells_nothing_to_somebody_with_a_certificate_and_no_secret(said: dict[str, Any]) -> None:
    assert said["stranger"]["client"] is None
    assert said["stranger"]["server"] in (None, [[], ""])
