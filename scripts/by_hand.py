"""What ``just step`` and ``just registry`` share: a host made ready, its settings, an image by its id, the registrar.

The host has Docker's command line and nothing of Python but its standard library.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow_client import read_env

ROOT = Path(__file__).resolve().parent.parent
# The seal's description, and what it needs: they take the standard library alone.
sys.path[:0] = [str(ROOT / "packages" / package / "src") for package in ("engine", "bulkhead")]

from bulkhead import paths  # noqa: E402  # found by the line above
from bulkhead.errors import Refused  # noqa: E402  # as well
from engine.seal import Mount  # noqa: E402  # as well
from engine.settings import Settings  # noqa: E402  # as well

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ("BULKHEAD_REGISTRY_KEY", "BULKHEAD_REGISTRY_OLD_KEYS")
"""What the registry's records are signed with; never on a command line, which every user of the host can read."""


@dataclass(frozen=True)
class Image:
    """An image of this host: its tag for people, its id as the proof."""

    tag: str
    id: str
    commit: str = ""
    """Which commit it was built of; empty where its label does not say."""

    def __str__(self) -> str:
        return f"{self.tag}@{self.id}"


def fail(what: str, next_step: str) -> NoReturn:
    """One line each for what is wrong and what to do about it."""
    sys.exit(f"bulkhead: {what}\nbulkhead: {next_step}")


def ready() -> dict[str, str]:
    """Settings by name, the environment's before ``.env``'s, which is whole.

    The engine is looked for where it does not answer: :func:`docker` does that. A new ``.env`` is made with it, because
    the clone's name and port are reserved there.
    """
    path = Path(os.environ.get("BULKHEAD_ENV_FILE") or ROOT / ".env")
    if not path.exists():
        find_engine()
    if code := subprocess.run([ROOT / "scripts/env.sh"], check=False).returncode:
        sys.exit(code)
    file = read_env(path)
    # By hand it is always this clone that is worked on.
    own = {"BULKHEAD_HOST_DIR": file["BULKHEAD_HOST_DIR"], "AIRFLOW_HOME": str(ROOT)}
    return file | {name: value for name, value in os.environ.items() if value} | own


def settings_of(task_id: str, environment: dict[str, str]) -> Settings:
    """How ``task_id`` runs on this host."""
    try:
        return Settings.from_environment(task_id, environment=environment)
    except Refused as error:
        sys.exit(f"bulkhead: {error}")


def image_of(tag: str) -> Image:
    """The image called ``tag``."""
    form = '{{.Id}} {{index .Config.Labels "org.opencontainers.image.revision"}}'
    found = docker("image", "inspect", "--format", form, tag)
    if found.returncode:
        fail(f"there is no image {tag} here.", "Run 'just build-images', then run this again.")
    image_id, _, commit = found.stdout.strip().partition(" ")
    return Image(tag, image_id, commit)


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What Docker's command line answers; where it failed, asked once more when there is an engine for certain."""
    ended = _docker(*arguments)
    if ended.returncode and not find_engine.cache_info().currsize:
        find_engine()
        ended = _docker(*arguments)
    return ended


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "docker: not found")


@functools.cache
def find_engine() -> None:
    """Have an engine that answers, started or installed where there is none. Once: what fails then fails by itself.

    Called when something has failed: a quick command waits for no question that it does not need.
    """
    if code := subprocess.run([ROOT / "scripts/engine.sh"], check=False).returncode:
        sys.exit(code)


def registry_mounts(host: str, *, models: bool, shared: bool = False) -> list[Mount]:
    """The registry's folders, each writable where it is said to be."""
    return [
        Mount(source=f"{host}/models", target=paths.MODELS, read_only=not models),
        Mount(source=f"{host}/shared", target=paths.SHARED, read_only=not shared),
    ]


def with_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with the registry's keys: for a Docker client that is told only their names."""
    return {**os.environ, **{name: environment.get(name, "") for name in KEYS}}


def key_options() -> list[str]:
    """Options of ``docker run`` and ``docker exec`` that pass the keys on from the client's environment."""
    return [word for name in KEYS for word in ("--env", name)]


def running_registrar(project: str) -> str | None:
    """The id of the project's registrar, where it runs."""
    return running(project, "registrar")


def running(project: str, name: str) -> str | None:
    """The id of the container of a service of the project, where it runs."""
    label = "label=com.docker.compose"
    service = ["--filter", f"{label}.project={project}", "--filter", f"{label}.service={name}"]
    found = docker("ps", "--quiet", "--filter", "status=running", *service)
    return next(iter(found.stdout.split()), None)


def run_folder() -> str:
    """The run folder's name below ``shared/runs``; it is there, and writable for group 0."""
    folder = os.environ.get("BULKHEAD_RUN_FOLDER") or "debug"
    # What records call the folder is made of Airflow's names; by hand that is the folder's own, if it needs no change.
    if not os.environ.get("BULKHEAD_RUN_ID") and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", folder):
        fail(
            f"BULKHEAD_RUN_FOLDER is '{folder}', which is no plain name.",
            "Use letters, digits, '.', '_' and '-', or set BULKHEAD_RUN_ID too.",
        )
    path = ROOT / "shared/runs" / folder
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o775)
    return folder


def user() -> str:
    """Who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
