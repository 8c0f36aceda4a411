"""How this host is: what its launcher says of its engine, what its folders hold, how much room there is."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from bulkhead import unix_http
from bulkhead.hosts_protocol import PROBE, STEP_IMAGES, HostReport, Probed
from engine import slots as slots_of
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.hosts_protocol import HostAnswer, Probe

Task = tuple[str, str, str, int]
"""DAG, run, task and map index."""
_SECONDS = 10.0
_CODE_SECONDS = 30.0
_OK = 200
_LEFT_OUT = {"__pycache__", ".git"}
_PROBE_LIMIT = 64


class HostFacts:
    """This host, as far as it can tell.

    Args:
        name: its own.
        settings: how steps run here.
        launcher: the launcher's socket.
        folders: by name, those whose files the workers of all hosts must have alike.
    """

    def __init__(self, name: str, settings: Settings, launcher: Path, folders: dict[str, Path]) -> None:
        self.name = name
        self._settings = settings
        self._launcher = unix_http.Client(launcher, _SECONDS)
        self._folders = folders
        self._machine: tuple[int, int] | None = None
        self._code: tuple[float, dict[str, str]] = (-_CODE_SECONDS, {})

    @classmethod
    def from_environment(cls) -> Self:
        """The host that ``BULKHEAD_HOST_NAME`` names.

        Raises:
            Refused: a setting is none.
        """
        from bulkhead_airflow import defaults

        settings = Settings.from_environment("")
        home = settings.folder
        launcher = Path(defaults.launcher_url().removeprefix("unix://"))
        return cls(settings.host or "main", settings, launcher, {name: home / name for name in ("dags", "project")})

    @property
    def slots(self) -> int:
        """How many steps of the usual size this host runs at once; 1 until its engine has said how large it is."""
        if self._machine is None:
            self._ask_engine()
        if self._machine is None:
            return 1
        machine = slots_of.Machine.of_host(self._settings, *self._machine)
        return slots_of.slots(os.environ, max(1, int(machine.cpus)), machine.memory, kept=0)

    def occupied(self, before: set[Task]) -> set[Task]:
        """The tasks whose containers run here; those of ``before`` where the launcher does not answer."""
        found = self._ask("GET", "/containers/json")
        if found is None:
            return before
        labels = [one.get("Labels") or {} for one in found]
        return {_task(one) for one in labels if "io.bulkhead.dag" in one}

    def report(self, began: float, free: int, answer: HostAnswer | None) -> HostReport:
        """What the registrar is told.

        Args:
            began: when the worker began.
            free: how many more steps there is room for.
            answer: the registrar's last one.
        """
        info = self._ask_engine()
        images: dict[str, str] = {}
        if info is not None:
            for name in STEP_IMAGES:
                tag = self._settings.tag_of(name)
                if (found := self._ask("GET", f"/images/{tag}/json")) is not None:
                    images[name] = _digest(found)
        return HostReport(
            time=time.time(),
            began=began,
            commit=os.environ.get("BULKHEAD_GIT_COMMIT", ""),
            engine=None if info is None else str(info.get("ID")),
            engine_version="" if info is None else str(info.get("ServerVersion")),
            cpus=0 if self._machine is None else self._machine[0],
            memory=0 if self._machine is None else self._machine[1],
            slots=self.slots,
            free=free,
            images=images,
            code=self._code_digests(),
            probed=None if answer is None or answer.probe is None else self._probed(answer.probe),
        )

    def _ask_engine(self) -> dict[str, Any] | None:
        info = self._ask("GET", "/info")
        if info is not None:
            self._machine = int(info.get("NCPU") or 1), int(info.get("MemTotal") or 0)
        return info

    def _probed(self, probe: Probe) -> Probed:
        self._ask("POST", f"/probe?token={probe.shared}")
        path = self._settings.folder / "models" / PROBE
        try:
            with path.open("rb") as file:
                content = file.read(_PROBE_LIMIT).decode(errors="replace")
                return Probed(content, is_locked=_is_locked(file.fileno()))
        except OSError:
            return Probed(None, is_locked=False)

    def _code_digests(self) -> dict[str, str]:
        """Looked at now and then: a folder on another machine takes its time."""
        when, found = self._code
        if time.monotonic() - when >= _CODE_SECONDS or not found:
            found = {name: digest_of(folder) for name, folder in self._folders.items()}
            self._code = time.monotonic(), found
        return found

    def _ask(self, method: str, path: str) -> Any:
        """What the launcher answers; None: nothing, or nothing good."""
        try:
            status, body = self._launcher.request(method, path)
            return json.loads(body) if status == _OK else None
        except (OSError, ValueError):
            return None


def digest_of(folder: Path) -> str:
    """SHA-256, in hex, of the names and contents of all files below ``folder``; empty: there is no such folder."""
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        content = b""
        with suppress(OSError):  # gone since: it shows in the next look
            content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        yield from (Path(where, name) for name in names if not name.endswith((".pyc", "~", ".swp")))


def _is_locked(descriptor: int) -> bool:
    """Whether somebody else has locked the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _digest(image: dict[str, Any]) -> str:
    """Of what an image holds: its layers, which no engine's way of naming images changes, and its commit."""
    labels = (image.get("Config") or {}).get("Labels") or {}
    held = [(image.get("RootFS") or {}).get("Layers"), labels.get("org.opencontainers.image.revision")]
    return hashlib.sha256(msgspec.json.encode(held)).hexdigest()


def _task(labels: dict[str, str]) -> Task:
    index = labels.get("io.bulkhead.map-index", "-1")
    return (
        labels.get("io.bulkhead.dag", ""),
        labels.get("io.bulkhead.run", ""),
        labels.get("io.bulkhead.task", ""),
        int(index) if index.lstrip("-").isdigit() else -1,
    )
