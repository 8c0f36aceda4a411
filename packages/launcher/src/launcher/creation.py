"""From a create request to a sealed container: one label is read of it, and the rest is made anew."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from bulkhead.errors import Refused
from bulkhead.unix_http import Refusal, Response
from engine import seal
from engine.attempt import Image
from engine.settings import Settings
from engine.step_request import REQUEST_LABEL, StepRequest
from launcher import host_folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.docker_engine import DockerEngine

STEP_IMAGE_LABEL = "io.bulkhead.step-image"
"""On each image that is a step's; our other images, and everybody else's, have it not."""
_CONFLICT = HTTPStatus.CONFLICT


class Creation:
    """Makes containers.

    Args:
        engine: where.
        environment: the launcher's settings; no request can change them.
    """

    def __init__(self, engine: DockerEngine, environment: Mapping[str, str]) -> None:
        self._engine = engine
        self._environment = environment
        # A result file is removed, then a container is made: another request must not come in between.
        self._one_at_a_time = threading.Lock()

    def create(self, body: bytes) -> Response:
        """The engine's answer to the container that ``body`` asks for.

        Raises:
            Refusal: it asks for none that there may be.
            EngineAwayError: the engine does not answer.
        """
        request = asked(body)
        try:
            settings = Settings.from_environment(request.spec.task_id, request.limits, self._environment)
            image = self._image(settings.tag_of(request.image))
            with self._one_at_a_time:
                return self._created(request, settings, image)
        except Refused as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from None

    def _created(self, request: StepRequest, settings: Settings, image: Image) -> Response:
        attempt = request.attempt.with_image(image)
        name = attempt.container_name(settings)
        if self._engine.ask("GET", f"/containers/{name}/json").is_good:
            raise Refusal(_CONFLICT, f"the name {name} is taken")
        run_folder = attempt.identity.run_path
        host_folders.check_sources(settings.folder)
        host_folders.make_run_folder(settings.folder, run_folder)
        host_folders.remove_result(settings.folder, run_folder, request.identity.task_id)
        sealed = seal.of_step(request.spec, settings, run_folder, attempt.variables())
        labels = {**sealed.labels, **attempt.labels(), **_labels(request)}
        wanted = sealed.body(image.id, request.command)
        wanted["Labels"] = labels
        answer = self._engine.ask("POST", "/containers/create", {"name": name}, wanted)
        return Response(answer.status, answer.body)

    def _image(self, tag: str) -> Image:
        answer = self._engine.ask("GET", f"/images/{tag}/json")
        if not answer.is_good:
            raise Refusal(HTTPStatus.NOT_FOUND, f"No such image: {tag}")
        return Image.inspected(tag, checked_image(tag, answer.decoded()))


def asked(body: bytes) -> StepRequest:
    """The step request in a create request.

    Raises:
        Refusal: there is none, or it is none.
    """
    try:
        decoded = json.loads(body, object_pairs_hook=_without_doubles)
        label = decoded["Labels"][REQUEST_LABEL]
        if not isinstance(label, str):
            raise TypeError  # noqa: TRY301  # told with the others
    except (ValueError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the body is not read: {str(error)[:200]}") from None
    except (LookupError, TypeError):
        raise Refusal(
            HTTPStatus.FORBIDDEN, f"only steps are started here, and the label {REQUEST_LABEL} says which"
        ) from None
    try:
        return StepRequest.decode(label)
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{REQUEST_LABEL} is no step request: {error}") from None


def checked_image(tag: str, inspected: Any) -> dict[str, Any]:
    """``inspected``, if it is a step's image.

    Raises:
        Refusal: it is not.
    """
    if STEP_IMAGE_LABEL not in ((inspected.get("Config") or {}).get("Labels") or {}):
        raise Refusal(HTTPStatus.NOT_FOUND, f"No such image: {tag} is no image of a step. Run 'just build-images'.")
    return dict(inspected)


def _labels(request: StepRequest) -> dict[str, str]:
    """What the registrar needs to know beside who the step is."""
    found = {
        "environment": request.environment,
        "journal": request.journal,
        "approval-task": request.approval_task,
        "started-by": "airflow",
    }
    return {f"io.bulkhead.{name}": value for name, value in found.items() if value is not None}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found
