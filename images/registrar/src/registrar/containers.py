"""Containers of steps, as the launcher tells of them: it wrote their labels, and shows no other's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from bulkhead import environments, model_name
from bulkhead.errors import EXIT_UNKNOWN, Refused, short
from bulkhead.identity import Identity
from bulkhead.paths import JOURNALS, JournalName
from registrar.database import Away
from registrar.logical_task import TaskKey, as_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class Http(Protocol):
        """What asks the launcher."""

        def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
            """Status and body of the answer."""


_PREFIX = "io.bulkhead."
_PROJECT = f"{_PREFIX}project"
_DAG = f"{_PREFIX}dag"
_NOT_FOUND, _CONFLICT, _ERROR = 404, 409, 500
_STOP_SECONDS = 10


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A step's container: whose it is, and how it stands."""

    id: str
    name: str
    identity: Identity
    try_id: str
    environment: str
    model_name: str = model_name.DEFAULT_NAME
    """As its label says; a container of before models had names has none."""
    journal: JournalName
    approval_task: str | None
    command: str
    """The step's own name."""
    flags: dict[str, str] = {}
    """What it was told, by flags without dashes; of one that was given twice the last."""
    is_running: bool
    is_ended: bool
    exit_code: int | None
    was_out_of_memory: bool = False
    over_at: datetime | None = None
    """When its time is up; None: it did not begin, or has no limit."""

    @property
    def task(self) -> TaskKey:
        """The logical task."""
        return TaskKey.of(self.identity)

    @property
    def short_id(self) -> str:
        """As people read it."""
        return self.id[:12]

    @property
    def on_host(self) -> str:
        """Where it is, as the end of a sentence; nothing where there is but one host."""
        return f" on the host {self.identity.host}" if self.identity.host else ""

    @property
    def has_ended_well(self) -> bool:
        """Whether its result file may be a proof: it ended with 0, or with nobody knows what, its engine being away."""
        return self.is_ended and self.exit_code in {0, EXIT_UNKNOWN}

    @property
    def never_ran(self) -> bool:
        """Whether it was created, and not started."""
        return not self.is_running and not self.is_ended

    def is_over_time(self) -> bool:
        """Whether it has run for longer than it may."""
        return self.is_running and self.over_at is not None and datetime.now(UTC) > self.over_at

    @property
    def is_set_aside(self) -> bool:
        """Whether it was judged a failure, and is kept as evidence."""
        return self.name.endswith(f".failed-{self.short_id}")


class Containers:
    """What the registrar asks the launcher.

    Args:
        http: the launcher.
        project: ours.
        host: where it is; None: there is but one host.
    """

    def __init__(self, http: Http, project: str, host: str | None = None) -> None:
        self._http = http
        self._project = project
        self._host = host

    def get(self, container: str) -> Container | None:
        """The container with this id; None: it has gone.

        Raises:
            Away: the launcher does not answer.
            Refused: it is no container of a step that Airflow started in this project.
        """
        status, body = self._ask("GET", f"/containers/{_quoted(container)}/json")
        if status == _NOT_FOUND:
            return None
        try:
            return parse(msgspec.json.decode(body), self._project, self._host)
        except msgspec.DecodeError as error:
            raise Away(f"the launcher's answer is none ({error})") from None

    def of_steps(self) -> list[str]:
        """The ids of all containers that Airflow's tasks have started, whatever state they are in.

        Raises:
            Away: the launcher does not answer.
        """
        _, body = self._ask("GET", "/containers/json?all=1")
        found = msgspec.json.decode(body)
        return [one["Id"] for one in found if _DAG in (one.get("Labels") or {})]

    def stop(self, container: Container) -> None:
        """Stop it; nothing happens where it has ended or gone.

        Raises:
            Away: the launcher does not answer.
        """
        self._ask("POST", f"/containers/{container.id}/stop?t={_STOP_SECONDS}")

    def set_aside(self, container: Container) -> None:
        """Give it a name that is in no try's way; its output stays as evidence.

        Raises:
            Away: the launcher does not answer.
        """
        name = f"{container.name}.failed-{container.short_id}"
        self._ask("POST", f"/containers/{container.id}/rename?name={quote(name)}")

    def remove(self, container: Container) -> None:
        """Remove it; nothing happens where it has gone.

        Raises:
            Away: the launcher does not answer.
        """
        self._ask("DELETE", f"/containers/{container.id}?v=1")

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            status, body = self._http.request(method, path)
        except OSError as error:
            raise Away(f"the launcher does not answer ({error})") from error
        if status >= _ERROR:
            raise Away(f"the engine does not answer: {short(body.decode(errors='replace'), 200)}")
        if status >= 400 and status not in {_NOT_FOUND, _CONFLICT}:  # noqa: PLR2004  # HTTP's
            raise Refused(f"the launcher refuses {method} {path}: {short(body.decode(errors='replace'), 200)}")
        return status, body


