"""The client."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 30.0


class UnixConnection(http.client.HTTPConnection):
    """``http.client`` over a unix socket."""

    def __init__(self, path: str, timeout: float | None = _SECONDS) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket.

        Raises:
            OSError: nobody listens there.
        """
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.connect(self._path)
        except BaseException:
            made.close()
            raise
        self.sock = made


class Client:
    """Asks a service on a unix socket.

    Args:
        path: of the socket.
        seconds: how long each step of an answer may take.
    """

    def __init__(self, path: Path | str, seconds: float = _SECONDS) -> None:
        self._path = str(path)
        self._seconds = seconds

    def request(self, method: str, path: str, content: Any = None) -> tuple[int, bytes]:
        """The status and the body of the answer; ``content`` is sent as JSON.

        Raises:
            OSError: nobody answers, or not to the end.
        """
        connection = UnixConnection(self._path, self._seconds)
        body = None if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self._path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
