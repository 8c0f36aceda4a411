"""HTTP over a unix socket, for the launcher and the registrar: a strict server and a small client.

Parsing is ``http.server``'s. What it lets pass, and should not between services that read strangers' words, is refused
here: chunked bodies, upgrades, lengths that are said twice, heads and bodies above a limit, senders that take their
time. A connection carries one request and its answer. Needs the standard library alone.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import select
import signal
import socket
import socketserver
import stat
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAD_LIMIT = 16 << 10
BODY_LIMIT = 64 << 10
_MOST_QUERY = 50
_ANSWER_LIMIT = 16 << 20
_WAIT_SECONDS = 5.0
"""How long a connection waits for another one to end before it is refused."""
_SEND_SECONDS = 60.0
"""How long an answer waits for a reader that does not read."""


@dataclass(frozen=True)
class Request:
    """What somebody asks."""

    method: str
    path: str
    """Without the query; percent signs are undone."""
    query: dict[str, str]
    headers: dict[str, str]
    """By their names in small letters."""
    body: bytes
    is_gone: Callable[[], bool] = field(default=lambda: False, compare=False)
    """Whether the one who asked has hung up."""


@dataclass(frozen=True)
class Response:
    """What is answered: a body, or one that is still in the making."""

    status: int
    body: bytes | Iterator[bytes] = b""
    content_type: str = "application/json"


class Refusal(Exception):
    """An answer that refuses, as ``{"message": ...}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def as_json(value: object, status: int = HTTPStatus.OK) -> Response:
    """``value`` as the body of an answer."""
    return Response(status, json.dumps(value).encode())


class Server:
    """Serves a handler at a socket, a thread for each connection.

    Args:
        path: where the socket is made; one that is there, and that nobody listens at, is replaced.
        handler: answers a request, or raises :class:`Refusal`; anything else that it raises is a 500.
        mode: the socket's mode.
        most: how many connections are served at once; others wait a little, and are then refused with 503.
        body_limit: bytes of a request's body.
        idle_seconds: how long a request may take to be in, all of it.
    """

    def __init__(  # what a server may be given
        self,
        path: Path,
        handler: Callable[[Request], Response],
        *,
        mode: int = 0o660,
        most: int = 64,
        body_limit: int = BODY_LIMIT,
        idle_seconds: float = 30,
    ) -> None:
        self._path = path
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        room = threading.BoundedSemaphore(most)

        class Handler(_Handler):
            answer = staticmethod(handler)
            largest_body = body_limit
            seconds = idle_seconds

        self._server = _Server(str(path), Handler)
        self._server.room = room
        path.chmod(mode)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name=f"server {path.name}")

    def start(self) -> None:
        """Serve, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections; those that are served are dropped when the process ends."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)

    def wait_for_sigterm(self) -> None:
        """Return after SIGTERM or SIGINT; to be called in the main thread."""
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        while not ended.wait(1):
            pass


def serve(
    path: Path,
    handler: Callable[[Request], Response],
    *,
    mode: int = 0o660,
    most: int = 64,
    body_limit: int = BODY_LIMIT,
    idle_seconds: float = 30,
) -> Server:
    """A :class:`Server`, not yet started."""
    return Server(path, handler, mode=mode, most=most, body_limit=body_limit, idle_seconds=idle_seconds)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    room: threading.BoundedSemaphore

    def process_request(self, request: socket.socket, client_address: str) -> None:  # type: ignore[override]
        if self.room.acquire(timeout=_WAIT_SECONDS):
            try:
                super().process_request(request, client_address)
            except BaseException:
                self.room.release()
                raise
            return
        body = b'{"message": "too many requests at once; try again"}'
        head = f"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(head.encode() + body)
        self.shutdown_request(request)

    def process_request_thread(self, request: socket.socket, client_address: str) -> None:  # type: ignore[override]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # the base's signature
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that has gone is no news
            traceback.print_exc()


class _TooMuchError(Exception):
    """A sender has sent more than it may."""


class _Incoming(io.RawIOBase):
    """What a client sends: only so much, and only for so long."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds
        self.left = HEAD_LIMIT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.left <= 0:
            raise _TooMuchError
        self._connection.settimeout(left)
        received = self._connection.recv_into(memoryview(buffer)[: self.left])
        self.left -= received
        return received


