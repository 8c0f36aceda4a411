"""The container that a logical task has already, and one of an earlier outcome that is in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

from engine import launch, watch
from engine.attempt import FIRST_TRY_LABEL
from engine.caller import GRACE_SECONDS
from engine.state import ALIVE

if TYPE_CHECKING:
    from docker import APIClient

    from engine.attempt import Attempt
    from engine.caller import Log


_CONFLICT = 409


def by_name(client: APIClient, attempt: Attempt, name: str, log: Log) -> str | None:
    """The id of the container called ``name``, to be followed to its end; what is only in the way is cleared away.

    One that was created and did not run yet is started: whether the try that made it has died in between, or is
    about to start it, cannot be told, and starting it twice is the same as once.

    Raises:
        OvertakenError: it is another task's, or has gone meanwhile.
        NotStartedError: the engine does not start it.
        DockerException: the engine does not answer.
        OSError: as well.
    """
    found = watch.inspect(client, name)
    if found is None:
        return None
    container = str(found["Id"])
    if not _is_of(found, attempt):
        if not _is_of_task(found, attempt):  # dots in two ids can make two tasks share a name
            raise launch.OvertakenError(name)
        _clear_away(client, found, name, log)
        return None
    log.info("container %s of this task is there already; going on with it", container[:12])
    if found["State"]["Status"] == "created":
        launch.start(client, container)
    return container


def by_id(client: APIClient, container: str, attempt: Attempt, name: str) -> str | None:
    """The full id of a container that was kept; None: it has gone, was judged, never ran, or is of another outcome.

    Raises:
        DockerException: the engine does not answer.
        OSError: as well.
    """
    found = watch.inspect(client, container)
    if found is None or not watch.is_live_name(found, name) or not _is_of(found, attempt):
        return None
    return None if found["State"]["Status"] == "created" else str(found["Id"])


def _is_of(found: dict[str, Any], attempt: Attempt) -> bool:
    """Whether it belongs to this outcome: a task that was cleared after its success has another."""
    return bool((found["Config"]["Labels"] or {}).get(FIRST_TRY_LABEL) == attempt.first_try)


def _is_of_task(found: dict[str, Any], attempt: Attempt) -> bool:
    """Whether it is this very logical task's, of whichever outcome."""
    labels, mine = found["Config"]["Labels"] or {}, attempt.labels()
    names = [f"io.bulkhead.{key}" for key in ("dag", "run", "task", "map-index")]
    return all(labels.get(name) == mine[name] for name in names)


def _clear_away(client: APIClient, found: dict[str, Any], name: str, log: Log) -> None:
    """Nothing that it makes is recorded any more: its outcome is accepted, and the task was cleared since."""
    container = str(found["Id"])
    log.info("container %s is of an earlier outcome of this task; it makes room", container[:12])
    try:
        if found["State"]["Status"] in ALIVE:
            client.stop(container, timeout=GRACE_SECONDS)
        elif found["State"]["Status"] == "created" or found["State"].get("ExitCode") == 0:
            client.remove_container(container)
            return
    except NotFound:
        return
    except APIError as error:
        if error.status_code == _CONFLICT:  # somebody else removes it already
            raise launch.OvertakenError(name) from error
        raise
    watch.set_aside(client, container, name)
