"""Runs in the Airflow image, on a stack's network: takes webhooks, mail and metrics, and prints each as a line of JSON.

Of a run called hang-me a webhook is never answered.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

_lock = threading.Lock()


def tell(**what: Any) -> None:
    """One line."""
    with _lock:
        print(json.dumps(what), flush=True)


class Web(BaseHTTPRequestHandler):
    """Webhooks, and OTLP over HTTP."""

    def do_POST(self) -> None:
        """Take it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"hang-me" in body and self.path != "/v1/metrics":
            tell(kind="hang")
            time.sleep(600)
        if self.path == "/v1/metrics":
            for metric in _bulkhead(body):
                tell(kind="metric", **metric)
        else:
            tell(kind="webhook", body=body.decode(), signature=self.headers["X-Bulkhead-Signature-256"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing but what is told."""


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a sender needs."""

    def handle(self) -> None:
        """Take mails until the sender goes."""
        self._say("220 here")
        while line := self.rfile.readline(1000):
            match line[:4].upper():
                case b"QUIT":
                    self._say("221 bye")
                    return
                case b"DATA":
                    self._say("354 go on")
                    content = b""
                    while (part := self.rfile.readline()) not in {b".\r\n", b""}:
                        content += part
                    message = message_from_bytes(content)
                    text = b"".join(bytes(one.get_payload(decode=True) or b"") for one in message.walk())
                    tell(kind="mail", subject=message["Subject"], to=message["To"], text=text.decode())
                    self._say("250 taken")
                case _:
                    self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def _bulkhead(body: bytes) -> list[dict[str, Any]]:
    """The metrics of steps among those that are sent."""
    found = []
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if "bulkhead" not in metric.name:
                    continue
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    tags = {one.key: one.value.string_value for one in point.attributes}
                    value = getattr(point, "sum", None) or getattr(point, "as_double", 0) or getattr(point, "as_int", 0)
                    found.append({"name": metric.name, "tags": tags, "value": value})
    return found


class Server(socketserver.ThreadingTCPServer):
    """Of mail."""

    allow_reuse_address = daemon_threads = True


for server in (ThreadingHTTPServer(("", 4318), Web), Server(("", 2525), Mail)):
    threading.Thread(target=server.serve_forever, daemon=True).start()
ThreadingHTTPServer(("", 8000), Web).serve_forever()
