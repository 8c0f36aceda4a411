"""The strict server."""

from __future__ import annotations

import http.client
import os
import select
import socket
import socketserver
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from bulkhead.unix_http.messages import Refusal, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase
    from pathlib import Path

_HEADERS = 16 << 10
"""Bytes of a request's first line and headers."""
_WATCH_SECONDS = 1.0
_SECONDS = 30.0
_STALLED_SECONDS = 300.0
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class _Bounded:
    """A reader that ends after so many bytes: ``http.client`` bounds each header, and not all of them."""

    def __init__(self, file: BufferedIOBase, most: int) -> None:
        self._file = file
        self._left = most

    def readline(self, size: int = -1) -> bytes:
        line = self._file.readline(size if 0 <= size < self._left else self._left)
        self._left -= len(line)
        if self._left <= 0:
            raise http.client.LineTooLong("headers")
        return line


class _Connection(BaseHTTPRequestHandler):
    """One connection, one request."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._gone: list[Callable[[], None]] = []
        self._answering = False
        # What an answer to something that is no request is made of.
        self.command, self.request_version = "", self.protocol_version
        self._deadline = time.monotonic() + self.server.seconds
        self.server.watch(self)

    def finish(self) -> None:
        self.server.unwatch(self)
        self._call_gone()  # an answer in pieces of which the first was never asked for has not ended by itself
        super().finish()

    def handle(self) -> None:
        with suppress(OSError):  # whoever asked has gone, or took too long
            self.close_connection = True
            try:
                self._handle()
            except Refusal as refusal:
                self._answer(Response.of({"message": refusal.message}, refusal.status))

    def _handle(self) -> None:
        plain = self.rfile
        self.rfile = _Bounded(plain, _HEADERS)  # type: ignore[assignment]  # nothing else is asked of it
        try:
            self.raw_requestline = self.rfile.readline(_HEADERS)
            if not self.raw_requestline:
                return
            if not self.parse_request():
                return
        except http.client.HTTPException:
            raise Refusal(431, "the headers are too long") from None
        self.rfile = plain
        request = self._request()
        self._answering = True
        self.connection.settimeout(self.server.stalled_seconds)
        try:
            response = self.server.answer(request)
        except Refusal:
            raise
        except Exception as error:  # one request's bug must not end the service
            self.server.report(request, error)
            raise Refusal(500, f"{type(error).__name__} in the service; its log has more") from error
        self._answer(response)

    def _request(self) -> Request:
        headers = self.headers
        if headers.get("Transfer-Encoding") is not None:
            raise Refusal(411, "a body needs a Content-Length, and no other encoding")
        if headers.get("Upgrade") is not None or "upgrade" in headers.get("Connection", "").lower():
            raise Refusal(403, "connections are not upgraded here")
        lengths = headers.get_all("Content-Length", [])
        if len(lengths) > 1:
            raise Refusal(400, "there are two Content-Length headers")
        text = lengths[0].strip() if lengths else "0"
        if not (text.isascii() and text.isdigit() and len(text) < 12):  # noqa: PLR2004  # a terabyte is long enough
            raise Refusal(400, "Content-Length is no number")
        length = int(text)
        if length > self.server.body_limit:
            raise Refusal(413, f"the body has {length} bytes, and {self.server.body_limit} are read at most")
        if headers.get("Expect") is not None:
            raise Refusal(417, "nothing is expected here")
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise Refusal(400, "the body ends too soon")
        try:
            parts = urlsplit(self.path)
        except ValueError:
            raise Refusal(400, "the path is none") from None
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = dict(pairs)
        if len(query) < len(pairs):
            raise Refusal(400, "a parameter is given twice")
        return Request(self.command, parts.path, query, body, self._gone.append)

    def _answer(self, response: Response) -> None:
        self.close_connection = True
        self.request_version = self.protocol_version  # a request of none gets an answer of one
        self.send_response_only(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Connection", "close")
        if isinstance(response.body, bytes):
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in response.body:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        finally:
            close = getattr(response.body, "close", None)
            if close is not None:
                close()

    def handle_expect_100(self) -> bool:
        """Say nothing before the request is read; it is refused then."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What ``http.server`` refuses by itself is told like the rest."""
        self._answer(Response.of({"message": message or "not understood"}, code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Nothing: requests are not the services' log."""

    def look(self) -> None:
        """Called by the server's watch: end a request that does not arrive, and an answer that nobody waits for."""
        if not self._answering:
            if time.monotonic() > self._deadline:
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
            return
        if self._gone and self._is_gone():
            self._call_gone()

    def _call_gone(self) -> None:
        for call in tuple(self._gone):
            with suppress(Exception):
                call()

    def _is_gone(self) -> bool:
        # Not by reading: one that has gone may have left bytes behind that nobody reads.
        watched = select.poll()
        try:
            watched.register(self.connection, _GONE)
            return bool(watched.poll(0))
        except (OSError, ValueError):
            return True


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = False

    def __init__(  # all by name
        self,
        path: Path,
        answer: Callable[[Request], Response],
        *,
        most: int,
        body_limit: int,
        seconds: float,
        stalled_seconds: float,
    ) -> None:
        self.answer = answer
        self.body_limit = body_limit
        self.seconds = seconds
        self.stalled_seconds = stalled_seconds
        self._room = threading.BoundedSemaphore(most)
        self._open: set[_Connection] = set()
        self._lock = threading.Lock()
        self.report: Callable[[Request, Exception], None] = lambda *_: None
        super().__init__(str(path), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            with suppress(OSError):
                request.settimeout(1)
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is nobody's error."""

    def watch(self, connection: _Connection) -> None:
        with self._lock:
            self._open.add(connection)

    def unwatch(self, connection: _Connection) -> None:
        with self._lock:
            self._open.discard(connection)

    def look_at_all(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.look()


class Server:
    """A service on the socket ``path``; a socket that an earlier one left there is replaced.

    Args:
        path: of the socket.
        answer: called for each request, in a thread of its own; raises :class:`Refusal` to say why not.
        mode: of the socket's file.
        most: connections at once; one more is told to come later (503).
        body_limit: bytes of a request's body.
        seconds: within which a request must have arrived.
        stalled_seconds: how long a piece of an answer may wait to be read.
        report: takes a request and the error that its answer ended in, which is a bug.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(  # noqa: PLR0913  # all by name
        self,
        path: Path,
        answer: Callable[[Request], Response],
        *,
        mode: int = 0o660,
        most: int = 64,
        body_limit: int = 64 << 10,
        seconds: float = _SECONDS,
        stalled_seconds: float = _STALLED_SECONDS,
        report: Callable[[Request, Exception], None] = lambda *_: None,
    ) -> None:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # nobody else may connect before the mode is set
        try:
            self._server = _Server(
                path, answer, most=most, body_limit=body_limit, seconds=seconds, stalled_seconds=stalled_seconds
            )
        finally:
            os.umask(before)
        path.chmod(mode)
        self._server.report = report
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="accept"),
            threading.Thread(target=self._watch, daemon=True, name="watch"),
        ]

    def start(self) -> None:
        """Serve, in threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more requests; those that are answered go on."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_SECONDS):
            self._server.look_at_all()
