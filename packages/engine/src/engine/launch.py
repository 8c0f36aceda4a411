"""From a logical task without a container to one that runs, or to the reason why not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from engine import step_request
from engine.verdict import Failed

if TYPE_CHECKING:
    from docker import APIClient

    from engine.attempt import Attempt
    from engine.settings import Settings
    from engine.step_spec import StepSpec

ENGINE_ERRORS = (DockerException, OSError)
"""What docker-py and the socket raise when the engine does not answer."""
_CONFLICT, _FULL = 409, 429
_SERVER_ERROR = 500
_AWAY = (502, 503, 504)


class OvertakenError(Exception):
    """Another try has made or removed the logical task's container meanwhile."""


class NoRoomError(Exception):
    """This host has no room for the step now; another may have, and this one later."""


class NotStartedError(Exception):
    """No container could be started."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.detail)
        self.failed = failed


def unreachable(error: Exception) -> NotStartedError:
    """The engine does not answer."""
    detail = f"{error}. Start Docker and the launcher ('just up'), then clear the task."
    return NotStartedError(Failed("engine_unreachable", detail, retry=True))


def create(client: APIClient, spec: StepSpec, settings: Settings, attempt: Attempt, *, is_anew: bool = False) -> str:
    """A container under the logical task's name, not yet started; returns its id.

    The launcher seals it, by its own settings: what is sent says which step of which task, and nothing of how.

    Args:
        client: the engine, by way of the launcher.
        spec: the step.
        settings: its limits.
        attempt: who it is.
        is_anew: whether a container of this task may be running on a lost host.

    Raises:
        OvertakenError: there is one of that name by now.
        NoRoomError: this host has no room for it now.
        NotStartedError: the launcher refused it.
        DockerException: it does not answer, or the engine behind it does not.
        OSError: as well.
    """
    image = settings.tag_of(spec.image)
    try:
        created = client.create_container(**step_request.create_arguments(spec, settings, attempt, is_anew=is_anew))
    except ImageNotFound:
        detail = f"no image {image} on this engine. Run 'just build-images', then clear the task."
        raise NotStartedError(Failed("image_missing", detail, retry=False)) from None
    except APIError as error:
        if error.status_code == _CONFLICT:
            raise OvertakenError(attempt.container_name(settings)) from error
        if error.status_code == _FULL:
            raise NoRoomError(str(error.explanation)) from error
        raise _refused(error) from error
    return str(created["Id"])


def start(client: APIClient, container: str) -> None:
    """Start a created container; one that cannot be started is removed. One that runs, or has run, stays as it is.

    Raises:
        OvertakenError: it has gone.
        NotStartedError: the engine refused it.
        DockerException: it does not answer; whether it was started is not known.
        OSError: as well.
    """
    try:
        client.start(container)
    except NotFound as error:
        raise OvertakenError(container) from error
    except APIError as error:
        refused = _refused(error)
        with suppress(*ENGINE_ERRORS):
            if client.inspect_container(container)["State"]["Status"] == "created":
                client.remove_container(container)
        raise refused from error


def _refused(error: APIError) -> Exception:
    if error.status_code in _AWAY:  # the launcher is there, and the engine behind it is not
        return error
    if "mount" in str(error):
        next_step = "Fix that (BULKHEAD_HOST_DIR in .env names the folders), then clear the task."
        detail = f"the engine refused the container: {error.explanation}. {next_step}"
        return NotStartedError(Failed("mount_missing", detail, retry=False))
    is_engines = (error.status_code or 0) >= _SERVER_ERROR  # a loaded one says so of a thing that it does later
    next_step = "It is tried again." if is_engines else "Fix that, then clear the task."
    detail = f"the engine refused the container: {error.explanation}. {next_step}"
    return NotStartedError(Failed("crashed", detail, retry=is_engines))
