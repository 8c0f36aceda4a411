"""What ``just step`` and ``just registry`` share: a host made ready, its settings, an image by its id, the registrar.

The host has Docker's command line and nothing of Python but its standard library.
"""

from __future__ import annotations

import os
import pwd
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
    """Settings by name, the environment's before ``.env``'s; the engine answers, and ``.env`` is whole."""
    for script in ("engine.sh", "env.sh"):
        if code := subprocess.run([ROOT / "scripts" / script], check=False).returncode:
            sys.exit(code)
    file = read_env(Path(os.environ.get("BULKHEAD_ENV_FILE") or ROOT / ".env"))
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
    """What Docker's command line answers."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


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
    label = "label=com.docker.compose"
    service = ["--filter", f"{label}.project={project}", "--filter", f"{label}.service=registrar"]
    found = docker("ps", "--quiet", "--filter", "status=running", *service)
    return next(iter(found.stdout.split()), None)


def user() -> str:
    """Who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
