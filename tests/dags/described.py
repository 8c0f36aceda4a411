"""What Airflow, in its own image, makes of DAG files and of a project."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.containers.support import TAG

HERE = Path(__file__).parent
BOX = HERE.parent / "box/project"


def in_image(
    program: str, *arguments: str, mounts: tuple[str, ...], packages: str = "", **variables: str
) -> dict[str, Any]:
    """The last line that ``program``, of this folder, prints in the Airflow image.

    Args:
        program: its file's name.
        arguments: what it is given.
        mounts: options of ``docker run``.
        packages: folders that Python looks for packages in, before those that are installed.
        variables: its environment.
    """
    variables["PYTHONPATH"] = ":".join(part for part in ("/home-of-project", packages) if part)
    settings = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    start = ["docker", "run", "--rm", "--entrypoint", "python", "-v", f"{HERE}:/tests:ro", *settings, *mounts]
    command = [*start, f"bulkhead/airflow:{TAG}", f"/tests/{program}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def of_project(project: Path) -> tuple[str, ...]:
    """Options of ``docker run`` that mount ``project`` as the package of that name."""
    return ("-v", f"{project}:/home-of-project/project:ro")


def describe(dags: Path, *options: str, project: Path = BOX, packages: str = "", **variables: str) -> dict[str, Any]:
    """What Airflow makes of the DAG files, with this project, these variables and options of ``docker run``."""
    mounts = ("-v", f"{dags}:/dags:ro", *of_project(project), *options)
    return in_image("describe_dags.py", "/dags", mounts=mounts, packages=packages, **variables)
