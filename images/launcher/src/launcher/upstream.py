"""The engine, asked over its socket: only with paths and bodies that were made here."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from bulkhead.unix_http import Refusal, UnixConnection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

API = "/v1.41"
"""A version that every engine since 20.10 speaks."""
_PIECE = 64 << 10
_LARGEST = 8 << 20
"""Bytes of an answer that is taken as a whole."""


class Engine:
    """The engine's API.

    Args:
        path: its socket.
        seconds: how long an answer that is not followed may take; a loaded engine takes minutes.
    """

    def __init__(self, path: Path, seconds: float = 300.0) -> None:
        self._path = str(path)
        self._seconds = seconds

    def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> tuple[int, bytes]:
        """The status and the body of a whole answer.

        Raises:
            Refusal: the engine does not answer (502).
        """
        connection, _, answer = self._open(method, path, query, body, self._seconds)
        try:
            content = answer.read(_LARGEST + 1)
        except (OSError, http.client.HTTPException) as error:
            raise away(error) from error
        finally:
            connection.close()
        if len(content) > _LARGEST:
            raise Refusal(502, "the engine's answer is too large")
        return answer.status, content

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer.

        Raises:
            Refusal: as the engine refuses it, or it does not answer.
        """
        status, content = self.ask("GET", path, query)
        if status >= http.client.BAD_REQUEST:
            raise Refusal(status, message_of(content))
        return json.loads(content)

    def stream(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Stream:
        """An answer that comes in pieces.

        Raises:
            Refusal: the engine does not answer.
        """
        # Without a limit: a quiet step says nothing for hours. Whoever asked may go; then it is closed.
        return Stream(*self._open(method, path, query, None, None))

    def _open(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, seconds: float | None
    ) -> tuple[UnixConnection, socket.socket, http.client.HTTPResponse]:
        connection = UnixConnection(self._path, seconds)
        target = API + quote(path, safe="/:") + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.connect()
            # Kept, because the connection lets go of it where the answer is the last one.
            kept = connection.sock
            connection.request(method, target, content, {"Content-Type": "application/json"} if content else {})
            return connection, kept, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise away(error) from error


class Stream:
    """An answer in pieces, which can be ended from another thread."""

    def __init__(self, connection: UnixConnection, kept: socket.socket, answer: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._socket = kept
        self._answer = answer
        self.status = answer.status
        self.content_type = answer.headers.get("Content-Type") or "application/octet-stream"

    def pieces(self) -> Iterator[bytes]:
        """The pieces, as they come."""
        try:
            while piece := self._answer.read1(_PIECE):
                yield piece
        finally:
            self._connection.close()

    def whole(self) -> bytes:
        """All of it, where it is short."""
        try:
            return self._answer.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            raise away(error) from error
        finally:
            self._connection.close()

    def end(self) -> None:
        """Nobody wants the rest."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def away(error: Exception) -> Refusal:
    """The engine does not answer."""
    return Refusal(502, f"the engine does not answer: {type(error).__name__}: {error}")


def message_of(content: bytes) -> str:
    """What the engine says in a refusal."""
    with suppress(ValueError, AttributeError):
        return str(json.loads(content)["message"])
    return content[:500].decode(errors="replace")
