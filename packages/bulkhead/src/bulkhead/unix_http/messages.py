"""What is asked, what is answered, and how a path is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Refusal(Exception):  # an answer, no error of the program
    """An answer that says why not."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    """As it was sent, without the query; nothing of it is decoded."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    on_gone: Callable[[Callable[[], None]], None] = lambda _: None
    """Registers what is called when nobody waits for the answer any more, and at the end of the connection: it may be
    called more than once."""


@dataclass(frozen=True)
class Response:
    """The answer: whole, or in pieces as they come."""

    status: int
    body: bytes | Iterator[bytes] = b""
    content_type: str = "application/json"

    @classmethod
    def of(cls, content: Any, status: int = 200) -> Response:
        """``content`` as JSON."""
        return cls(status, json.dumps(content).encode())


def segments(path: str) -> list[str]:
    """The components of a request's path, each decoded once; one that holds a slash, or is a dot or two, is refused.

    Raises:
        Refusal: the path is none.
    """
    try:
        found = [unquote(part, errors="strict") for part in path.split("/")[1:]]
    except UnicodeDecodeError:
        raise Refusal(400, "the path is none") from None
    if not path.startswith("/") or any("/" in part or not part.isprintable() for part in found):
        raise Refusal(400, "the path is none")
    if any(part in {"", ".", ".."} for part in found[:-1]) or (found and found[-1] in {".", ".."}):
        raise Refusal(400, "the path is none")
    return found
