"""Containers that look at something for the Models page: how they are made, found again, read and removed."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from bulkhead.unix_http import Refusal
from engine.seal import PROJECT_LABEL
from launcher import creation
from launcher.upstream import message_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.seal import Seal
    from engine.settings import Settings
    from launcher.upstream import Engine

KILLED = 137
STDOUT = 1
_HEADER = 8
"""Bytes before each piece of output: which stream, and how long it is."""
_ERROR = 400


def create(engine: Engine, settings: Settings, image: str, seal: Seal, command: Sequence[str]) -> str:
    """The id of a new container of the step image called ``image``.

    Raises:
        Refusal: the engine says no, or does not answer.
    """
    found = creation.image_of(engine, settings.tag_of(image))
    query = {"name": f"{settings.project}.{command[0]}.{uuid.uuid4().hex[:12]}"}
    status, content = engine.ask("POST", "/containers/create", query, seal.body(found.id, command))
    if status >= _ERROR:
        raise Refusal(status, message_of(content))
    return str(json.loads(content)["Id"])


def left(engine: Engine, project: str, label: str) -> list[str]:
    """The ids of the project's containers with this label, running or not.

    Raises:
        Refusal: the engine does not answer.
    """
    wanted = {"label": [f"{PROJECT_LABEL}={project}", label]}
    return [str(one["Id"]) for one in engine.get("/containers/json", {"all": "1", "filters": json.dumps(wanted)})]


def remove(engine: Engine, container: str) -> None:
    """Remove a container, ended or not; one that cannot be removed is found by the next look, or launcher."""
    with suppress(Refusal):
        engine.ask("DELETE", f"/containers/{container}", {"force": "1", "v": "1"})


def output(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """What a container has printed, out of an answer of the engine: the number of the stream, and a piece of it."""
    stream = missing = 0
    kept = b""
    for piece in pieces:
        content, at = kept + piece, 0
        while at < len(content):
            if not missing:
                if len(content) - at < _HEADER:
                    break
                stream, missing = content[at], int.from_bytes(content[at + 4 : at + _HEADER], "big")
                at += _HEADER
                continue
            found = content[at : at + missing]
            at += len(found)
            missing -= len(found)
            yield stream, found
        kept = content[at:]
