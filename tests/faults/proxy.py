"""A proxy in front of the engine's socket: it holds a request at a known place, delays, and cuts.

The engine's answers are passed on as they are; the requests are taken apart so far that each is
known by its first line (``POST /v1.45/containers/create?name=...``).
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINE = "/var/run/docker.sock"


class Hold:
    """Requests that wait before they reach the engine; or, with ``answers``, whose answers wait on the way back."""

    def __init__(self, pattern: str, *, answers: bool) -> None:
        self.pattern = re.compile(pattern)
        self.answers = answers
        self._reached = threading.Event()
        self._released = threading.Event()

    def wait_reached(self, seconds: float = 60) -> None:
        """Return once something waits here."""
        assert self._reached.wait(seconds), f"no request matched {self.pattern.pattern} within {seconds} s"

    def release(self) -> None:
        self._released.set()

    def pass_through(self, client: socket.socket) -> bool:
        """Wait; False where the client has hung up meanwhile, and nothing is to be passed on."""
        self._reached.set()
        while not self._released.wait(0.02):
            pass
        readable, _, _ = select.select([client], [], [], 0)
        return not readable or bool(client.recv(1, socket.MSG_PEEK))


class Proxy:
    """Listens on ``path``, and passes everything on to the engine until it is told otherwise."""

    def __init__(self, path: Path, engine: str = ENGINE) -> None:
        self.path = path
        self.delay = 0.0
        """Seconds that every request waits before it reaches the engine."""
        self.engine = engine
        """The socket of the real one; may be changed."""
        self._holds: list[Hold] = []
        self._open: dict[socket.socket, str] = {}
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)  # whoever the container runs as
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def held(self, pattern: str, *, answers: bool = False) -> Iterator[Hold]:
        """Holds every request whose first line matches ``pattern``, or its answer.

        At the end each goes on, but for those whose client is gone.
        """
        hold = Hold(pattern, answers=answers)
        with self._lock:
            self._holds.append(hold)
        try:
            yield hold
        finally:
            with self._lock:
                self._holds.remove(hold)
            hold.release()

    def cut(self, pattern: str = "") -> int:
        """Break the connections whose last request matches ``pattern``; how many there were."""
        with self._lock:
            hit = [client for client, request in self._open.items() if re.search(pattern, request)]
        for client in hit:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        return len(hit)

    def close(self) -> None:
        self._listener.close()
        self.cut()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine, suppress(OSError):
            engine.connect(self.engine)
            gates: list[Hold] = []
            answers = threading.Thread(target=_answers, args=(engine, client, gates), daemon=True)
            answers.start()
            try:
                self._requests(client, engine, gates)
            finally:
                with self._lock:
                    self._open.pop(client, None)
                with suppress(OSError):
                    engine.shutdown(socket.SHUT_RDWR)
                answers.join()

    def _requests(self, client: socket.socket, engine: socket.socket, gates: list[Hold]) -> None:
        reader = client.makefile("rb")
        while first := reader.readline():
            head = first
            while (line := reader.readline()) not in {b"\r\n", b""}:
                head += line
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            body = reader.read(int(length[1])) if length else b""
            request = first.decode().rsplit(" ", 1)[0]
            with self._lock:
                self._open[client] = request
                holds = [hold for hold in self._holds if hold.pattern.search(request)]
            time.sleep(self.delay)
            gates[:] = [hold for hold in holds if hold.answers]
            if not all(hold.pass_through(client) for hold in holds if not hold.answers):
                return
            engine.sendall(head + b"\r\n" + body)


def _answers(engine: socket.socket, client: socket.socket, gates: list[Hold]) -> None:
    with suppress(OSError):
        while data := engine.recv(1 << 16):
            if not all(gate.pass_through(client) for gate in list(gates)):
                return
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)