def parse(inspected: Mapping[str, Any], project: str, host: str | None = None) -> Container:
    """The container that the engine of ``host`` describes as ``inspected``.

    Raises:
        Refused: it is not a step that Airflow started in ``project``.
    """
    config, state = inspected.get("Config") or {}, inspected.get("State") or {}
    labels = config.get("Labels") or {}
    container = str(inspected.get("Id"))
    if labels.get(_PROJECT) != project:
        raise Refused(f"container {container[:12]} is not of the project {project}. Nothing is recorded.")
    try:
        journal, environment = labels[f"{_PREFIX}journal"], labels[f"{_PREFIX}environment"]
        if journal not in JOURNALS:
            raise ValueError(f"no journal {journal!r}")  # noqa: TRY301  # told with the others below
        environments.get(environment)
        return Container(
            id=container,
            name=str(inspected.get("Name", "")).removeprefix("/"),
            identity=Identity(
                dag_id=labels[_DAG],
                run_id=labels[f"{_PREFIX}run"],
                task_id=labels[f"{_PREFIX}task"],
                try_number=int(labels[f"{_PREFIX}try"]),
                map_index=int(labels[f"{_PREFIX}map-index"]),
                image=labels.get(f"{_PREFIX}image"),
                git_commit=labels.get("org.opencontainers.image.revision"),
                host=msgspec.UNSET if host is None else host,
            ),
            try_id=as_id(labels[f"{_PREFIX}try-id"]),
            environment=environment,
            model_name=model_name.checked(labels.get(f"{_PREFIX}model-name", model_name.DEFAULT_NAME)),
            journal=journal,
            approval_task=labels.get(f"{_PREFIX}approval-task") or None,
            command=str((config.get("Cmd") or [""])[0]),
            flags=_flags((config.get("Cmd") or [])[1:]),
            is_running=bool(state.get("Running")),
            is_ended=state.get("Status") in {"exited", "dead"},
            exit_code=state.get("ExitCode"),
            was_out_of_memory=bool(state.get("OOMKilled")),
            over_at=_over_at(str(state.get("StartedAt") or ""), labels.get(f"{_PREFIX}seconds")),
        )
    except (KeyError, ValueError, Refused) as error:
        raise Refused(f"container {container[:12]} has no labels of a step ({error}). Nothing is recorded.") from None


def _over_at(started: str, seconds: str | None) -> datetime | None:
    """The engine writes nanoseconds, and the year 1 for never."""
    try:
        begun = datetime.fromisoformat(started[:19] + "+00:00")
        return None if begun.year == 1 or seconds is None else begun + timedelta(seconds=float(seconds))
    except (ValueError, OverflowError):
        return None


def _flags(words: Sequence[object]) -> dict[str, str]:
    parts = (str(word).removeprefix("--").partition("=") for word in words if str(word).startswith("--"))
    return {name: value for name, _, value in parts}


def _quoted(container: str) -> str:
    if not container.isalnum() or len(container) > 64:  # noqa: PLR2004  # an id's
        raise Refused(f"{short(container)} is no container's id.")
    return container
