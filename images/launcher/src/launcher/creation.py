"""From a step request to the body of Docker's "create a container": built here, word by word.

Nothing of the body that was sent is handed on. Of it one label is read; the rest, whatever it says, is never looked at.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bulkhead import environments, model_name
from bulkhead.errors import Refused
from bulkhead.unix_http import Refusal
from engine import seal
from engine.attempt import Image
from engine.settings import Settings
from engine.step_request import REQUEST_LABEL, StepRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.attempt import Attempt
    from launcher.upstream import Engine

LARGEST = 256 << 10
"""Characters of a step request."""
_DEEPEST = 32
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
STEP_IMAGE_LABEL = "io.bulkhead.step-image"
"""The images of steps carry it; those of services do not."""


def request_in(body: bytes) -> StepRequest:
    """The step request in the body of a "create a container".

    Raises:
        Refusal: there is none.
    """
    if _depth(body) > _DEEPEST:
        raise Refusal(400, f"the body is nested deeper than {_DEEPEST} levels")
    try:
        content = json.loads(body.decode(), object_pairs_hook=_once, parse_int=_number)
        text = content["Labels"][REQUEST_LABEL]
    except Refusal:
        raise
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refusal(400, f"the body holds no label {REQUEST_LABEL}; only steps are started here") from None
    if not isinstance(text, str):
        raise Refusal(400, f"the label {REQUEST_LABEL} is no text")
    if len(text) > LARGEST:
        raise Refusal(400, f"the step request has {len(text)} characters, and {LARGEST} are read at most")
    try:
        request = StepRequest.decode(text)
        environments.get(str(request.environment))
        model_name.checked(request.model_name)
    except (ValueError, RecursionError, Refused) as error:
        raise Refusal(400, f"the step request is none: {str(error)[:300]}") from None
    return request


def _depth(body: bytes) -> int:
    """How deep the brackets in ``body`` are nested, or seem to be: a parser that recurses could end this process."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refusal(400, "the body gives a key twice")
    return found


def _number(text: str) -> int:
    if len(text) > 20:  # noqa: PLR2004  # no number of Docker's is longer
        raise Refusal(400, "the body holds a number that is none of Docker's")
    return int(text)


def settings_for(request: StepRequest, variables: Mapping[str, str] | None = None) -> Settings:
    """How this step runs on this host.

    Raises:
        Refusal: a limit is none.
    """
    try:
        return Settings.from_environment(request.identity.task_id, request.limits, variables)
    except Refused as error:
        raise Refusal(400, str(error)) from None


def image_of(engine: Engine, tag: str) -> Image:
    """The image of steps called ``tag``.

    Raises:
        Refusal: there is none (404), or it is no step's (403).
    """
    found = engine.get(f"/images/{tag}/json")
    if STEP_IMAGE_LABEL not in ((found.get("Config") or {}).get("Labels") or {}):
        raise Refusal(403, f"{tag} is no image of steps: it has no label {STEP_IMAGE_LABEL}")
    return Image.inspected(tag, found)


def body_of(request: StepRequest, settings: Settings, attempt: Attempt, image: Image) -> dict[str, Any]:
    """The body that is sent to the engine."""
    spec = request.spec
    sealed = seal.of_step(spec, settings, attempt.identity.run_path, attempt.variables())
    labels = {
        **sealed.labels,
        **attempt.labels(),
        "io.bulkhead.environment": str(request.environment),
        "io.bulkhead.model-name": request.model_name,
        "io.bulkhead.journal": request.journal,
        "io.bulkhead.approval-task": request.approval_task or "",
        "io.bulkhead.seconds": str(settings.seconds),
    }
    return replace(sealed, labels=labels).body(image.id, spec.command)
