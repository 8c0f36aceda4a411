"""The engine, asked over its socket: only with paths and bodies that were made here."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from bulkhead.unix_http import Refusal, UnixConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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
        connection = UnixConnection(self._path, self._seconds)
        answer = self._send(connection, method, path, query, body)
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

    def stream(
        self, method: str, path: str, query: Mapping[str, str], on_gone: Callable[[Callable[[], None]], None]
    ) -> Stream:
        """An answer that comes in pieces.

        Args:
            method: of the request.
            path: as Docker's API has it.
            query: its parameters.
            on_gone: registers what is called when whoever asked has gone; the engine may be silent for ever.

        Raises:
            Refusal: the engine does not answer.
        """
        # Without a limit: a quiet step says nothing for hours.
        connection = UnixConnection(self._path, None)
        return Stream(connection, self._send(connection, method, path, query, on_gone=on_gone))

    def _send(  # what a request is made of
        self,
        connection: UnixConnection,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any = None,
        on_gone: Callable[[Callable[[], None]], None] = lambda _: None,
    ) -> http.client.HTTPResponse:
        target = API + quote(path, safe="/:") + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.connect()
            # Of the socket itself: the connection lets go of it where the answer is the last one.
            on_gone(partial(_shut, connection.sock))
            connection.request(method, target, content, {"Content-Type": "application/json"} if content else {})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise away(error) from error


class Stream:
    """An answer in pieces."""

    def __init__(self, connection: UnixConnection, answer: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._answer = answer
        self.status = answer.status
        self.content_type = answer.headers.get("Content-Type") or "application/octet-stream"

    def pieces(self) -> Iterator[bytes]:
        """The pieces, as they come."""
        try:
            while piece := self._answer.read1(_PIECE):
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """End it, where not all of it is read."""
        self._answer.close()
        self._connection.close()

    def whole(self) -> bytes:
        """All of it, where it is short."""
        try:
            return self._answer.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            raise away(error) from error
        finally:
            self._connection.close()


def _shut(connected: socket.socket) -> None:
    """End what is sent and received on it, whichever thread waits there."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def away(error: Exception) -> Refusal:
    """The engine does not answer."""
    return Refusal(502, f"the engine does not answer: {type(error).__name__}: {error}")


def message_of(content: bytes) -> str:
    """What the engine says in a refusal."""
    with suppress(ValueError, AttributeError):
        return str(json.loads(content)["message"])
    return content[:500].decode(errors="replace")