class _Outgoing(io.BufferedIOBase):
    """What is sent: each piece at once and in whole."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._connection.sendall(data)
        return len(data)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bulkhead"
    sys_version = ""
    answer: Callable[[Request], Response]
    largest_body: int
    seconds: float

    def setup(self) -> None:
        self.connection = self.request
        self._incoming = _Incoming(self.connection, self.seconds)
        self.rfile = io.BufferedReader(self._incoming, 1024)
        self.wfile = _Outgoing(self.connection)
        # What an answer is made with where a request cannot be read as far as that.
        self.requestline, self.request_version, self.command = "", "HTTP/1.1", ""

    def finish(self) -> None:
        """Nothing is buffered that could be flushed."""

    def handle(self) -> None:
        """One request; a second one on the same connection is not read."""
        self.close_connection = True
        try:
            self.raw_requestline = self.rfile.readline(HEAD_LIMIT)
            if not self.raw_requestline or not self.parse_request():
                return
            self._respond(self._asked())
        except _TooMuchError:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {HEAD_LIMIT} bytes")
        except Refusal as refusal:
            self._refuse(refusal.status, refusal.message)
        except TimeoutError:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"a request has to be in within {self.seconds:g} s")

    def handle_expect_100(self) -> bool:
        """No body is large enough to ask before."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As the base's, in JSON: it says so where it cannot parse a request."""
        self.close_connection = True
        self._refuse(code, message or explain or HTTPStatus(code).phrase)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """As below."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Whoever answers says what is worth saying."""

    def version_string(self) -> str:
        """Nobody's business."""
        return self.server_version

    def _asked(self) -> Request:
        length = self._length()
        self._incoming.left += length
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body ends before its length")
        parts = urlsplit(self.path)
        if parts.scheme or parts.netloc or not parts.path.startswith("/"):
            raise Refusal(HTTPStatus.BAD_REQUEST, "a request names a path")
        try:
            pairs = parse_qsl(
                parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=_MOST_QUERY
            )
            path = unquote(parts.path, errors="strict")
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the query cannot be read") from error
        query = dict(pairs)
        if len(query) < len(pairs):
            raise Refusal(HTTPStatus.BAD_REQUEST, "a parameter is there twice")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, query, headers, body, self._is_gone)

    def _length(self) -> int:
        headers = self.headers
        if headers.get_all("Transfer-Encoding"):
            raise Refusal(HTTPStatus.BAD_REQUEST, "a body has a length; chunks are not read")
        connection = ",".join(headers.get_all("Connection") or ()).lower()
        if headers.get_all("Upgrade") or "upgrade" in connection:
            raise Refusal(HTTPStatus.BAD_REQUEST, "there is no other protocol to upgrade to")
        lengths = headers.get_all("Content-Length") or ["0"]
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,12}", lengths[0].strip()):
            raise Refusal(HTTPStatus.BAD_REQUEST, "a body has one length, a number")
        length = int(lengths[0])
        if length > self.largest_body:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {self.largest_body} bytes")
        return length

    def _respond(self, request: Request) -> None:
        try:
            response = type(self).answer(request)
        except Refusal:
            raise
        except Exception:  # noqa: BLE001  # a bug is told, and the next request is answered
            traceback.print_exc()
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the log of the service has its traceback")
            return
        self._send(response)

    def _send(self, response: Response) -> None:
        self.connection.settimeout(_SEND_SECONDS)
        with suppress(OSError):
            self.send_response(response.status)
            self.send_header("Connection", "close")
            if response.status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Type", response.content_type)
            if isinstance(response.body, bytes):
                if response.status != HTTPStatus.NO_CONTENT:
                    self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in response.body:
                if piece:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        # The one who asked has gone, or the source has broken off: an end without its last chunk says so.
        if not isinstance(response.body, bytes) and hasattr(response.body, "close"):
            response.body.close()

    def _refuse(self, status: int, message: str) -> None:
        self._send(as_json({"message": message}, status))

    def _is_gone(self) -> bool:
        try:
            if not select.select([self.connection], [], [], 0)[0]:
                return False
            return not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True


class Client:
    """Asks a service at its socket.

    Args:
        path: the socket.
        timeout: seconds that an answer may take.
    """

    def __init__(self, path: Path, timeout: float = 60) -> None:
        self._path = path
        self._timeout = timeout

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """The status and the body of the answer.

        Raises:
            OSError: nobody answers, or not in time, or not in whole.
        """
        connection = _UnixConnection(self._path, self._timeout)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read(_ANSWER_LIMIT + 1)
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self._path.name}: no whole answer: {error!r}") from error
        finally:
            connection.close()
        if len(content) > _ANSWER_LIMIT:
            raise ConnectionError(f"{self._path.name}: an answer of more than {_ANSWER_LIMIT} bytes")
        return answer.status, content


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise
