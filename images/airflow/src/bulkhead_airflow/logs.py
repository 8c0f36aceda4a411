"""Follows a container's output to its end, through every loss of the engine.

The engine keeps output as entries, each with a time stamp and the stream it went to. A thread asks
for them from the last one it has seen, so a stream that is cut (by a proxy, by a restarted engine)
goes on where it stopped: nothing is lost, nothing comes twice, and one entry is in memory at a
time. stdout and stderr are put together into lines apart.
"""

from __future__ import annotations

import struct
import threading
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException
from urllib3.exceptions import HTTPError

from bulkhead_airflow.stream import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import APIClient

STDERR = 2
_RECONNECT_SECONDS = 0.5
_LOST = (DockerException, OSError, ValueError, struct.error, HTTPError, HTTPException)
"""What docker-py, requests, urllib3 (no OSError) and Python raise where a stream ends in the middle."""


class Follower(threading.Thread):
    """Hands every line of ``container`` to ``emit(line, is_error)``, until :meth:`finish`."""

    def __init__(self, client: APIClient, container: str, emit: Callable[[str, bool], None]) -> None:
        super().__init__(daemon=True, name=f"logs of {container[:12]}")
        # docker-py's logs() mixes the two streams; the requests that it makes do not.
        self._client: Any = client
        self._container = container
        self._emit = emit
        self._ended = threading.Event()
        # By stream, the last entry's time stamp and how many entries had it: stamps need not differ, and
        # only within a stream do they never go back.
        self._seen = {1: ("", 0), STDERR: ("", 0)}
        self._lines = {1: Lines(), STDERR: Lines()}

    def run(self) -> None:
        """Follow, and follow again after each loss; once the container has ended, read what is left."""
        while not self._ended.is_set():
            with suppress(*_LOST):
                self._read(follow=True)
            self._ended.wait(_RECONNECT_SECONDS)
        with suppress(*_LOST):
            self._read(follow=False)
        for source, lines in self._lines.items():
            for line in lines.end():
                self._emit(line, source == STDERR)

    def finish(self, seconds: float) -> None:
        """The container has ended: wait until the rest of its output is handed on."""
        self._ended.set()
        self.join(seconds)

    def _read(self, *, follow: bool) -> None:
        before = dict(self._seen)
        since = _since(max(stamp for stamp, _ in before.values()))
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "since": since}
        url = self._client._url("/containers/{0}/logs", self._container)
        with self._client._get(url, params=params, stream=True) as response:
            self._client._raise_for_status(response)
            for source, entry in _frames(response.raw):
                written, _, content = entry.partition(b" ")
                this = written.decode()
                stamp, count = before[source]
                if this < stamp:
                    continue
                if this == stamp and count > 0:
                    before[source] = (stamp, count - 1)
                    continue
                last, times = self._seen[source]
                self._seen[source] = (this, times + 1 if this == last else 1)
                for line in self._lines[source].feed(content):
                    self._emit(line, source == STDERR)


def _since(stamp: str) -> str:
    """The engine's parameter for ``2026-11-23T05:19:56.123456789Z``, a second earlier: streams overtake each other."""
    if not stamp:
        return "0"
    return str(int(datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()) - 1)


def _frames(raw: Any) -> Iterator[tuple[int, bytes]]:
    """The multiplexed entries of a log response: stream (1 stdout, 2 stderr) and content."""
    while header := raw.read(8):
        source, size = struct.unpack(">BxxxL", header)
        content = raw.read(size)
        if len(content) < size:
            return
        yield source, content
