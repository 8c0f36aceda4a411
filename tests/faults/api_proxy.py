"""A proxy before Airflow's API server, through which tasks report: it answers some requests by itself."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_DROPPED = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class ApiProxy:
    """Listens on every address of this machine, because containers reach it by the host's.

    Args:
        port: of the API server, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.refused: list[str] = []
        """What was answered here: method and path."""
        self.rule: Callable[[str, str, bytes], int | None] = lambda *_: None
        """By method, path and body the status to answer with; None passes the request on."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = proxy.rule(self.command, self.path, body)
                if status is not None:
                    proxy.refused.append(f"{self.command} {self.path}")
                    detail = b'{"detail": {"reason": "not_found", "message": "refused by a test"}}'
                    self._send(status, {"Content-Type": "application/json"}, detail)
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
                    connection.request(self.command, self.path, body or None, headers)
                    answer = connection.getresponse()
                    kept = {name: value for name, value in answer.getheaders() if name.lower() not in _DROPPED}
                    self._send(answer.status, kept, answer.read())
                except OSError:
                    self.close_connection = True
                finally:
                    connection.close()

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815  # the base's names

        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104  # its containers reach it so
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
