"""The engine behind its socket, which is trusted: requests that the launcher itself has made up.

HTTP/1.0, because the engine then answers without chunks and ends the connection with its answer: whatever comes is the
body, and can be handed on as it comes.
"""

from __future__ import annotations

import json
import select
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SECONDS = 290
"""A loaded engine takes minutes to create or remove a container; a client waits for 300 s."""
_HEAD_LIMIT = 256 << 10
_PIECE = 64 << 10
_LOOK_SECONDS = 0.5


class EngineAwayError(Exception):
    """The engine does not answer."""


class Answer(msgspec.Struct, frozen=True):
    """What the engine has answered."""

    status: int
    content_type: str
    body: bytes

    @property
    def is_good(self) -> bool:
        """Whether it has done what it was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004  # HTTP's own

    def decoded(self) -> Any:
        """Its JSON.

        Raises:
            EngineAwayError: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise EngineAwayError(f"the engine answers no JSON: {error}") from None


class Stream(msgspec.Struct, frozen=True):
    """An answer that is still being made."""

    status: int
    content_type: str
    pieces: Any
    """An iterator of bytes, which ends with the answer or once nobody wants it any more."""


class DockerEngine:
    """The engine at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        *,
        seconds: float = SECONDS,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """The engine's whole answer; ``seconds`` bounds how long it may take, ``is_gone`` ends the waiting before.

        Raises:
            EngineAwayError: it does not answer.
        """
        until = time.monotonic() + seconds
        with self._asked(method, path, query, body, seconds) as connection:
            status, content_type, rest = _head(connection, until, is_gone)
            pieces = [rest, *_pieces(connection, until, is_gone)]
        return Answer(status, content_type, b"".join(pieces))

    def stream(self, path: str, query: Mapping[str, object], is_gone: Callable[[], bool]) -> Stream:
        """The engine's answer to a GET, as it comes, until ``is_gone``.

        Raises:
            EngineAwayError: it does not answer.
        """
        asked = self._asked("GET", path, query, None, SECONDS)
        connection = asked.__enter__()
        try:
            status, content_type, rest = _head(connection, time.monotonic() + SECONDS, is_gone)
        except BaseException:
            asked.__exit__(None, None, None)
            raise

        def pieces() -> Iterator[bytes]:
            try:
                yield rest
                yield from _pieces(connection, None, is_gone)
            finally:
                asked.__exit__(None, None, None)

        return Stream(status, content_type, pieces())

    def is_refused(self) -> bool:
        """Whether nobody listens at the socket any more; a full queue or a missing permission is another matter."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                return True
            except OSError:
                pass
        return False

    @contextmanager
    def _asked(
        self, method: str, path: str, query: Mapping[str, object] | None, body: Any, seconds: float
    ) -> Iterator[socket.socket]:
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.0\r\nHost: docker\r\nContent-Length: {len(content)}\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(min(seconds, 60))
            try:
                connection.connect(str(self._path))
                connection.sendall(head.encode() + b"\r\n" + content)
            except OSError as error:
                raise EngineAwayError(f"the engine does not answer: {error.strerror or error}") from None
            yield connection


def _head(connection: socket.socket, until: float, is_gone: Callable[[], bool]) -> tuple[int, str, bytes]:
    """Status, content type, and what of the body came along."""
    received = b""
    for piece in _pieces(connection, until, is_gone):
        received += piece
        head, end, rest = received.partition(b"\r\n\r\n")
        if end:
            first, *lines = head.decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(":", 1) for line in lines if ":" in line)
            try:
                return int(first.split()[1]), fields.get("content-type", "application/json").strip(), rest
            except (IndexError, ValueError):
                break
        if len(received) > _HEAD_LIMIT:
            break
    raise EngineAwayError("the engine broke off, or its answer did not come in time")


def _pieces(connection: socket.socket, until: float | None, is_gone: Callable[[], bool]) -> Iterator[bytes]:
    """What the engine sends, until it ends its answer, or nobody waits for that any more.

    Raises:
        EngineAwayError: it was not done in time.
    """
    while not is_gone():
        left = _LOOK_SECONDS if until is None else min(_LOOK_SECONDS, until - time.monotonic())
        if left <= 0:
            raise EngineAwayError("the engine's answer did not come in time")
        if not select.select([connection], [], [], left)[0]:
            continue
        try:
            piece = connection.recv(_PIECE)
        except OSError as error:
            raise EngineAwayError(f"the engine broke off: {error.strerror or error}") from None
        if not piece:
            return
        yield piece
