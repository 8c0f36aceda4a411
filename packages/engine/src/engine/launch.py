"""From a logical task without a container to one that runs, or to the reason why not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, ImageNotFound

from bulkhead.errors import Refused
from bulkhead.step import result
from engine import seal
from engine.attempt import Attempt, Image
from engine.verdict import Failed

if TYPE_CHECKING:
    from docker import APIClient

    from bulkhead.paths import JournalName
    from bulkhead.registry.store import Registry
    from engine.settings import Settings
    from engine.step_spec import StepSpec

ENGINE_ERRORS = (DockerException, OSError)
"""What docker-py and the socket raise when the engine does not answer."""


class NotStartedError(Exception):
    """No container could be started."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.detail)
        self.failed = failed


def unreachable(error: Exception) -> NotStartedError:
    """The engine does not answer."""
    return NotStartedError(Failed("engine_unreachable", f"{error}. Start Docker, then clear the task.", retry=True))


def find_image(client: APIClient, tag: str) -> Image:
    """The image called ``tag``; none is ever pulled.

    Raises:
        NotStartedError: there is none, or the engine does not answer.
    """
    try:
        return Image.inspected(tag, client.inspect_image(tag))  # type: ignore[no-untyped-call]
    except ImageNotFound:
        detail = f"no image {tag} on this engine. Run 'just build-images', then clear the task."
        raise NotStartedError(Failed("image_missing", detail, retry=False)) from None
    except ENGINE_ERRORS as error:
        raise unreachable(error) from error


def prepare(settings: Settings, attempt: Attempt, registry: Registry, journal: JournalName) -> None:
    """Make what is mounted: a bind mount's source must exist.

    Raises:
        NotStartedError: it cannot be made.
    """
    folder = attempt.folder(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # What an earlier attempt left is not this one's proof.
        result.path_of(folder, str(attempt.identity.task_id)).unlink(missing_ok=True)
        registry.check_writable(journal)
    except (OSError, Refused) as error:
        detail = f"{error}. Make it writable for user {settings.user}, then clear the task."
        raise NotStartedError(Failed("mount_missing", detail, retry=False)) from error


def create(client: APIClient, spec: StepSpec, settings: Settings, attempt: Attempt, image: Image) -> str:
    """A sealed container under the logical task's name, not yet started; returns its id.

    Args:
        client: the engine.
        spec: the step.
        settings: limits, user and folders.
        attempt: who it is.
        image: by its id, so that what is recorded is what runs.

    Raises:
        NotStartedError: the engine refused it, or does not answer.
    """
    sealed = seal.of_step(spec, settings, attempt.identity.run_path, attempt.variables())
    sealed = replace(sealed, labels={**sealed.labels, **attempt.labels()})
    try:
        created = client.create_container(
            image=image.id,
            command=list(spec.command),
            name=attempt.container_name(settings),
            host_config=client.create_host_config(**sealed.host_config()),
            **sealed.create_arguments(),
        )
    except APIError as error:
        raise _refused(error) from error
    except ENGINE_ERRORS as error:
        raise unreachable(error) from error
    return str(created["Id"])


def start(client: APIClient, container: str) -> None:
    """Start a created container; one that cannot be started is removed.

    Raises:
        NotStartedError: the engine refused it, or does not answer.
    """
    try:
        client.start(container)
    except APIError as error:
        with suppress(*ENGINE_ERRORS):
            client.remove_container(container, force=True)
        raise _refused(error) from error
    except ENGINE_ERRORS as error:
        raise unreachable(error) from error


def _refused(error: APIError) -> NotStartedError:
    cause = "mount_missing" if "mount" in str(error) else "crashed"
    next_step = "Fix that (BULKHEAD_HOST_DIR in .env names the folders), then clear the task."
    detail = f"the engine refused the container: {error.explanation}. {next_step}"
    return NotStartedError(Failed(cause, detail, retry=False))
